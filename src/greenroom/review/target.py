"""The port to what runs a review handler, and every way in which asking it fails."""

from enum import StrEnum
from typing import Protocol


class Failure(StrEnum):
    """Why a handler could not be invoked."""

    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    ADDRESS_REFUSED = "address_refused"
    NOT_FOUND = "not_found"
    FORBIDDEN = "forbidden"
    NO_CREDENTIALS = "no_credentials"
    OWN_CREDENTIALS = "own_credentials"
    THROTTLED = "throttled"
    HANDLER_ERROR = "handler_error"
    BAD_STATUS = "bad_status"
    TOO_MANY_WAITING = "too_many_waiting"
    CIRCUIT_OPEN = "circuit_open"
    CRASHED = "crashed"

    @property
    def meaning(self) -> str:
        """Return what it means, in a few words."""
        return _MEANINGS[self]


_MEANINGS = {
    Failure.TIMED_OUT: "no answer within the time limit",
    Failure.UNREACHABLE: "no connection, no TLS, or no HTTP",
    Failure.ADDRESS_REFUSED: "the endpoint's name has only addresses that are not allowed",
    Failure.NOT_FOUND: "Lambda has no such function, alias or version",
    Failure.FORBIDDEN: "Lambda refused the credentials, or they may not invoke the function",
    Failure.NO_CREDENTIALS: "no AWS credentials were found",
    Failure.OWN_CREDENTIALS: (
        "the AWS credentials that were found are Greenroom's own root key, and `lambda_endpoint` is"
        " not set"
    ),
    Failure.THROTTLED: "Lambda or the endpoint answered 429",
    Failure.HANDLER_ERROR: "the function raised an error",
    Failure.BAD_STATUS: "any other status but 200, redirects among them",
    Failure.TOO_MANY_WAITING: "too many messages wait for the handler, or all threads are busy",
    Failure.CIRCUIT_OPEN: "the handler is not asked for a while",
    Failure.CRASHED: "a fault in Greenroom: please report it",
}


class InvocationFailed(Exception):
    """The handler gave no answer; `why` is for the log, and holds nothing of a message."""

    def __init__(self, failure: Failure, why: str = "") -> None:
        super().__init__(f"{failure}: {why}" if why else failure.value)
        self.failure = failure
        self.why = why


class ReviewTarget(Protocol):
    """Runs the handlers of some ARNs."""

    async def prepare(self, uri: str) -> None:
        """Get at hand what no handler has a part in, such as credentials. Never raises."""

    async def invoke(self, uri: str, event: bytes) -> bytes:
        """Return the handler's answer to an event, a little more than the bound if it is larger.

        There is no time limit here: the caller cancels.

        Raises:
            InvocationFailed: there is none.
        """

    async def problem(self, uri: str) -> str | None:
        """Return why the function may not be a room's handler, or None: also when unknown."""

    async def close(self) -> None:
        """Let go of connections and threads; what is under way may fail."""
