"""Every error that a client can receive: one hierarchy with wire codes, statuses and members.

ServiceError
├── ValidationException                 400
├── AccessDeniedException               403
├── PendingVerification                 403
├── ResourceNotFoundException           404
├── ConflictException                   409
├── ServiceQuotaExceededException       402
├── MessageRejectedException            406   of Greenroom's own model
├── ThrottlingException                 429
├── InternalServerException             500
├── ServiceUnavailableException         503   not in the service model
├── UnsupportedMediaTypeException       415   not in the service model
├── RequestEntityTooLargeException      413   not in the service model
└── AuthenticationError                       not in the service model; AWS's common errors
    ├── MissingAuthenticationTokenException  403
    ├── IncompleteSignatureException         400
    ├── UnrecognizedClientException          403
    ├── ExpiredTokenException                403
    ├── InvalidSignatureException            403
    ├── SignatureDoesNotMatch                403
    └── RequestExpired                       400

The class name is the wire code. The messaging plane answers with `status` as its `ErrorCode`.
Statuses of modelled errors: the ivschat service model (API version 2020-07-14).
"""

from enum import StrEnum
from typing import ClassVar

import msgspec


class ValidationReason(StrEnum):
    """The `reason` member of a ValidationException."""

    UNKNOWN_OPERATION = "UNKNOWN_OPERATION"
    FIELD_VALIDATION_FAILED = "FIELD_VALIDATION_FAILED"
    OTHER = "OTHER"


class FieldError(msgspec.Struct, frozen=True):
    """One field that failed: its path (`messageReviewHandler.uri`, `tags.key`) and the rule."""

    name: str
    message: str


class ServiceError(Exception):
    """An answer to the client that something was wrong, with everything the wire needs."""

    status: ClassVar[int] = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def code(self) -> str:
        """Return the wire code, which is the class name."""
        return type(self).__name__

    def members(self) -> dict[str, object]:
        """Return the modelled members beside `message`."""
        return {}


class ValidationException(ServiceError):
    """The input fails to satisfy the constraints of the service."""

    status = 400

    def __init__(
        self,
        message: str,
        reason: ValidationReason = ValidationReason.OTHER,
        fields: tuple[FieldError, ...] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.fields = fields

    @classmethod
    def of_fields(cls, *fields: FieldError) -> "ValidationException":
        """Return one error that reports every failed field.

        The wording follows the only text known from the real service: "Request member: uri
        failed to satisfy the constraints: invalid lambda permission".
        """
        message = "; ".join(
            f"Request member: {field.name} failed to satisfy the constraints: {field.message}"
            for field in fields
        )
        return cls(message, ValidationReason.FIELD_VALIDATION_FAILED, tuple(fields))

    def members(self) -> dict[str, object]:
        members: dict[str, object] = {"reason": self.reason.value}
        if self.fields:
            members["fieldList"] = [
                {"name": field.name, "message": field.message} for field in self.fields
            ]
        return members


class _ResourceError(ServiceError):
    """An error about one resource; `resource_id` is the bare id, not the ARN."""

    def __init__(self, message: str, *, resource_id: str, resource_type: str) -> None:
        super().__init__(message)
        self.resource_id = resource_id
        self.resource_type = resource_type

    def members(self) -> dict[str, object]:
        return {"resourceId": self.resource_id, "resourceType": self.resource_type}


class ResourceNotFoundException(_ResourceError):
    """The resource does not exist, or belongs to another account or region."""

    status = 404


class ConflictException(_ResourceError):
    """The resource is in a state that forbids the change."""

    status = 409


class _LimitError(_ResourceError):
    """An error about a limit, whose value is a member."""

    def __init__(self, message: str, *, resource_id: str, resource_type: str, limit: int) -> None:
        super().__init__(message, resource_id=resource_id, resource_type=resource_type)
        self.limit = limit

    def members(self) -> dict[str, object]:
        return {**super().members(), "limit": self.limit}


class ServiceQuotaExceededException(_LimitError):
    """A quota on the number of resources would be exceeded. 402, not 400."""

    status = 402


class MessageRejectedException(ServiceError):
    """A message may not be shown: a review, or a rule of the room, said so."""

    status = 406

    def members(self) -> dict[str, object]:
        return {"reason": self.message}


class ThrottlingException(_LimitError):
    """A rate was exceeded. The SDKs retry it."""

    status = 429


class AccessDeniedException(ServiceError):
    """The caller may not do this."""

    status = 403


class PendingVerification(ServiceError):
    """The account is pending verification."""

    status = 403


class InternalServerException(ServiceError):
    """Something failed on our side; the log has the details under the request id."""

    status = 500


class ServiceUnavailableException(ServiceError):
    """The service cannot take the request now. The SDKs retry it."""

    status = 503


class UnsupportedMediaTypeException(ServiceError):
    """The request body is not JSON by its content type."""

    status = 415


class RequestEntityTooLargeException(ServiceError):
    """The request body is larger than the limit."""

    status = 413


class AuthenticationError(ServiceError):
    """The request's signature was not accepted (AWS General Reference, Common Errors)."""

    status = 403


class MissingAuthenticationTokenException(AuthenticationError):
    """The request carries no signature at all."""


class IncompleteSignatureException(AuthenticationError):
    """The signature does not have the form that AWS defines."""

    status = 400


class UnrecognizedClientException(AuthenticationError):
    """The access key does not exist, or the security token is not valid."""


class ExpiredTokenException(AuthenticationError):
    """The temporary credentials have expired, or those issued until some time were revoked."""


class InvalidSignatureException(AuthenticationError):
    """The signature was made with another secret, for another request, or at another time."""


class SignatureDoesNotMatch(AuthenticationError):
    """The credential scope is not the one of this request: date, region or service."""


class RequestExpired(AuthenticationError):
    """A presigned request is used after its expiry."""

    status = 400
