"""Look at a database before it is used, or say in one line why it cannot be.

Nothing is written before all has been looked at. No line has the password.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

import asyncpg
import structlog

from greenroom.storage.base import StoreForeign, StoreRefused, StoreUnreachable, StoreUnwritable
from greenroom.storage.postgres.failures import ERRORS, reason
from greenroom.storage.postgres.session import (
    SCHEMA,
    Connection,
    Password,
    ReadOnlyServer,
    Waits,
    connect,
)
from greenroom.storage.postgres.upgrading import upgrade
from greenroom.storage.schema import POSTGRES, steps

LEAST = 15
"""The oldest version of PostgreSQL that is supported."""

_LOOK = """
SELECT pg_backend_pid() AS backend, current_setting('server_encoding') AS encoding
"""

_FORBIDDEN = """
SELECT relname FROM pg_class
WHERE relnamespace = $1::text::regnamespace AND relkind = 'r' AND NOT (
    has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
    AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')
) AND relname <> 'schema_steps'
ORDER BY relname
"""

T = TypeVar("T")

_log = structlog.get_logger()


async def prepare(url: str, password: Password, waits: Waits) -> None:
    """Check the database, and bring its schema to the newest step.

    Raises:
        StoreUnreachable: nobody answers, or who answers does not let us in.
        StoreUnwritable: it takes no writes, or the role may not do what is needed.
        StoreForeign: what answers, or what is there, cannot be used; it was not touched.
    """

    async def bring(connection: Connection, where: str) -> None:
        await upgrade(connection, steps(POSTGRES), where)
        await _check_privileges(connection, where)
        if await connection.fetchval("SHOW fsync") == "off":
            _log.warning("the database does not wait for the disk (fsync is off)", where=where)

    await visit(url, password, waits, bring)


async def visit(
    url: str, password: Password, waits: Waits, do: Callable[[Connection, str], Awaitable[T]]
) -> T:
    """Check the database, then do something with a connection, and the database's name in words.

    Raises:
        StoreRefused: as for `prepare`.
    """
    where = name_of(url)
    another = partial(connect, url, password, waits)
    try:
        connection = await another()
        try:
            await _check(connection, another, where)
            return await do(connection, where)
        finally:
            connection.terminate()
    except (*ERRORS, ValueError) as error:
        raise refused(error, where) from error


def name_of(url: str) -> str:
    """Return the database in words, without who asks for it."""
    parts = urlsplit(url)
    servers = parts.netloc.rpartition("@")[2] or "the local socket"
    return f"PostgreSQL at {servers}, database {parts.path.strip('/') or 'of the role'}"


def check_version(major: int, where: str) -> None:
    """Return if the server is new enough.

    Raises:
        StoreForeign: it is not.
    """
    if major < LEAST:
        raise StoreForeign(f"{where}: version {major} is too old; the least is {LEAST}")


async def _check(
    connection: Connection, another: Callable[[], Awaitable[Connection]], where: str
) -> None:
    check_version(connection.get_server_version().major, where)
    found = await connection.fetchrow(_LOOK)
    if found is None or found["encoding"] != "UTF8":
        raise StoreForeign(f"{where}: its encoding is not UTF8: create one with ENCODING 'UTF8'")
    if found["backend"] != connection.get_server_pid():
        # Somebody is between who does not tell which connection of his is ours.
        other = await another()
        try:
            await check_pooler(connection, other, where)
        finally:
            other.terminate()


async def _check_privileges(connection: Connection, where: str) -> None:
    forbidden = [name for (name,) in await connection.fetch(_FORBIDDEN, SCHEMA)]
    if forbidden:
        raise StoreUnwritable(
            f"{where}: the role may not SELECT, INSERT, UPDATE and DELETE in"
            f" {SCHEMA}.{forbidden[0]}"
            f" (tables it may not: {len(forbidden)}): grant it on all tables in schema {SCHEMA}"
        )


async def check_pooler(connection: Connection, other: Connection, where: str) -> None:
    """Look whether each of two connections has a connection to the server of its own.

    Raises:
        StoreForeign: a pooler lends connections for a transaction or a statement.
    """
    try:
        lent = await _are_lent(connection, other)
    except ERRORS as error:
        # It has no second one to lend, or does not lend for transactions.
        raise _pooled(where) from error
    if lent:
        raise _pooled(where)


async def _are_lent(connection: Connection, other: Connection) -> bool:
    first = await _backend(connection)
    await other.execute("BEGIN")
    # What `other` holds now cannot be lent: a pooler that lends has to give another one.
    backends = {first, await _backend(connection), await _backend(connection)}
    return len(backends) > 1 or await _backend(other) in backends


async def _backend(connection: Connection) -> int:
    backend: int = await connection.fetchval("SELECT pg_backend_pid()")
    return backend


def _pooled(where: str) -> StoreForeign:
    return StoreForeign(
        f"{where}: a pooler, such as pgbouncer in the mode transaction or statement, lends each"
        " transaction another connection: set pool_mode to session, or name the server itself"
    )


def refused(error: BaseException, where: str) -> StoreRefused:
    """Return what to tell the operator about an error of the database during the start."""
    if isinstance(error, ReadOnlyServer | asyncpg.ReadOnlySQLTransactionError):
        return StoreUnwritable(f"{where} takes no writes: {ReadOnlyServer()}")
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return StoreUnwritable(f"{where}: none of the servers is the primary")
    if isinstance(error, asyncpg.DiskFullError | asyncpg.InsufficientPrivilegeError):
        return StoreUnwritable(f"{where}: {_words(error)}")
    pooled = (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError)
    if isinstance(error, pooled):
        return _pooled(where)
    if isinstance(error, TimeoutError | asyncio.CancelledError):
        return StoreUnreachable(f"{where} does not answer")
    return StoreUnreachable(f"{where} cannot be used: {_words(error)}")


def _words(error: BaseException) -> str:
    return reason(error).partition(": ")[2] or reason(error)
