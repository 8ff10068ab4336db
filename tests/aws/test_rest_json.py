import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.aws import rest_json
from greenroom.aws.constraints import FAILURES_REPORTED
from greenroom.aws.rest_json import Response, parse, serialize, serialize_error
from greenroom.aws.service import API_VERSION, OPERATIONS
from greenroom.aws.shapes import read_model
from greenroom.model import errors
from greenroom.model.errors import (
    FieldError,
    ServiceError,
    UnsupportedMediaTypeException,
    ValidationException,
    ValidationReason,
)

ROOM = "arn:aws:ivschat:us-west-2:123456789012:room/AbCdEf123456"
LABEL = {"resourceArn": ROOM}
JSON = b"application/json"


def posted(name: str, body: bytes) -> dict[str, object]:
    """Return the parameters of a request with that body."""
    return parse(OPERATIONS[name], {}, b"", JSON, body)


def untagged(query_string: bytes) -> dict[str, object]:
    """Return the parameters of an UntagResource with that query."""
    return parse(OPERATIONS["UntagResource"], LABEL, query_string, None, b"")


# ------------------------------------------------------------------------------------ requests


def test_a_body_becomes_parameters_under_the_models_names() -> None:
    """Members get through as the client sent them, whatever its spelling of JSON."""
    body = b"""{"attributes": {"name": "\\ud83c\\udf89"}, "sessionDurationInMinutes":60,
        "capabilities":["SEND_MESSAGE"],"userId":"\xc3\xbc","roomIdentifier":"%s"}"""
    assert posted("CreateChatToken", body % ROOM.encode()) == {
        "roomIdentifier": ROOM,
        "userId": "ü",
        "capabilities": ["SEND_MESSAGE"],
        "sessionDurationInMinutes": 60,
        "attributes": {"name": "🎉"},
    }


def test_null_and_unknown_members_are_left_out_at_every_depth() -> None:
    """A null member is an absent one; members that the model does not know are ignored."""
    body = b'{"name":null,"x":{"y":[1]},"messageReviewHandler":{"uri":null,"z":1},"tags":{}}'
    assert posted("CreateRoom", body) == {"messageReviewHandler": {}, "tags": {}}


def test_explicit_empties_are_kept() -> None:
    """Updates tell an empty value from an absent one."""
    body = (
        b'{"identifier":"%s","name":"","loggingConfigurationIdentifiers":[],'
        b'"messageReviewHandler":{"uri":"","fallbackResult":"ALLOW"}}'
    )
    assert posted("UpdateRoom", body % ROOM.encode()) == {
        "identifier": ROOM,
        "name": "",
        "messageReviewHandler": {"uri": "", "fallbackResult": "ALLOW"},
        "loggingConfigurationIdentifiers": [],
    }


def test_a_union_keeps_its_one_member() -> None:
    """A second member that is null does not count (some clients send it)."""
    body = b'{"destinationConfiguration":{"s3":{"bucketName":"abc"},"firehose":null}}'
    assert posted("CreateLoggingConfiguration", body) == {
        "destinationConfiguration": {"s3": {"bucketName": "abc"}}
    }


@pytest.mark.parametrize("content_type", [JSON, b"text/plain", b"", None])
def test_an_empty_body_is_an_empty_object(content_type: bytes | None) -> None:
    """Nothing is wrong with no body, and so its content type does not matter."""
    assert parse(OPERATIONS["ListRooms"], {}, b"", content_type, b"") == {}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        JSON,
        b"Application/JSON; charset=UTF-8",
        b" application/json ;x",
        b"application/x-amz-json-1.0",
        b"application/x-amz-json-1.1",
    ],
)
def test_json_may_have_these_content_types(content_type: bytes | None) -> None:
    """JSON's type with any parameters, AWS's two others, and none at all are accepted."""
    body = b'{"name":"a"}'
    assert parse(OPERATIONS["CreateRoom"], {}, b"", content_type, body) == {"name": "a"}


@pytest.mark.parametrize(
    "content_type",
    [b"", b"text/plain", b"application/jsonx", b"application/xml; application/json", b"\xff\x00"],
)
def test_a_body_of_another_content_type_is_refused(content_type: bytes) -> None:
    """What is not JSON by its content type is not read as JSON."""
    with pytest.raises(UnsupportedMediaTypeException, match="must be application/json"):
        parse(OPERATIONS["CreateRoom"], {}, b"", content_type, b"{}")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not valid JSON: Input data was truncated"),
        (b" ", "not valid JSON: Input data was truncated"),
        (b'{"HUSH":1,}', "not valid JSON: .*byte 10"),
        (b"{HUSH}", "not valid JSON: .*byte 1"),
        (b'{"name":"HUSH"}HUSH', r"not valid JSON: trailing characters \(byte 1\d\)"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b'{"name":NaN}', "not valid JSON"),
        (b'{"name":"HUSH\xff"}', "not valid UTF-8"),
        (b'{"\xed\xa0\x80":1}', "not valid UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"HUSH"', "must be a JSON object"),
        (b"0", "must be a JSON object"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes, message: str) -> None:
    """The answer says what was wrong and where, but repeats nothing of the body."""
    with pytest.raises(ValidationException, match=f"The request body .*{message}") as caught:
        posted("CreateRoom", body)
    assert caught.value.reason is ValidationReason.OTHER
    assert "HUSH" not in caught.value.message


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        (b'{"name":"\\ud800"}', "name", "must be valid Unicode"),
        (b'{"tags":{"k":"HUSH\\ud800\\u0041"}}', "tags.k", "must be valid Unicode"),
        (b'{"maximumMessageLength":' + b"9" * 5000 + b"}", "maximumMessageLength", "at most 500"),
        (b'{"maximumMessageLength":-' + b"9" * 5000 + b"}", "maximumMessageLength", "at least 1"),
        (b'{"maximumMessageLength":1e999}', "maximumMessageLength", "must be an integer"),
    ],
)
def test_json_beyond_the_fast_decoder(body: bytes, field: str, rule: str) -> None:
    """Huge numbers and half surrogate pairs are valid JSON: the answer names the member."""
    with pytest.raises(ValidationException) as caught:
        posted("CreateRoom", body)
    assert {error.name for error in caught.value.fields} == {field}
    assert rule in caught.value.message
    assert "HUSH" not in caught.value.message


def test_further_checks_see_no_value_of_another_shape() -> None:
    """Where so much is wrong that not every member is reported, further checks are left out."""

    def never(value: object) -> list[FieldError]:
        raise AssertionError(value)

    body = json.dumps({"capabilities": [0] * FAILURES_REPORTED, "attributes": 5}).encode()
    with pytest.raises(ValidationException) as refused:
        parse(OPERATIONS["CreateChatToken"], {}, b"", JSON, body, {"attributes": never})
    assert len(refused.value.fields) == FAILURES_REPORTED


def test_further_checks_are_in_the_same_answer() -> None:
    """Rules beyond the model are checked beside it, for members that have their shape."""

    def forbid(value: object) -> list[FieldError]:
        assert isinstance(value, dict)
        return [FieldError(f"tags.{key}", "no") for key in value]

    def parsed(body: bytes) -> dict[str, object]:
        operation = OPERATIONS["CreateRoom"]
        return parse(operation, {}, b"", None, body, {"tags": forbid})

    with pytest.raises(ValidationException) as caught:
        parsed(b'{"name":"a b","tags":{"k":"v"}}')
    assert [field.name for field in caught.value.fields] == ["name", "tags.k"]
    with pytest.raises(ValidationException) as caught:
        parsed(b'{"tags":{"k":1}}')
    assert [field.message for field in caught.value.fields] == ["must be a string"]
    with pytest.raises(ValidationException) as caught:
        parsed(b'{"name":"a","tags":{"k":"v"}}')
    assert [field.name for field in caught.value.fields] == ["tags.k"], "the model has no fault"
    assert parsed(b'{"name":"a","tags":{}}') == {"name": "a", "tags": {}}
    assert parsed(b'{"tags":null}') == {}


def test_all_failed_constraints_are_in_one_answer() -> None:
    """The answer lists each field with its rule, and says so in its message too."""
    with pytest.raises(ValidationException) as caught:
        posted("SendEvent", b'{"roomIdentifier":"x","attributes":{"a":1}}')
    assert caught.value.reason is ValidationReason.FIELD_VALIDATION_FAILED
    names = [field.name for field in caught.value.fields]
    assert names == ["roomIdentifier", "eventName", "attributes.a"]
    assert "Request member: eventName failed to satisfy the constraints: is required" in (
        caught.value.message
    )


def test_an_integral_float_is_not_an_integer() -> None:
    """`5.0` is a JSON number with a fraction, and no client sends it for an integer."""
    with pytest.raises(ValidationException, match="must be an integer"):
        posted("ListRooms", b'{"maxResults":5.0}')


def test_members_of_the_path_and_the_body_come_together() -> None:
    """TagResource has its ARN in the path; a body cannot name another one."""
    body = b'{"tags":{"k":"v"},"resourceArn":"arn:aws:other"}'
    params = parse(OPERATIONS["TagResource"], LABEL, b"", JSON, body)
    assert params == {"resourceArn": ROOM, "tags": {"k": "v"}}


def test_the_body_of_an_operation_without_one_is_ignored() -> None:
    """GET and DELETE take no body: whatever a client sends there is not read."""
    for name in ("ListTagsForResource", "UntagResource"):
        params = parse(OPERATIONS[name], LABEL, b"tagKeys=a", b"text/plain", b"\xff{")
        assert params["resourceArn"] == ROOM


def test_the_query_of_an_operation_without_one_is_ignored() -> None:
    """A presigned request carries its signature in the query, which is no parameter."""
    query = b"X-Amz-Date=20150830T123600Z&tagKeys=a&%FF"
    assert parse(OPERATIONS["ListRooms"], {}, query, JSON, b"{}") == {}


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        (b"tagKeys=a", ["a"]),
        (
            b"tagKeys=k%201&tagKeys=a%26b%3Dc&tagKeys=%C3%BC%2F%2B&tagKeys=x",
            ["k 1", "a&b=c", "ü/+", "x"],
        ),
        (b"tagKeys=k+1&tagKeys=%2B", ["k 1", "+"]),
        (b"tagKeys=a:b/c@d&tagKeys=a=b", ["a:b/c@d", "a=b"]),
        (b"tagKeys=b&x=1&tagKeys=a&&X-Amz-Date=1&tagKeys=b", ["b", "a", "b"]),
        (b"tag%4Beys=a&tagkeys=b", ["a"]),
        (b"tagKeys=100%&tagKeys=%zz", ["100%", "%zz"]),
        (b"tagKeys=\xc3\xbc", ["ü"]),
        ("tagKeys=🎉".encode(), ["🎉"]),
    ],
)
def test_tag_keys_are_repeated_in_the_query(query: bytes, keys: list[str]) -> None:
    """Each pair is a key, in order; `+` is a space, escapes are UTF-8, other names do not count."""
    assert untagged(query) == {"resourceArn": ROOM, "tagKeys": keys}


def test_tag_keys_are_checked_one_by_one() -> None:
    """A key that is empty, too long or no UTF-8 is named by its place."""
    query = b"tagKeys=a&tagKeys=&tagKeys=%FF&tagKeys=" + b"a" * 129 + b"&tagKeys=%ED%A0%80"
    with pytest.raises(ValidationException) as caught:
        untagged(query)
    assert set(caught.value.fields) == {
        FieldError("tagKeys[1]", "must have length at least 1"),
        FieldError("tagKeys[2]", "must be valid Unicode"),
        FieldError("tagKeys[3]", "must have length at most 128"),
        FieldError("tagKeys[4]", "must be valid Unicode"),
    }


@pytest.mark.parametrize("query", [b"", b"tagKey=a", b"&&&", b"=a"])
def test_tag_keys_are_required(query: bytes) -> None:
    """A query without any key lacks a required member."""
    with pytest.raises(ValidationException, match=r"tagKeys .* is required"):
        untagged(query)


def test_too_many_tag_keys_are_refused() -> None:
    """Fifty keys are the most."""
    assert untagged(b"&".join([b"tagKeys=a"] * 50))["tagKeys"] == ["a"] * 50
    with pytest.raises(ValidationException, match="must have at most 50 items"):
        untagged(b"&".join([b"tagKeys=a"] * 51))


# ------------------------------------------------------------------- requests: hostile input

VALID_BODIES = {
    "CreateChatToken": b'{"roomIdentifier":"%s","userId":"u","attributes":{"a":"b"}}',
    "CreateLoggingConfiguration": b'{"destinationConfiguration":{"s3":{"bucketName":"abc"}}}',
    "UpdateRoom": b'{"identifier":"%s","messageReviewHandler":{"uri":""},"maximumMessageLength":5}',
    "ListRooms": b'{"maxResults":50,"nextToken":"","name":"a"}',
    "TagResource": b'{"tags":{"\\u00fc":"\\ud83c\\udf89"}}',
}


def answers(
    name: str, uri: dict[str, str], query: bytes, content_type: bytes | None, body: bytes
) -> None:
    """Parse, and send what comes of it: parameters that are JSON, or the answer to an error."""
    refused = None
    try:
        params = parse(OPERATIONS[name], uri, query, content_type, body)
    except ServiceError as error:
        refused = error
    else:
        assert params.keys() <= OPERATIONS[name].input.members.keys()
        msgspec.json.encode(params)
    if refused is not None:
        response = serialize_error(refused)
        assert 400 <= response.status < 500
        assert json.loads(response.body)["__type"] == refused.code


@given(
    st.sampled_from(sorted(OPERATIONS)),
    st.dictionaries(st.just("resourceArn"), st.text()),
    st.binary() | st.binary().map(b"tagKeys=".__add__),
    st.none() | st.just(JSON) | st.binary(),
    st.binary() | st.binary().map(b'{"name":'.__add__),
)
def test_random_bytes_are_answered(
    name: str, uri: dict[str, str], query: bytes, content_type: bytes | None, body: bytes
) -> None:
    """Whatever a request holds, the answer is parameters or a client's error."""
    answers(name, uri, query, content_type, body)


@given(
    st.sampled_from(sorted(VALID_BODIES)),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 3), st.binary(max_size=3)), max_size=4),
)
def test_mutated_bodies_are_answered(name: str, mutations: list[tuple[int, int, bytes]]) -> None:
    """Valid bodies with bytes removed, replaced and added are accepted or refused, no more."""
    body = VALID_BODIES[name].replace(b"%s", ROOM.encode())
    for place, removed, added in mutations:
        body = body[:place] + added + body[place + removed :]
    answers(name, LABEL if name == "TagResource" else {}, b"", JSON, body)


# ------------------------------------------------------------------------------------- answers


def test_an_answer_has_the_models_order_and_no_absent_members() -> None:
    """Members stand in the order of the model; None means that there is none, at every depth."""
    result: dict[str, object] = {
        "tags": {"k": "v"},
        "name": None,
        "arn": ROOM,
        "updateTime": 1_665_000_000_007,
        "createTime": 0,
        "messageReviewHandler": {"fallbackResult": "ALLOW", "uri": ""},
        "loggingConfigurationIdentifiers": [],
        "unknown": 1,
    }
    assert serialize(OPERATIONS["GetRoom"], result) == Response(
        200,
        ((b"content-type", b"application/json"),),
        b'{"arn":"%s","createTime":"1970-01-01T00:00:00.000Z",'
        b'"updateTime":"2022-10-05T20:00:00.007Z",'
        b'"messageReviewHandler":{"uri":"","fallbackResult":"ALLOW"},"tags":{"k":"v"},'
        b'"loggingConfigurationIdentifiers":[]}' % ROOM.encode(),
    )


def test_lists_of_structures_are_walked() -> None:
    """Summaries in a list have their times and order like everything else."""
    rooms = [{"createTime": 1, "arn": ROOM, "name": None}, {"arn": ROOM}]
    response = serialize(OPERATIONS["ListRooms"], {"rooms": rooms, "nextToken": None})
    assert response.body == (
        b'{"rooms":[{"arn":"%s","createTime":"1970-01-01T00:00:00.001Z"},{"arn":"%s"}]}'
        % (ROOM.encode(), ROOM.encode())
    )


def test_a_union_answers_its_one_member() -> None:
    """The destinations that are not set do not appear."""
    result: dict[str, object] = {
        "destinationConfiguration": {"s3": {"bucketName": "abc"}, "firehose": None}
    }
    response = serialize(OPERATIONS["GetLoggingConfiguration"], result)
    assert response.body == b'{"destinationConfiguration":{"s3":{"bucketName":"abc"}}}'


@pytest.mark.parametrize("name", ["DeleteRoom", "DeleteLoggingConfiguration"])
def test_a_deletion_answers_nothing(name: str) -> None:
    """204, without body and content type."""
    assert serialize(OPERATIONS[name], None) == Response(204, (), b"")


@pytest.mark.parametrize("name", ["DisconnectUser", "TagResource", "UntagResource"])
@pytest.mark.parametrize("result", [None, {}])
def test_an_empty_output_is_an_empty_object(name: str, result: dict[str, object] | None) -> None:
    """200 with `{}`, which every client accepts."""
    response = serialize(OPERATIONS[name], result)
    assert (response.status, response.body) == (200, b"{}")


@given(st.integers(min_value=0, max_value=253_402_300_799_999))
def test_times_have_milliseconds_and_z(milliseconds: int) -> None:
    """Every time has exactly three digits after the seconds, and reads back as itself."""
    response = serialize(OPERATIONS["CreateChatToken"], {"tokenExpirationTime": milliseconds})
    time = json.loads(response.body)["tokenExpirationTime"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert datetime.fromisoformat(time) - epoch == timedelta(milliseconds=milliseconds)


# -------------------------------------------------------------------------------------- errors


def sample(error: type[ServiceError]) -> ServiceError:
    """Return an error of the class, whatever it wants to know."""
    wanted: dict[str, Any] = {"resource_id": "AbC", "resource_type": "ROOM", "limit": 5}
    for names in ([], ["resource_id", "resource_type"], list(wanted)):
        try:
            return error("é", **{name: wanted[name] for name in names})
        except TypeError:
            continue
    raise AssertionError(error)


CONCRETE = [
    member
    for name, member in vars(errors).items()
    if isinstance(member, type) and issubclass(member, ServiceError) and not name.startswith("_")
]


@pytest.mark.parametrize("error", CONCRETE, ids=lambda error: error.__name__)
def test_an_error_is_in_the_form_that_all_clients_parse(error: type[ServiceError]) -> None:
    """The type stands bare in the header and in the body, the message under `message`."""
    response = serialize_error(sample(error))
    assert response.status == error.status
    assert response.headers == (
        (b"x-amzn-errortype", error.__name__.encode()),
        (b"content-type", b"application/json"),
    )
    body = json.loads(response.body)
    assert list(body)[:2] == ["__type", "message"]
    assert (body["__type"], body["message"]) == (error.__name__, "é")


SHAPES = read_model("ivschat", API_VERSION)["shapes"]
MODELLED = [error for error in CONCRETE if error.__name__ in SHAPES]


@pytest.mark.parametrize("error", MODELLED, ids=lambda error: error.__name__)
def test_a_modelled_error_has_its_shapes_members_and_status(error: type[ServiceError]) -> None:
    """What the SDKs surface of an error is there, and nothing that they do not know."""
    shape = SHAPES[error.__name__]
    response = serialize_error(sample(error))
    members = json.loads(response.body).keys() - {"__type"}
    assert response.status == shape["error"]["httpStatusCode"]
    assert set(shape["required"]) <= members <= shape["members"].keys()


def test_every_error_of_the_model_can_be_answered() -> None:
    """No operation declares an error that the service does not have."""
    declared = frozenset[str]().union(*(one.errors for one in OPERATIONS.values()))
    assert declared == {error.__name__ for error in MODELLED}


def test_a_validation_error_lists_its_fields() -> None:
    """Each field has a name and a message, under the names that the model has for them."""
    error = ValidationException.of_fields(FieldError("a.b", "is required"))
    assert json.loads(serialize_error(error).body) == {
        "__type": "ValidationException",
        "message": "Request member: a.b failed to satisfy the constraints: is required",
        "reason": "FIELD_VALIDATION_FAILED",
        "fieldList": [{"name": "a.b", "message": "is required"}],
    }


def test_the_body_of_an_error_is_one_line_of_json() -> None:
    """Line breaks and quotes in a message cannot break the answer."""
    body = serialize_error(ValidationException('a"\n\x00\u2028')).body
    assert b"\n" not in body
    assert json.loads(body)["message"] == 'a"\n\x00\u2028'


def test_what_is_all_in_the_body_is_read_in_one_pass() -> None:
    """What has members in the path or the query, or a union, is read rule by rule."""
    in_one_pass = {
        name for name, each in OPERATIONS.items() if rest_json._plan(each).decode_valid is not None
    }
    assert OPERATIONS.keys() - in_one_pass == {
        "CreateLoggingConfiguration",
        "ListTagsForResource",
        "TagResource",
        "UntagResource",
        "UpdateLoggingConfiguration",
    }


@pytest.mark.parametrize("location", ["header", "uri"])
def test_what_a_model_may_not_have(location: str) -> None:
    """A member in a place that is not read from is told by its name, at the first request."""
    member = Mock(serialization={"location": location, "name": "other"})
    operation = Mock(input=Mock(members={"token": member}))
    operation.name = "DoIt"
    with pytest.raises(NotImplementedError, match=f"DoIt.token in {location}"):
        parse(operation, {}, b"", None, b"")
