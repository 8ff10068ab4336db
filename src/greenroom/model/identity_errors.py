"""Errors about identities, with the codes and statuses of the IAM API (version 2010-05-08).

ServiceError
├── NoSuchEntity                        404
├── EntityAlreadyExists                 409
├── DeleteConflict                      409
├── LimitExceeded                       409
└── InvalidInput                        400

The class name is the wire code.
"""

from greenroom.model.errors import ServiceError


class IdentityError(ServiceError):
    """An answer about users, roles, access keys and policies."""

    status = 400


class NoSuchEntity(IdentityError):
    """The user, role, policy, version or key does not exist."""

    status = 404


class EntityAlreadyExists(IdentityError):
    """The name is taken, perhaps in another case."""

    status = 409


class DeleteConflict(IdentityError):
    """Something else must be deleted or detached first."""

    status = 409


class LimitExceeded(IdentityError):
    """A quota would be exceeded."""

    status = 409


class InvalidInput(IdentityError):
    """A value cannot be used for what it was given for."""
