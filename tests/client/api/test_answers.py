"""What an answer of the service is to its caller: a result, or an error that may be tried again."""

import json

import pytest

from greenroom.client.api.answers import CLOCK_SKEWED, EXPIRED, THROTTLED, Answer, body_of, error_of
from greenroom.client.api.errors import ConflictException, IvschatError


def answer(status: int, body: object = None, **headers: str) -> Answer:
    """Return an answer; names of headers have `_` for `-`."""
    text = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, "Reason", named, text)


def error(given: Answer, *, skew: bool = False) -> IvschatError:
    """Return the error that an answer holds."""
    return error_of(given, correct_clock_skew=skew)


@pytest.mark.parametrize(
    ("body", "headers", "code", "message"),
    [
        ({"__type": "ns#SomeException", "message": "m"}, {}, "SomeException", "m"),
        ({"code": "Code", "Message": "M"}, {}, "Code", "M"),
        ({"Code": "Code"}, {}, "Code", ""),
        ({"__type": "First", "code": "Second", "message": "m", "Message": "M"}, {}, "First", "m"),
        ({"message": "m"}, {"x_amzn_errortype": "Header:more"}, "Header", "m"),
        ({}, {}, "UnknownError", ""),
        (None, {}, "UnknownError", "418"),
        (None, {"x_amzn_errortype": "Header"}, "Header", "418"),
        (b"<html>", {}, "UnknownError", "Reason"),
        ([1], {}, "UnknownError", "Reason"),
        (
            {"__type": "RequestEntityTooLarge", "message": "m"},
            {},
            "RequestEntityTooLarge",
            "Request body must be less than 1 MB",
        ),
    ],
)
def test_codes_and_messages(body: object, headers: dict[str, str], code: str, message: str) -> None:
    """From the body, else from the header, else from the status line; further members are kept."""
    found = error(answer(418, body, x_amzn_requestid="id", **headers))
    assert (found.code, found.message, found.status_code) == (code, message, 418)
    assert (found.request_id, str(found)) == ("id", f"{code}: {message}")
    assert found.retryable is False


def test_modelled_errors() -> None:
    """Each is of its class, with its members but those that every error has."""
    body = {"__type": "ConflictException", "message": "m", "resourceId": "r", "code": "c"}
    found = error(answer(409, body))
    assert isinstance(found, ConflictException)
    assert found.resource_id == "r"
    assert found.members == {"__type": "ConflictException", "resourceId": "r"}


@pytest.mark.parametrize(
    ("status", "redirects"), [(299, False), (300, True), (301, True), (399, True), (400, False)]
)
def test_redirects(status: int, redirects: bool) -> None:
    """Such an answer is tried again at the place that it names, if it names one."""
    found = error(answer(status, location="https://there"))
    assert found.location == ("https://there" if redirects else None)
    assert found.retryable is redirects
    assert error(answer(status)).retryable is False


@pytest.mark.parametrize(
    ("status", "retryable"), [(428, False), (429, True), (430, False), (499, False), (500, True)]
)
def test_statuses_that_are_tried_again(status: int, retryable: bool) -> None:
    """Too many requests, and the service's own failures."""
    assert error(answer(status, {})).retryable is retryable


@pytest.mark.parametrize("code", sorted(THROTTLED | EXPIRED | CLOCK_SKEWED))
@pytest.mark.parametrize("skew", [True, False])
def test_codes_that_are_tried_again(code: str, skew: bool) -> None:
    """Whatever the status; those of a wrong clock only by who corrects it."""
    found = error(answer(400, {"__type": code}), skew=skew)
    assert found.retryable is (code in THROTTLED | EXPIRED or skew)


@pytest.mark.parametrize(
    ("code", "message", "retryable"),
    [
        ("SomeSignatureError", "Signature expired: now", True),
        ("SomeSignatureError", "Signature is wrong", False),
        ("SomeError", "Signature expired: now", False),
    ],
)
def test_signatures_that_have_expired(code: str, message: str, retryable: bool) -> None:
    """They are made anew."""
    assert error(answer(403, {"__type": code, "message": message})).retryable is retryable


def test_names_of_requests() -> None:
    """Either header has one."""
    assert answer(200, x_amz_request_id="a", x_amzn_requestid="b").request_id == "a"
    assert answer(200, x_amzn_requestid="b").request_id == "b"
    assert answer(200).request_id is None


def test_results() -> None:
    """An empty body is one without members; what is no object is an error."""
    assert body_of(answer(200, {"a": 1})) == {"a": 1}
    assert body_of(answer(204)) == {}
    for body in (b"<html>", b"[]", b'{"a": "\xff"}'):
        with pytest.raises(IvschatError, match="not a JSON object") as refused:
            body_of(answer(200, body, x_amzn_requestid="id"))
        assert (refused.value.code, refused.value.status_code) == ("UnknownError", 200)
        assert refused.value.request_id == "id"
