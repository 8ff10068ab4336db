"""Errors: what the wire needs of each, held to the service model."""

from greenroom.aws.service import API_VERSION, OPERATIONS
from greenroom.aws.shapes import read_model
from greenroom.model import errors
from greenroom.model.errors import (
    FieldError,
    ServiceError,
    ValidationException,
    ValidationReason,
)
from greenroom.model.iam_errors import ValidationError


def _kinds(of: type[ServiceError]) -> set[type[ServiceError]]:
    return {of}.union(*(_kinds(kind) for kind in of.__subclasses__()))


def test_statuses_are_the_models() -> None:
    """Every error that the model declares exists, with the model's status and members."""
    shapes = read_model("ivschat", API_VERSION)["shapes"]
    declared = {code for operation in OPERATIONS.values() for code in operation.errors}
    assert declared
    for code in declared:
        kind = getattr(errors, code)
        assert kind.status == shapes[code]["error"]["httpStatusCode"]
        arguments: dict[str, object] = {}
        if "resourceId" in shapes[code]["members"]:
            arguments = {"resource_id": "i", "resource_type": "ROOM"}
        if "limit" in shapes[code]["members"]:
            arguments["limit"] = 5
        error = kind("m", **arguments)
        assert {"message", *error.members()} <= set(shapes[code]["members"])
        assert set(shapes[code].get("required", ())) <= {"message", *error.members()}


def test_every_error_is_a_client_or_server_error() -> None:
    """Each class names its code, and its status is a 4xx or 5xx."""
    for kind in _kinds(ServiceError):
        assert 400 <= kind.status <= 599


def test_all_fields_are_reported() -> None:
    """A validation error names every field that failed, in the text and in the list."""
    error = ValidationException.of_fields(FieldError("a.b", "rule 1"), FieldError("c", "rule 2"))
    assert error.members() == {
        "reason": "FIELD_VALIDATION_FAILED",
        "fieldList": [{"name": "a.b", "message": "rule 1"}, {"name": "c", "message": "rule 2"}],
    }
    assert error.message == (
        "Request member: a.b failed to satisfy the constraints: rule 1; "
        "Request member: c failed to satisfy the constraints: rule 2"
    )
    assert ValidationException("m").members() == {"reason": "OTHER"}


def test_an_error_reads_as_its_message() -> None:
    """In logs and tests, whatever else it holds."""
    error = ValidationException("too long", ValidationReason.OTHER, (FieldError("name", "m"),))
    assert (str(error), error.message) == ("too long", "too long")


def test_iams_words_for_fields() -> None:
    """One error, or so many errors, each with its field."""
    one, two = FieldError("a.b", "rule 1"), FieldError("c", "rule 2")
    words = "Value at 'a.b' failed to satisfy constraint: rule 1"
    assert str(ValidationError.of_fields(one)) == f"1 validation error detected: {words}"
    assert str(ValidationError.of_fields(one, two)) == (
        f"2 validation errors detected: {words}; Value at 'c' failed to satisfy constraint: rule 2"
    )
