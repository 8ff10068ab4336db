"""How the database is, as who looks after it wants to know: settings, sessions, what waits in it.

Nothing is written. What a start would refuse is refused here, too.
"""

from collections.abc import Mapping

import msgspec

from greenroom.storage.postgres import opening
from greenroom.storage.postgres.session import Connection, Password, Waits
from greenroom.storage.postgres.upgrading import newest
from greenroom.storage.schema import POSTGRES, steps

SETTINGS = (
    *("fsync", "full_page_writes", "synchronous_commit", "max_connections"),
    *("superuser_reserved_connections", "data_checksums", "synchronous_standby_names"),
)
"""What of the server's settings is looked at."""

_CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_OLDEST = "(SELECT time_ns FROM journal WHERE queue = key ORDER BY sequence LIMIT 1)"
_WAITING = f"""
SELECT configuration, coalesce(sum(records), 0)::bigint - removed_records AS records,
    {_OLDEST} AS oldest_ns
FROM journal_queues LEFT JOIN journal_added ON queue = key
GROUP BY key HAVING coalesce(sum(records), 0) > removed_records
ORDER BY records DESC LIMIT 50
"""


class Waiting(msgspec.Struct, frozen=True):
    """Records of chat logs that a logging configuration's destination has not taken yet."""

    configuration: str
    records: int
    oldest_ns: int


class Position(msgspec.Struct, frozen=True):
    """Up to which message a stream was read into the journal."""

    created: str
    sequence: int


class Surveyed(msgspec.Struct, frozen=True):
    """What was found; without a schema of ours there is nothing in it."""

    where: str
    version: str
    clock_ns: int
    schema: int
    newest_schema: int
    settings: Mapping[str, str]
    sessions: int
    """Connections that there are, of anybody."""
    positions: Mapping[int, Position] = {}
    waiting: tuple[Waiting, ...] = ()


async def survey(url: str, password: Password) -> Surveyed:
    """Look at the database of the URL.

    Raises:
        StoreRefused: a start would be refused; see `PostgresStore.open`.
    """

    async def look(connection: Connection, where: str) -> Surveyed:
        step = await newest(connection, steps(POSTGRES), where)
        version = connection.get_server_version()
        clock_ns = 1_000 * await connection.fetchval(_CLOCK)
        found = await connection.fetch(
            "SELECT name, setting FROM pg_settings WHERE name = ANY($1::text[])", SETTINGS
        )
        return Surveyed(
            where=where,
            version=f"{version.major}.{version.minor}",
            clock_ns=clock_ns,
            schema=step or 0,
            newest_schema=steps(POSTGRES)[-1].number,
            settings={str(name): str(setting) for name, setting in found},
            sessions=await connection.fetchval("SELECT count(*) FROM pg_stat_activity"),
            positions={} if step is None else await _positions(connection),
            waiting=() if step is None else await _waiting(connection),
        )

    return await opening.visit(url, password, Waits(), look)


async def _positions(connection: Connection) -> dict[int, Position]:
    rows = await connection.fetch("SELECT stream, created, sequence FROM stream_positions")
    return {stream: Position(created, sequence) for stream, created, sequence in rows}


async def _waiting(connection: Connection) -> tuple[Waiting, ...]:
    rows = await connection.fetch(_WAITING)
    return tuple(Waiting(*row) for row in rows)
