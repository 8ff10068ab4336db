"""Turn an HTTP answer into a result or an error."""

import json

import msgspec

from greenroom.client.api.errors import MODELLED, IvschatError

THROTTLED = frozenset(
    {
        *("ProvisionedThroughputExceededException", "Throttling", "ThrottlingException"),
        *("RequestLimitExceeded", "RequestThrottled", "RequestThrottledException"),
        *("TooManyRequestsException", "TransactionInProgressException", "EC2ThrottledException"),
    }
)
"""Codes of too many requests, beside the status 429."""

CLOCK_SKEWED = frozenset(
    {
        *("RequestTimeTooSkewed", "RequestExpired", "InvalidSignatureException"),
        *("SignatureDoesNotMatch", "AuthFailure", "RequestInTheFuture"),
    }
)
"""Codes that a wrong clock may be the reason for."""

EXPIRED = frozenset({"RequestExpired", "ExpiredTokenException", "ExpiredToken"})
"""Codes of credentials that are valid no longer."""


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer."""

    status: int
    reason: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def request_id(self) -> str | None:
        """Return the service's name for the request."""
        return self.headers.get("x-amz-request-id") or self.headers.get("x-amzn-requestid")


def body_of(answer: Answer) -> dict[str, object]:
    """Return the members of a successful answer.

    Raises:
        IvschatError: it is not JSON.
    """
    try:
        return msgspec.json.decode(answer.body or b"{}", type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise IvschatError(
            "UnknownError",
            "the answer is not a JSON object",
            status_code=answer.status,
            request_id=answer.request_id,
            retryable=answer.status >= 500,
        ) from None


def error_of(answer: Answer, *, correct_clock_skew: bool) -> IvschatError:
    """Return the error that an answer holds."""
    code = (answer.headers.get("x-amzn-errortype") or "UnknownError").split(":")[0]
    message = str(answer.status)
    members: dict[str, object] = {}
    if answer.body:
        try:
            members = json.loads(answer.body)
            named = members.get("__type") or members.get("code") or members.get("Code")
            message = str(members.get("message") or members.get("Message") or "")
        except (ValueError, AttributeError):
            members, named, message = {}, None, answer.reason
        code = str(named).rsplit("#", 1)[-1] if named else code
    if code == "RequestEntityTooLarge":
        message = "Request body must be less than 1 MB"
    error = MODELLED.get(code, IvschatError)(
        code,
        message,
        status_code=answer.status,
        request_id=answer.request_id,
        members={k: v for k, v in members.items() if k not in {"code", "message"}},
        retryable=_retryable(code, message, answer.status, correct_clock_skew=correct_clock_skew),
    )
    if 300 <= answer.status < 400:
        error.location = answer.headers.get("location")
        error.retryable = error.location is not None
    return error


def _retryable(code: str, message: str, status: int, *, correct_clock_skew: bool) -> bool:
    return (
        status == 429
        or status >= 500
        or code in THROTTLED
        or code in EXPIRED
        or ("Signature" in code and "expired" in message)
        or (correct_clock_skew and code in CLOCK_SKEWED)
    )
