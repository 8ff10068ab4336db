"""Every error that `Ivschat` and `Greenroom` raise.

IvschatError                        whatever the service or the way to it says; `code` tells which
├── AccessDeniedException           each of the service's own errors has a class
├── ConflictException
├── InternalServerException
├── MessageRejectedException        of the service `greenroom` alone
├── PendingVerification
├── ResourceNotFoundException
├── ServiceQuotaExceededException
├── ThrottlingException
├── ValidationException
├── NetworkingError                 no answer came
│   └── TimeoutExceeded             not in time: the code is `TimeoutError`
├── CredentialsError                there is nothing to sign with
├── ConfigError                     an option is missing or wrong
└── ParameterError                  parameters were refused before anything was sent

Codes, texts and members are those of the SDK for JavaScript, version 2.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec

_NOTHING: Mapping[str, object] = MappingProxyType({})


class FieldProblem(msgspec.Struct, frozen=True):
    """A field that the service refused, and why."""

    name: str
    message: str


class IvschatError(Exception):
    """A request that failed; `str` of it shows code and message."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status_code: int | None = None,
        request_id: str | None = None,
        members: Mapping[str, object] = _NOTHING,
        retryable: bool = False,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status_code = status_code
        self.request_id = request_id
        self.members = members
        """Further members of the answer, by their names on the wire."""
        self.retryable = retryable
        """Whether another attempt may succeed; those that `max_retries` allows were made."""
        self.retry_count = 0
        """How many attempts were made beside the first one."""
        self.retry_delay: float | None = None
        """Milliseconds that were waited, or would have been, before the next attempt."""
        self.location: str | None = None
        """Where a redirect leads to."""
        self.time = datetime.now(UTC)

    def _text(self, name: str) -> str | None:
        value = self.members.get(name)
        return value if isinstance(value, str) else None


class _OfResource(IvschatError):
    """An error that names a resource."""

    @property
    def resource_id(self) -> str | None:
        """Return which resource it is about."""
        return self._text("resourceId")

    @property
    def resource_type(self) -> str | None:
        """Return of which kind the resource is, such as `ROOM`."""
        return self._text("resourceType")


class _OfLimit(_OfResource):
    """An error that names a limit."""

    @property
    def limit(self) -> int | None:
        """Return the limit that was reached."""
        value = self.members.get("limit")
        return value if isinstance(value, int) else None


class AccessDeniedException(IvschatError):
    """The permissions do not allow it."""


class ConflictException(_OfResource):
    """The resource's state does not allow it."""


class InternalServerException(IvschatError):
    """The service failed."""


class MessageRejectedException(IvschatError):
    """The message may not be sent: by a mode of the room, or by its review."""

    @property
    def reason(self) -> str | None:
        """Return what the user would be told."""
        return self._text("reason")


class PendingVerification(IvschatError):
    """The account is being looked at."""


class ResourceNotFoundException(_OfResource):
    """There is no such resource."""


class ServiceQuotaExceededException(_OfLimit):
    """There are as many resources as there may be."""


class ThrottlingException(_OfLimit):
    """There were too many requests."""


class ValidationException(IvschatError):
    """A parameter breaks a rule."""

    @property
    def reason(self) -> str | None:
        """Return `FIELD_VALIDATION_FAILED`, `UNKNOWN_OPERATION` or `OTHER`."""
        return self._text("reason")

    @property
    def field_list(self) -> tuple[FieldProblem, ...]:
        """Return each field that was refused."""
        try:
            return msgspec.convert(self.members.get("fieldList", ()), tuple[FieldProblem, ...])
        except msgspec.ValidationError:
            return ()


class NetworkingError(IvschatError):
    """No answer came; whether the request was carried out is not known."""


class TimeoutExceeded(NetworkingError):
    """No connection or no answer came in time."""


class CredentialsError(IvschatError):
    """There are no credentials to sign with."""


class ConfigError(IvschatError):
    """An option of the client is missing or wrong."""


class ParameterError(IvschatError, ValueError):
    """Parameters break rules of the service's model; nothing was sent."""

    def __init__(self, code: str, message: str, errors: "tuple[ParameterError, ...]" = ()) -> None:
        super().__init__(code, message)
        self.errors = errors
        """Each for itself, when there are several."""


MODELLED: Mapping[str, type[IvschatError]] = MappingProxyType(
    {
        each.__name__: each
        for each in (
            AccessDeniedException,
            ConflictException,
            InternalServerException,
            MessageRejectedException,
            PendingVerification,
            ResourceNotFoundException,
            ServiceQuotaExceededException,
            ThrottlingException,
            ValidationException,
        )
    }
)
"""The classes of the service's own errors, by code; any other code is an `IvschatError`."""
