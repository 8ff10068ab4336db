"""What an error of PostgreSQL, or of the way to it, means."""

from enum import Enum, auto

import asyncpg

from greenroom.process.os_error import in_words
from greenroom.storage.base import StorageUnavailable

ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""All that a statement or a connection may raise; a time limit that is over is an OSError."""


class Meaning(Enum):
    """What to do now."""

    LOST = auto()
    """The connection is of no use any more, or there is none: try again with another one."""
    CONFLICT = auto()
    """Another transaction was in the way: run the call once more."""
    FAULT = auto()
    """Trying again would not help."""


_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.ReadOnlySQLTransactionError,  # it has become a replica; another one is the primary
)

_CONFLICT = (
    asyncpg.TransactionRollbackError,  # serialization failures, deadlocks
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.UniqueViolationError,  # another node was faster: run again, the call sees its row
    asyncpg.exceptions.InvalidCachedStatementError,  # a schema step has passed
)


def meaning_of(error: Exception) -> Meaning:
    """Return what one of `ERRORS` means."""
    if isinstance(error, _CONFLICT):
        return Meaning.CONFLICT
    return Meaning.LOST if isinstance(error, _LOST) else Meaning.FAULT


def reason(error: BaseException) -> str:
    """Return the error in words for the log: nothing that a statement was given is in it."""
    name = type(error).__name__
    # "Data exception": such a message quotes the value.
    if isinstance(error, asyncpg.DataError):
        return name
    said = in_words(error)
    return name if said == name else f"{name}: {said}"


def unavailable(cause: BaseException) -> StorageUnavailable:
    """Return the error of a call that the database did not perform, for this reason."""
    error = StorageUnavailable("The store cannot answer now")
    error.__cause__ = cause
    return error
