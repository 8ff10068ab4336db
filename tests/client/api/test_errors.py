"""What errors say to those who catch them."""

from datetime import UTC, datetime

import pytest

from greenroom.client import (
    FieldProblem,
    IvschatError,
    MessageRejectedException,
    ParameterError,
    ResourceNotFoundException,
    ServiceQuotaExceededException,
    ValidationException,
)


def test_an_error_of_which_little_is_known() -> None:
    """Nothing came, it is not tried again, and it was not."""
    before = datetime.now(UTC)
    error = IvschatError("Code", "text")
    assert str(error) == "Code: text"
    assert (error.code, error.message) == ("Code", "text")
    assert (error.status_code, error.request_id, dict(error.members)) == (None, None, {})
    assert (error.retryable, error.retry_count, error.retry_delay) == (False, 0, None)
    assert error.location is None
    assert before <= error.time <= datetime.now(UTC)


def test_what_an_answer_names() -> None:
    """A resource, a limit, a reason, fields: what is not there, or is of another form, is None."""
    members = {"resourceId": "r", "resourceType": "ROOM", "limit": 5, "reason": "why"}
    quota = ServiceQuotaExceededException("c", "m", members=members)
    assert (quota.resource_id, quota.resource_type, quota.limit) == ("r", "ROOM", 5)
    assert MessageRejectedException("c", "m", members=members).reason == "why"
    assert ValidationException("c", "m", members=members).reason == "why"
    odd = {"resourceId": 1, "resourceType": None, "limit": "5"}
    quota = ServiceQuotaExceededException("c", "m", members=odd)
    assert (quota.resource_id, quota.resource_type, quota.limit) == (None, None, None)
    assert ResourceNotFoundException("c", "m").resource_id is None


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([{"name": "n", "message": "m", "more": 1}], (FieldProblem("n", "m"),)),
        ([], ()),
        ("text", ()),
        ([{"name": "n"}], ()),
    ],
)
def test_fields_that_were_refused(given: object, found: object) -> None:
    """Each with why; of another form it is none."""
    assert ValidationException("c", "m", members={"fieldList": given}).field_list == found
    assert ValidationException("c", "m").field_list == ()


def test_wrong_parameters() -> None:
    """They are a wrong value, one or several."""
    one = ParameterError("c", "m")
    assert isinstance(one, ValueError)
    assert (one.errors, str(one)) == ((), "c: m")
    assert ParameterError("c", "m", (one,)).errors == (one,)
