"""The shared database as what everything moves from, or to: one transaction, without nodes.

- **Nobody else.** Sessions of nodes are looked for, and the tables are held: nothing changes while
  they are read, and nobody sees anything of them before all is there.
- **All or nothing.** What is not committed is as if it had never been; so who is killed leaves
  nothing behind but empty tables.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg

from greenroom.storage.base import StoreForeign, StoreInUse
from greenroom.storage.moving import ROWS
from greenroom.storage.postgres import opening
from greenroom.storage.postgres.session import (
    SCHEMA,
    Connection,
    Password,
    Waits,
    escaped,
    unescaped,
)
from greenroom.storage.postgres.upgrading import newest
from greenroom.storage.schema import POSTGRES, steps
from greenroom.storage.tables import COUNT_ADDED, NUMBERS_USED, STAY, TABLES, Row, Table

WAITS = Waits(connect=10.0, statement=3600.0)
"""A statement may read all there is."""

LOOKS = 10
LOOK_SECONDS = 0.3
"""How often, and how long apart, it is looked whether sessions that have just ended are gone."""

LOCK_SECONDS = 3.0
"""How long is waited for others who use the tables."""

T = TypeVar("T")

_HELD = ", ".join(
    [*(table.name for table in TABLES), *(name for name in STAY if name != "schema_steps")]
)

_NODES = """
SELECT DISTINCT coalesce(host(client_addr), 'a local socket') FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'greenroom' AND pid <> pg_backend_pid()
"""

_IDENTITIES = """
SELECT relname, attname, pg_get_serial_sequence(format('%I.%I', $1::text, relname), attname)
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = $1::text::regnamespace AND relkind = 'r' AND attidentity <> ''
"""


class PostgresSide:
    """A `Source` and a `Target` over one connection, in its transaction."""

    def __init__(self, connection: Connection, where: str) -> None:
        self._connection = connection
        self.where = where

    async def secret(self, name: str) -> bytes | None:
        """Return what is kept under the name."""
        found: bytes | None = await self._connection.fetchval(
            "SELECT value FROM secrets WHERE name = $1", name
        )
        return found

    async def positions(self) -> dict[int, tuple[str, int]]:
        """Return for each stream of the bus that was read which one it was, and up to where."""
        rows = await self._connection.fetch(
            "SELECT stream, created, sequence FROM stream_positions"
        )
        return {stream: (created, sequence) for stream, created, sequence in rows}

    async def counts(self) -> dict[str, int]:
        return {
            table.name: await self._connection.fetchval(table.counted(table.postgres))
            for table in TABLES
        }

    async def rows(self, table: Table) -> AsyncGenerator[list[Row], None]:
        cursor = await self._connection.cursor(table.select(table.postgres))
        while rows := await cursor.fetch(ROWS):
            yield [tuple(map(_taken, row)) for row in rows]

    async def numbers(self) -> int:
        return int(await self._connection.fetchval(NUMBERS_USED))

    async def add(self, table: Table, rows: Sequence[Row]) -> None:
        own = table.postgres
        starts = tuple(own.starts.values())
        await self._connection.copy_records_to_table(
            table.name,
            schema_name=SCHEMA,
            columns=table.written(own),
            records=[(*map(_given, row), *starts) for row in rows],
        )

    async def finish(self, numbers: int) -> None:
        await self._connection.execute(COUNT_ADDED)
        for table, column, sequence in await self._connection.fetch(_IDENTITIES, SCHEMA):
            used = await self._connection.fetchval(f"SELECT max({column}) FROM {table}") or 0
            used = max(used, numbers) if table == "journal" else used
            await self._connection.execute(
                "SELECT setval($1::text::regclass, $2, $3)", sequence, max(used, 1), used > 0
            )


def _taken(value: object) -> object:
    return unescaped(value) if isinstance(value, str) else value


def _given(value: object) -> object:
    return escaped(value) if isinstance(value, str) else value


async def reading(url: str, password: Password, do: Callable[[PostgresSide], Awaitable[T]]) -> T:
    """Let somebody read the database, in which nothing changes meanwhile.

    Raises:
        StoreInUse: nodes run on it.
        StoreForeign: nothing of ours is there, or it is of another version.
        StoreRefused: as for `opening.prepare`.
    """

    async def read(connection: Connection, where: str) -> T:
        present, known = (
            await newest(connection, steps(POSTGRES), where),
            steps(POSTGRES)[-1].number,
        )
        if present is None:
            raise StoreForeign(f"{where} holds nothing of Greenroom's: is it the right database?")
        if present != known:
            raise StoreForeign(
                f"{where} is of an older version (schema {present}, this one's is {known}):"
                " start and stop a node of this version on it once"
            )
        return await do(await _alone(connection, where, "REPEATABLE READ", "SHARE"))

    return await opening.visit(url, password, WAITS, read)


async def filling(url: str, password: Password, do: Callable[[PostgresSide], Awaitable[T]]) -> T:
    """Let somebody fill the database, which gets our schema; what he wrote is kept at the end.

    Raises:
        StoreInUse: nodes run on it.
        StoreRefused: as for `opening.prepare`.
    """

    async def fill(connection: Connection, where: str) -> T:
        done = await do(await _alone(connection, where, "READ COMMITTED", "ACCESS EXCLUSIVE"))
        await connection.execute("COMMIT")
        return done

    await opening.prepare(url, password, WAITS)
    return await opening.visit(url, password, WAITS, fill)


async def _alone(connection: Connection, where: str, isolation: str, mode: str) -> PostgresSide:
    """Begin a transaction in which nobody else changes anything."""
    # COPY and the cursors take texts as they are kept.
    await connection.reset_type_codec("text", schema="pg_catalog")
    await connection.execute(
        f"SET idle_in_transaction_session_timeout = '5min'; SET lock_timeout = '{LOCK_SECONDS}s'"
    )
    await _without_nodes(connection, where)
    await connection.execute(f"BEGIN ISOLATION LEVEL {isolation}")
    try:
        await connection.execute(f"LOCK TABLE {_HELD} IN {mode} MODE")
    except asyncpg.LockNotAvailableError:
        raise StoreInUse(f"{where}: somebody else uses its tables: stop that first") from None
    return PostgresSide(connection, where)


async def _without_nodes(connection: Connection, where: str) -> None:
    nodes: list[str] = []
    for _ in range(LOOKS):
        nodes = sorted(address for (address,) in await connection.fetch(_NODES))
        if not nodes:
            return
        await asyncio.sleep(LOOK_SECONDS)
    raise StoreInUse(f"{where} is in use by nodes on {', '.join(nodes)}: stop all of them first")
