import gzip
import hashlib
import json
import pkgutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.loaders import Loader
from hypothesis import given
from hypothesis import strategies as st

from greenroom.aws import service
from greenroom.aws.service import API_VERSION, OPERATIONS, operations, route
from greenroom.aws.shapes import Operation, read_model
from greenroom.model.errors import ServiceError, ValidationException

ARN = "arn:aws:ivschat:us-west-2:123456789012:room/AbCdEf123456"

POSTED = (
    "CreateChatToken",
    "CreateLoggingConfiguration",
    "CreateRoom",
    "DeleteLoggingConfiguration",
    "DeleteMessage",
    "DeleteRoom",
    "DisconnectUser",
    "GetLoggingConfiguration",
    "GetRoom",
    "ListLoggingConfigurations",
    "ListRooms",
    "SendEvent",
    "UpdateLoggingConfiguration",
    "UpdateRoom",
)
TAGGING = {"GET": "ListTagsForResource", "POST": "TagResource", "DELETE": "UntagResource"}

MODEL_SHA256 = "fa838400aea0e0fddc7932d1f0cb0b84f0ea82296ec82fa939956f358aa8b593"


def without_documentation(value: Any) -> Any:
    """Return a part of the model without its prose."""
    if isinstance(value, dict):
        return {
            name: without_documentation(member)
            for name, member in value.items()
            if name != "documentation" or not isinstance(member, str)
        }
    if isinstance(value, list):
        return [without_documentation(item) for item in value]
    return value


def test_the_model_is_the_one_that_this_service_was_written_for() -> None:
    """An upgrade of botocore that changes the API must be noticed.

    When this fails, compare the two models, bring the service up to the new one, and pin it.
    """
    model = read_model("ivschat", API_VERSION)
    pinned = without_documentation({name: model[name] for name in ("operations", "shapes")})
    canonical = json.dumps(pinned, sort_keys=True, separators=(",", ":")).encode()
    assert hashlib.sha256(canonical).hexdigest() == MODEL_SHA256


def test_a_users_own_model_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's API must not depend on what lies in ~/.aws/models."""
    custom = tmp_path / "ivschat" / service.API_VERSION
    custom.mkdir(parents=True)
    (custom / "service-2.json").write_text('{"operations": {}}')
    monkeypatch.setattr(Loader, "CUSTOMER_DATA_PATH", str(tmp_path))
    assert len(read_model("ivschat", API_VERSION)["operations"]) == len(OPERATIONS)


def test_a_model_that_is_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some distributions unpack botocore's models: what is in them is the same."""
    given = pkgutil.get_data

    def unpacked(package: str, file: str) -> bytes | None:
        if file.endswith(".gz"):
            raise FileNotFoundError(file)
        packed = given(package, file + ".gz")
        return packed and gzip.decompress(packed)

    model = read_model("ivschat", API_VERSION)
    monkeypatch.setattr(pkgutil, "get_data", unpacked)
    assert read_model("ivschat", API_VERSION) == model


def test_there_are_seventeen_operations() -> None:
    """Every operation of the API is known, under its name."""
    assert sorted(OPERATIONS) == sorted([*POSTED, *TAGGING.values()])
    assert all(operation.name == name for name, operation in OPERATIONS.items())


def test_a_model_with_an_operation_without_input() -> None:
    """Nothing in the service would know what to do with it: that is told before it serves."""
    model = Mock(operation_names=["DoIt"])
    model.operation.return_value = Mock(input=None)
    model.operation.return_value.name = "DoIt"
    with pytest.raises(NotImplementedError, match="operation DoIt without input"):
        operations(model)


def test_operations_are_frozen() -> None:
    """What every request shares cannot be changed."""
    with pytest.raises(AttributeError):
        OPERATIONS["GetRoom"].status = 500  # type: ignore[misc]
    with pytest.raises(TypeError):
        OPERATIONS["GetRoom"] = OPERATIONS["ListRooms"]  # type: ignore[index]


def test_two_deletions_answer_204_without_output() -> None:
    """DeleteRoom and DeleteLoggingConfiguration have no output, everything else answers 200."""
    silent = {"DeleteRoom", "DeleteLoggingConfiguration"}
    assert {name for name, one in OPERATIONS.items() if one.status == 204} == silent
    assert {name for name, one in OPERATIONS.items() if one.output is None} == silent
    assert {one.status for one in OPERATIONS.values()} == {200, 204}


@pytest.mark.parametrize(
    ("name", "errors"),
    [
        ("CreateRoom", "ConflictException ServiceQuotaExceededException PendingVerification"),
        ("DeleteMessage", "ThrottlingException"),
        ("ListTagsForResource", "InternalServerException ResourceNotFoundException"),
        ("UpdateLoggingConfiguration", "ConflictException"),
    ],
)
def test_operations_know_their_errors(name: str, errors: str) -> None:
    """The errors that the model declares for an operation are listed with it."""
    assert set(errors.split()) <= OPERATIONS[name].errors
    assert "ValidationException" in OPERATIONS[name].errors


@pytest.mark.parametrize("name", POSTED)
def test_most_operations_are_posted_to_their_name(name: str) -> None:
    """POST /Name reaches the operation; other methods, cases and endings do not."""
    assert route("POST", f"/{name}") == (OPERATIONS[name], {})
    for method, path in [
        ("GET", f"/{name}"),
        ("post", f"/{name}"),
        ("POST", f"/{name.lower()}"),
        ("POST", f"/{name}/"),
        ("POST", f"//{name}"),
        ("POST", f"/prefix/{name}"),
        ("POST", f"/%{ord(name[0]):02X}{name[1:]}"),
    ]:
        with pytest.raises(ValidationException, match="Unknown operation"):
            route(method, path)


@pytest.mark.parametrize("method", TAGGING)
@pytest.mark.parametrize(
    "path",
    [
        "arn%3Aaws%3Aivschat%3Aus-west-2%3A123456789012%3Aroom%2FAbCdEf123456",
        "arn%3aaws%3aivschat%3aus-west-2%3a123456789012%3aroom%2fAbCdEf123456",
        "arn:aws:ivschat:us-west-2:123456789012:room/AbCdEf123456",
        "arn:aws:ivschat:us-west-2:123456789012:room%2FAbCdEf123456",
    ],
)
def test_an_arn_in_the_path_may_be_encoded_or_plain(method: str, path: str) -> None:
    """SDKs send an ARN as one encoded segment, hand-written clients also as it is."""
    operation, labels = route(method, f"/tags/{path}")
    assert operation is OPERATIONS[TAGGING[method]]
    assert labels == {"resourceArn": ARN}


def test_a_label_is_decoded_once_and_plus_is_a_plus() -> None:
    """Percent signs that were encoded stay, and `+` means a space in queries only."""
    assert route("GET", "/tags/a%252F+b%C3%BC")[1] == {"resourceArn": "a%2F+bü"}


@pytest.mark.parametrize("raw", ["%FF", "%C3", "%ED%A0%80", "\xff", "\u0100", "\ud800"])
def test_a_label_that_is_not_utf8_names_its_field(raw: str) -> None:
    """Bytes that are no UTF-8 are refused with the name of the member."""
    with pytest.raises(ValidationException) as caught:
        route("GET", f"/tags/{raw}")
    assert caught.value.members()["fieldList"] == [
        {"name": "resourceArn", "message": "must be valid UTF-8"}
    ]


@pytest.mark.parametrize(
    ("method", "path", "shown"),
    [
        ("PUT", "/tags/abc", "PUT /tags..."),
        ("GET", "/tags/", "GET /tags..."),
        ("GET", "/", "GET /"),
        ("GET", "", "GET on this path"),
        ("GET", "CreateRoom", "GET on this path"),
        ("POST", "/a/secret", "POST /a..."),
        ("POST", "/<script>", "POST /..."),
        ("POST", "/" + "x" * 5000, "POST /" + "x" * 64 + "..."),
        ("X" * 5000, "/CreateRoom", "the method /CreateRoom"),
    ],
)
def test_an_unknown_operation_says_so_in_a_few_words(method: str, path: str, shown: str) -> None:
    """The answer has the reason UNKNOWN_OPERATION, and shows no more than the first segment."""
    with pytest.raises(ValidationException) as caught:
        route(method, path)
    assert caught.value.message == f"Unknown operation: {shown}"
    assert caught.value.members() == {"reason": "UNKNOWN_OPERATION"}


@given(
    st.sampled_from(["GET", "POST", "DELETE"]) | st.text(),
    st.text()
    | st.text().map("/tags/".__add__)
    | st.binary().map(lambda raw: raw.decode("latin-1")),
)
def test_any_request_line_is_routed_or_refused(method: str, path: str) -> None:
    """Whatever the request line holds, nothing but a ServiceError comes of it."""
    try:
        operation, labels = route(method, path)
    except ServiceError as error:
        error.message.encode()
    else:
        assert isinstance(operation, Operation)
        "".join(labels.values()).encode()
