"""The errors of the IAM and STS APIs that are not about what exists (see `identity_errors`).

IdentityError
├── MissingAction           400     the form of the request
├── InvalidAction           400
├── MalformedQueryString    400
├── MalformedInput          400
├── ValidationError         400     its parameters
├── InvalidClientTokenId    403     what temporary credentials cannot do
├── PackedPolicyTooLarge    400     session policies
└── Throttling              400     rates

MalformedPolicyDocument belongs to those who read documents (`policies.document`).

The class name is the wire code. Statuses: the service models of IAM (2010-05-08) and STS
(2011-06-15), and "Common Error Types" of the IAM API reference.
"""

from greenroom.model.errors import FieldError
from greenroom.model.identity_errors import IdentityError


class MissingAction(IdentityError):
    """The request names no action."""


class InvalidAction(IdentityError):
    """The action does not exist here, or not in that version."""


class MalformedQueryString(IdentityError):
    """The form or the query is not what the query protocol says."""


class MalformedInput(IdentityError):
    """A parameter stands where its operation has another kind of value."""


class ValidationError(IdentityError):
    """A parameter breaks its constraints."""

    @classmethod
    def of_fields(cls, *fields: FieldError) -> "ValidationError":
        """Return one error that reports every failed field, in IAM's words."""
        noun = "error" if len(fields) == 1 else "errors"
        return cls(
            f"{len(fields)} validation {noun} detected: "
            + "; ".join(
                f"Value at '{field.name}' failed to satisfy constraint: {field.message}"
                for field in fields
            )
        )


class InvalidClientTokenId(IdentityError):
    """The credentials exist, but not for this operation."""

    status = 403


class PackedPolicyTooLarge(IdentityError):
    """Session policies and session tags are larger than a session may carry."""


class Throttling(IdentityError):
    """A rate was exceeded. The SDKs retry it."""
