"""The query protocol, held against botocore's own serializer and parser.

Covers: greenroom.aws.query_service, greenroom.aws.query_xml
"""

import json
import string
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from greenroom.aws import constraints, query, query_service, query_xml, shapes
from greenroom.aws.rest_json import Response
from greenroom.model.errors import (
    InvalidSignatureException,
    ServiceError,
    UnrecognizedClientException,
    UnsupportedMediaTypeException,
)
from greenroom.model.iam_errors import (
    InvalidAction,
    MalformedInput,
    MalformedQueryString,
    MissingAction,
    ValidationError,
)
from greenroom.model.identity_errors import NoSuchEntity

FORM = b"application/x-www-form-urlencoded; charset=utf-8"
OPERATIONS = [
    ("iam", "CreateUser"),
    ("iam", "ListUsers"),
    ("iam", "CreateRole"),
    ("iam", "TagUser"),
    ("iam", "UntagRole"),
    ("iam", "CreatePolicyVersion"),
    ("iam", "ListPolicies"),
    ("iam", "UpdateAccessKey"),
    ("iam", "SimulateCustomPolicy"),
    ("sts", "AssumeRole"),
    ("sts", "GetSessionToken"),
]
ANSWERS = [
    ("iam", "CreateUser"),
    ("iam", "ListUsers"),
    ("iam", "GetAccessKeyLastUsed"),
    ("iam", "GetAccountSummary"),
    ("iam", "GetPolicyVersion"),
    ("iam", "SimulatePrincipalPolicy"),
    ("sts", "AssumeRole"),
    ("sts", "GetCallerIdentity"),
]


def model(service: str) -> ServiceModel:
    """Return botocore's own model."""
    description = Loader().load_service_model(service, "service-2", query_service.VERSIONS[service])
    return ServiceModel(description, service)


MODELS = {service: model(service) for service in query_service.VERSIONS}
CHARACTERS = {
    "tagKeyType": "aÄ 7_.:/=+-@",
    "tagValueType": "aÄ 7_.:/=+-@",
    "policyDocumentType": '{"a":ÿ\n\t}',
    "unrestrictedSessionPolicyDocumentType": '{"a":ÿ\n\t}',
    "roleDescriptionType": "a ÿ&<\n",
    "arnType": "arn:/Zß",
}


def text_of(shape: StringShape) -> st.SearchStrategy[str]:
    """Return valid values of a string."""
    if shape.enum:
        return st.sampled_from(shape.enum)
    if "path" in shape.name.lower() and "Id" not in shape.name:
        return st.sampled_from(["/", "/a/", "/a/b-c/"])
    if shape.name == "tokenCodeType":
        return st.just("123456")
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max", 60)
    stated = shape.metadata.get("pattern")
    characters = CHARACTERS.get(shape.name, string.ascii_letters if stated else "aZ &=+%é🎭")
    return st.text(characters, min_size=low, max_size=min(high, low + 20))


def values_of(shape: Shape, *, answer: bool = False) -> st.SearchStrategy[Any]:
    """Return valid values of a shape that the query protocol can say."""
    if isinstance(shape, StructureShape):
        members = {name: values_of(member, answer=answer) for name, member in shape.members.items()}
        required = {name: members.pop(name) for name in shape.required_members}
        filled = st.fixed_dictionaries(required, optional=members)
        return filled if answer else filled.filter(bool)
    if isinstance(shape, ListShape):
        size = max(1, shape.metadata.get("min", 0))
        return st.lists(values_of(shape.member, answer=answer), min_size=size, max_size=size + 2)
    if isinstance(shape, MapShape):
        keys = values_of(shape.key, answer=answer)
        return st.dictionaries(keys, values_of(shape.value, answer=answer), max_size=3)
    if isinstance(shape, StringShape):
        if answer:
            return st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))).filter(
                lambda text: "\ufffe" not in text and "\uffff" not in text
            )
        return text_of(shape)
    if shape.type_name == "integer":
        low = shape.metadata.get("min", -(10**9))
        return st.integers(low, shape.metadata.get("max", 10**9))
    if shape.type_name == "timestamp":
        return st.integers(0, 4_000_000_000).map(lambda seconds: seconds * 1000)
    assert shape.type_name == "boolean", shape
    return st.booleans()


def read_by_botocore(response: Response, shape: StructureShape | None) -> Any:
    """Return what botocore finds in an answer."""
    assert shape is not None
    return create_parser("query").parse(
        {"status_code": response.status, "headers": {}, "body": response.body}, shape
    )


def parsed(service: str, body: dict[str, str]) -> dict[str, object]:
    """Return what a form says to its operation."""
    form = query.read_form(b"", FORM, urlencode(body).encode())
    return query.parse(query_service.operation(service, form.action(service)), form)


@given(st.data(), st.sampled_from(OPERATIONS))
def test_botocore_s_requests(data: st.DataObject, named: tuple[str, str]) -> None:
    """Whatever valid parameters botocore writes, the same are read."""
    operation = MODELS[named[0]].operation_model(named[1])
    assert operation.input_shape is not None
    parameters = data.draw(values_of(operation.input_shape))
    written = create_serializer("query").serialize_to_request(parameters, operation)
    assert parsed(named[0], written["body"]) == parameters


@given(st.data(), st.sampled_from(ANSWERS))
def test_botocore_reads_our_answers(data: st.DataObject, named: tuple[str, str]) -> None:
    """Whatever result has its shape, botocore's parser finds the same in our XML."""
    shape = MODELS[named[0]].operation_model(named[1]).output_shape
    assert shape is not None
    result = data.draw(values_of(shape, answer=True))
    response = query_xml.serialize(query_service.operation(*named), result, "id-1")
    read = read_by_botocore(response, shape)
    assert read.pop("ResponseMetadata")["RequestId"] == "id-1"
    assert plain(read) == result


def plain(value: Any) -> Any:
    """Return what botocore read, its times in milliseconds."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return int(value.timestamp() * 1000) if hasattr(value, "timestamp") else value


def test_carriage_returns_survive_and_controls_do_not() -> None:
    """XML would turn a carriage return into a line feed, and cannot hold NUL at all."""
    operation = query_service.operation("iam", "CreateUser")
    response = query_xml.serialize(operation, {"User": {"UserName": "a\r\n\x00<b>"}}, "id")
    read = read_by_botocore(response, model("iam").operation_model("CreateUser").output_shape)
    assert read["User"]["UserName"] == "a\r\n\ufffd<b>"


def test_an_answer_without_result() -> None:
    """An operation without output answers with the request id, in the service's namespace."""
    response = query_xml.serialize(query_service.operation("iam", "DeleteUser"), None, "id-1")
    assert response.body == (
        b'<DeleteUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        b"<ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></DeleteUserResponse>"
    )


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (NoSuchEntity("no <user>"), "NoSuchEntity", 404),
        (UnrecognizedClientException("x"), "InvalidClientTokenId", 403),
        (InvalidSignatureException("x"), "SignatureDoesNotMatch", 403),
    ],
)
def test_errors(error: ServiceError, code: str, status: int) -> None:
    """Botocore finds code, message and fault of an error, also of one of the pipeline."""
    response = query_xml.serialize_error(error, "sts", "id-1")
    read = read_by_botocore(response, MODELS["sts"].operation_model("AssumeRole").output_shape)
    assert read["Error"] == {"Type": "Sender", "Code": code, "Message": error.message}
    assert read["ResponseMetadata"]["RequestId"] == "id-1"
    assert response.status == status


def test_codes_are_those_of_the_model() -> None:
    """An operation knows the codes of its errors, without the suffix of their shapes."""
    assert "NoSuchEntity" in query_service.operation("iam", "GetUser").errors


def failures(service: str, **parameters: str) -> str:
    """Return the message of a refused request."""
    with pytest.raises(ValidationError) as refused:
        parsed(service, {"Version": query_service.VERSIONS[service], **parameters})
    return refused.value.message


def test_all_failures_at_once_in_iam_s_words() -> None:
    """Every failed constraint is named with its path, and no value is repeated."""
    message = failures(
        "iam",
        Action="CreateUser",
        UserName="ä b",
        **{"Tags.member.1.Key": "x", "Tags.member.2.Key": "", "Tags.member.2.Value": "v"},
    )
    assert message == (
        "4 validation errors detected: "
        "Value at 'userName' failed to satisfy constraint: Member must satisfy regular expression"
        r" pattern: [\w+=,.@-]+; "
        "Value at 'tags.1.member.value' failed to satisfy constraint: Member must not be null; "
        "Value at 'tags.2.member.key' failed to satisfy constraint: Member must have length greater"
        " than or equal to 1; "
        "Value at 'tags.2.member.key' failed to satisfy constraint: Member must satisfy regular"
        r" expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+"
    )


def test_numbers_and_booleans() -> None:
    """What is no number, or out of its range, is a failed constraint."""
    assert "'maxItems'" in failures("iam", Action="ListUsers", MaxItems="ten")
    assert "less than or equal to 1000" in failures("iam", Action="ListUsers", MaxItems="9" * 18)
    assert "true or false" in failures("iam", Action="ListPolicies", OnlyAttached="yes")


def test_unknown_parameters_are_ignored() -> None:
    """What an operation does not have is ignored, as a newer client may send it."""
    assert parsed(
        "iam",
        {
            "Action": "GetUser",
            "Version": "2010-05-08",
            "X": "1",
            "UserName": "u",
            "Tags.member": "",
        },
    ) == {"UserName": "u"}


def test_an_empty_list() -> None:
    """`Tags=` is an empty list."""
    body = {"Action": "CreateUser", "Version": "2010-05-08", "UserName": "u", "Tags": ""}
    assert parsed("iam", body) == {"UserName": "u", "Tags": []}


def test_items_stand_in_the_order_of_their_numbers() -> None:
    """The numbers order a list; they may have gaps and come in any order."""
    names = {"TagKeys.member.10": "c", "TagKeys.member.2": "b", "TagKeys.member.1": "a"}
    body = {"Action": "UntagUser", "Version": "2010-05-08", "UserName": "u", **names}
    assert parsed("iam", body)["TagKeys"] == ["a", "b", "c"]


def test_query_and_body_together() -> None:
    """Parameters come from the query and from the body alike."""
    form = query.read_form(b"Action=GetUser&Version=2010-05-08", FORM, b"UserName=a%2Bb+c")
    assert form.values["UserName"] == "a+b c"
    assert form.action("iam") == "GetUser"


@pytest.mark.parametrize(
    ("query_string", "body"),
    [
        (b"UserName=a", b"UserName=b"),
        (b"", b"A=%"),
        (b"", b"A=%g0"),
        (b"", b"A=%ff"),
        (b"", b"%C3=a"),
        (b"", b"&" * query.PAIRS_AT_MOST),
        (b"", b"".join(b"a%d=&" % number for number in range(query.PAIRS_AT_MOST))),
    ],
    ids=["twice", "cut", "no-digits", "no-utf8", "name-no-utf8", "empty-pairs", "pairs"],
)
def test_malformed_forms(query_string: bytes, body: bytes) -> None:
    """A form that is not one is refused with its own code."""
    with pytest.raises(MalformedQueryString):
        query.read_form(query_string, FORM, body)


def test_as_many_parameters_as_there_may_be() -> None:
    """The bound itself is taken; the query counts as one, also where it is empty."""
    pairs = b"&".join(b"a%d=" % number for number in range(query.PAIRS_AT_MOST - 1))
    assert len(query.read_form(b"", FORM, pairs).values) == query.PAIRS_AT_MOST - 1


def test_how_deep_a_name_may_be() -> None:
    """It is refused before its parts are looked at, and so is a text in place of a list."""
    operation = query_service.operation("iam", "CreateUser")
    deep = "Tags" + ".x" * query.DEPTH_AT_MOST
    with pytest.raises(MalformedInput, match="too many parts"):
        query.parse(operation, query.Form({deep: "a"}))
    with pytest.raises(MalformedInput):
        query.parse(operation, query.Form({"UserName": "a", "Tags": "x"}))


@pytest.mark.parametrize(
    ("status", "fault"), [(400, "Sender"), (499, "Sender"), (500, "Receiver"), (503, "Receiver")]
)
def test_whose_fault_it_is(status: int, fault: str) -> None:
    """An error of the service is the receiver's; what succeeds has status 200."""

    class Odd(ServiceError):
        pass

    Odd.status = status
    answer = query_xml.serialize_error(Odd("why"), "iam", "id")
    assert (answer.status, f"<Type>{fault}</Type>".encode() in answer.body) == (status, True)
    operation = query_service.operation("sts", "GetCallerIdentity")
    assert query_xml.serialize(operation, {"Account": "1"}, "id").status == 200


@pytest.mark.parametrize(
    "name",
    [
        "Tags.member.999999999.Key",
        "Tags.member.0.Key",
        "Tags.member.01.Key",
        "Tags.member.-1.Key",
        "Tags.member.x.Key",
        "Tags.member.\u0661.Key",
        "Tags.member.1",
        "Tags.member.1.Key.more",
        "UserName.x",
        "Tags." + "x." * 100_000,
    ],
)
def test_names_that_lead_nowhere(name: str) -> None:
    """A hostile name gets a clear error and costs no more than its length."""
    body = {"Action": "CreateUser", "Version": "2010-05-08", name: "v"}
    with pytest.raises(MalformedInput) as refused:
        parsed("iam", body)
    assert len(refused.value.message) < 100


def test_a_value_that_has_members() -> None:
    """It is one or the other: whoever sends both is told so, with its name."""
    body = {"Action": "CreateUser", "Version": "2010-05-08", "UserName": "v", "UserName.x": "w"}
    with pytest.raises(MalformedInput, match="'userName' is a value: it cannot have members"):
        parsed("iam", body)


def test_actions() -> None:
    """A request names an action and the version that is served."""
    with pytest.raises(MissingAction):
        query.read_form(b"", FORM, b"Version=2010-05-08").action("iam")
    for body in (b"Action=GetUser", b"Action=GetUser&Version=2011-06-15"):
        with pytest.raises(InvalidAction, match="Could not find operation GetUser for version"):
            query.read_form(b"", FORM, body).action("iam")
    assert "<" not in query.unknown("<script>", "\n").message


def test_other_bodies() -> None:
    """A body of another type is refused; without a type it is read as a form."""
    with pytest.raises(UnsupportedMediaTypeException):
        query.read_form(b"", b"application/json", b"{}")
    assert query.read_form(b"", None, b"A=1").values == {"A": "1"}


@given(st.text(st.sampled_from("Tags.member1=&%2Kéy"), max_size=60))
def test_any_bytes(text: str) -> None:
    """Whatever the bytes, a form is read or refused with an error of the API."""
    body = b"Action=CreateUser&Version=2010-05-08&" + text.encode()
    try:
        form = query.read_form(b"", FORM, body)
        query.parse(query_service.operation("iam", "CreateUser"), form)
    except ServiceError as error:
        json.dumps(error.message)
        query_xml.serialize_error(error, "iam", quote("id"))


def with_a_map() -> query_service.QueryOperation:
    """Return an operation with a map, which no operation that is served has."""
    plain: Any = {"type_name": "string", "metadata": {}, "enum": ()}
    key = shapes.StringShape(name="K", serialization={}, **plain)
    value = shapes.StringShape(name="V", serialization={"name": "val"}, **plain)
    pairs = shapes.MapShape(
        name="M", type_name="map", metadata={}, serialization={}, key=key, value=value
    )
    wanted = shapes.StructureShape(
        name="S",
        type_name="structure",
        metadata={},
        serialization={},
        members={"Pairs": pairs},
        required_members=(),
    )
    return msgspec.structs.replace(query_service.operation("iam", "CreateUser"), input=wanted)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"Pairs.entry.1.key": "a", "Pairs.entry.1.val": "b"}, {"a": "b"}),
        (
            {
                "Pairs.entry.2.key": "a",
                "Pairs.entry.2.val": "b",
                "Pairs.entry.1.key": "c",
                "Pairs.entry.1.val": "",
            },
            {"c": "", "a": "b"},
        ),
        ({"Pairs.entry.1.key": "a"}, None),
        ({"Pairs.entry.1.val": "a"}, None),
        ({"Pairs.entry.1.key.x": "a", "Pairs.entry.1.val": "b"}, None),
        (
            {
                "Pairs.entry.1.key": "a",
                "Pairs.entry.1.val": "b",
                "Pairs.entry.2.key": "a",
                "Pairs.entry.2.val": "c",
            },
            None,
        ),
        ({"Pairs": "a"}, None),
    ],
)
def test_maps(values: dict[str, str], found: dict[str, str] | None) -> None:
    """A map is read from numbered entries, each with a key of its own and a value."""
    form = query.read_form(b"", FORM, urlencode({"Action": "X", **values}).encode())
    if found is None:
        with pytest.raises(MalformedInput, match="'pairs"):
            query.parse(with_a_map(), form)
        return
    assert query.parse(with_a_map(), form) == {"Pairs": found}


def test_words_of_iam_are_ascii() -> None:
    """What is a word in a pattern of the model is one of ASCII; elsewhere it is any."""
    plain: dict[str, Any] = {"type_name": "string", "metadata": {"pattern": r"\w+"}, "enum": ()}
    shape = shapes.StringShape(name="K", serialization={}, **plain)
    assert constraints.check(shape, "anna", "name", query.WORDING) == []
    assert constraints.check(shape, "änna", "name", query.WORDING)
    assert constraints.check(shape, "änna", "name") == []
