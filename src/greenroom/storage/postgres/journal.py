"""The journal in PostgreSQL, shared by all nodes.

- A queue's row is locked by who makes, ends or drops its batch: on all nodes these come one after
  the other.
- A batch marks its rows. Who adds records at the same time commits them with numbers that may be
  smaller: they are in no batch, and come into the next one. Records of one stream are committed in
  their order, because each addition holds the stream's position.
- What waits in a queue is what was added less what was removed. Each stream counts what it adds in
  a row of its own: nobody waits for another one to count.
- A queue whose configuration is gone, or going, is removed when it is empty.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import asyncpg

from greenroom.model.arn import Arn, ResourceType
from greenroom.model.log_record import Record
from greenroom.model.logging_configuration import LoggingConfigurationState
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.history import NOTHING_SHOWN, Shown
from greenroom.storage.journal import (
    MAXIMUM_RECORDS,
    Backlog,
    Entry,
    Removed,
    StreamPosition,
)
from greenroom.storage.leases import Lease
from greenroom.storage.postgres import held_messages, history
from greenroom.storage.postgres.database import Database
from greenroom.storage.postgres.leases import PostgresLeases
from greenroom.storage.postgres.session import Connection

_Outcome: TypeAlias = tuple[Removed, bool]
"""What was removed, and whether the queue is empty for good."""

_APPENDING = "journal"
"""The lane of what one node accepts by itself."""

_NO_STREAM = -1


class PostgresJournal:
    """A `SharedJournal` in the database."""

    durable = True

    def __init__(self, database: Database, leases: PostgresLeases) -> None:
        self._database = database
        self._leases = leases

    async def append(self, entries: Sequence[Entry]) -> None:
        await self._database.write(_APPENDING, _append, _NO_STREAM, entries)

    async def backlogs(self) -> dict[Arn, Backlog]:
        return await self._database.read(_backlogs)

    async def backlog(self, configuration: Arn) -> Backlog:
        return await self._database.read(_backlog, configuration)

    async def waiting(self) -> list[Arn]:
        return await self._database.read(_waiting)

    async def batch(self, configuration: Arn, maximum_size: int) -> list[Record]:
        lane = str(configuration)
        return await self._database.write(lane, _batch, configuration, maximum_size)

    async def delivered(self, configuration: Arn, last: int) -> Removed:
        lane = str(configuration)
        outcome = await self._database.write(lane, _delivered, configuration, last)
        return await self._tidied(configuration, *outcome)

    async def drop(self, configuration: Arn, keep_size: int, older_than_ns: int = 0) -> Removed:
        lane = str(configuration)
        outcome = await self._database.write(lane, _drop, configuration, keep_size, older_than_ns)
        return await self._tidied(configuration, *outcome)

    async def position(self, stream: int) -> StreamPosition | None:
        return await self._database.read(_position, stream)

    async def append_from(
        self,
        stream: int,
        expected: StreamPosition | None,
        last: StreamPosition,
        entries: Sequence[Entry],
        shown: Shown = NOTHING_SHOWN,
    ) -> bool:
        lane, write = f"stream {stream}", self._database.write
        return await write(lane, _append_from, stream, expected, last, entries, shown)

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[Lease]:
        async with self._leases.lease(name) as lease:
            yield lease

    async def _tidied(self, configuration: Arn, removed: Removed, is_over: bool) -> Removed:
        if is_over:
            # It is removed another time, if not now.
            with suppress(StorageUnavailable):
                await self._database.write(str(configuration), _tidy, configuration)
        return removed


async def _append_from(
    connection: Connection,
    stream: int,
    expected: StreamPosition | None,
    last: StreamPosition,
    entries: Sequence[Entry],
    shown: Shown,
) -> bool:
    # First: it is what others of this stream wait for.
    if not await _is_moved(connection, stream, expected, last):
        return False
    await _append(connection, stream, entries)
    if shown.is_broken:
        await history.end(connection, None)
    await history.append(connection, shown.kept)
    if shown.ended:
        await history.end(connection, shown.ended)
    if shown.held:
        await held_messages.add(connection, shown.held)
    if shown.released:
        # Behind them: what waits and no longer does may come at once.
        await held_messages.remove(connection, shown.released)
    return True


async def _is_moved(
    connection: Connection, stream: int, expected: StreamPosition | None, last: StreamPosition
) -> bool:
    following = (last.created, last.sequence, last.stamp_ns)
    if expected is None:
        moved = await connection.fetchval(
            "INSERT INTO stream_positions (stream, created, sequence, stamp_ns)"
            " VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING true",
            stream,
            *following,
        )
    else:
        moved = await connection.fetchval(
            "UPDATE stream_positions SET created = $2, sequence = $3, stamp_ns = $4"
            " WHERE stream = $1 AND created = $5 AND sequence = $6 AND stamp_ns = $7"
            " RETURNING true",
            stream,
            *following,
            expected.created,
            expected.sequence,
            expected.stamp_ns,
        )
    return moved is not None


async def _append(connection: Connection, stream: int, entries: Sequence[Entry]) -> None:
    rows = [(str(each), entry) for entry in entries for each in entry.configurations]
    if not rows:
        return
    # It keeps out who removes a queue, until the commit, also where it makes none.
    # Sorted: two that add the same queues wait for each other in one direction only.
    await connection.execute(
        "INSERT INTO journal_queues (configuration)"
        " SELECT added FROM unnest($1::text[]) AS added"
        " WHERE NOT EXISTS (SELECT FROM journal_queues WHERE configuration = added)"
        " ORDER BY added ON CONFLICT DO NOTHING",
        sorted({configuration for configuration, _ in rows}),
    )
    await connection.execute(
        _ADD,
        [configuration for configuration, _ in rows],
        [entry.room.id for _, entry in rows],
        [entry.time_ns for _, entry in rows],
        [entry.payload for _, entry in rows],
        stream,
    )
    noted = [(str(entry.room), entry.held_id) for entry in entries if entry.held_id]
    if noted:
        await held_messages.note_recorded(connection, noted)


_ADD = """
WITH added AS (
    INSERT INTO journal (queue, room, time_ns, payload)
    SELECT key, room, time_ns, payload
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[])
        WITH ORDINALITY AS given (configuration, room, time_ns, payload, place)
    JOIN journal_queues USING (configuration) ORDER BY place
    RETURNING queue, octet_length(payload) AS size
)
INSERT INTO journal_added AS before (queue, stream, records, size)
SELECT queue, $5, count(*), sum(size) FROM added GROUP BY queue ORDER BY queue
ON CONFLICT (queue, stream) DO UPDATE
SET records = before.records + excluded.records, size = before.size + excluded.size
"""


async def _position(connection: Connection, stream: int) -> StreamPosition | None:
    row = await connection.fetchrow(
        "SELECT created, sequence, stamp_ns FROM stream_positions WHERE stream = $1", stream
    )
    return None if row is None else StreamPosition(*row)


async def _waiting(connection: Connection) -> list[Arn]:
    rows = await connection.fetch(
        "SELECT configuration FROM journal_queues"
        " WHERE EXISTS (SELECT FROM journal WHERE queue = key)"
    )
    return [Arn.parse(row[0]) for row in rows]


_COUNTED = """
SELECT configuration, sum(records)::bigint - removed_records AS records,
    sum(size)::bigint - removed_size, coalesce(
        (SELECT time_ns FROM journal WHERE queue = key ORDER BY sequence LIMIT 1), 0)
FROM journal_queues JOIN journal_added ON queue = key
"""


async def _backlogs(connection: Connection) -> dict[Arn, Backlog]:
    rows = await connection.fetch(
        f"{_COUNTED} GROUP BY key HAVING sum(records) > removed_records ORDER BY key"
    )
    return {Arn.parse(arn): Backlog(*counted) for arn, *counted in rows}


async def _backlog(connection: Connection, configuration: Arn) -> Backlog:
    row = await connection.fetchrow(
        f"{_COUNTED} WHERE configuration = $1 GROUP BY key", str(configuration)
    )
    return Backlog() if row is None else Backlog(*row[1:])


async def _batch(connection: Connection, configuration: Arn, maximum_size: int) -> list[Record]:
    queue = await _lock(connection, configuration)
    if queue is None:
        return []
    key, batch = queue
    if batch is None:
        rows = await _mark(connection, key, maximum_size)
    else:
        rows = await connection.fetch(
            "SELECT sequence, room, time_ns, payload FROM journal"
            " WHERE queue = $1 AND batch = $2 AND sequence <= $2 ORDER BY sequence",
            key,
            batch,
        )
    kind = ResourceType.ROOM
    return [
        Record(sequence, Arn(configuration.region, configuration.account, kind, room), *rest)
        for sequence, room, *rest in rows
    ]


_MARK = """
WITH oldest AS (
    SELECT sequence, octet_length(payload) AS size FROM journal
    WHERE queue = $1 AND batch IS NULL ORDER BY sequence LIMIT $3
), summed AS (
    SELECT sequence, sum(size) OVER running AS total, row_number() OVER running AS place
    FROM oldest WINDOW running AS (ORDER BY sequence)
), taken AS (
    SELECT sequence, max(sequence) OVER () AS last FROM summed WHERE total <= $2 OR place = 1
)
UPDATE journal SET batch = last FROM taken WHERE journal.sequence = taken.sequence
RETURNING journal.sequence, room, time_ns, payload
"""


async def _mark(connection: Connection, key: int, maximum_size: int) -> list[asyncpg.Record]:
    """Make a batch of the oldest records, and return them."""
    rows = await connection.fetch(_MARK, key, maximum_size, MAXIMUM_RECORDS)
    rows.sort(key=lambda row: row[0])
    if rows:
        await connection.execute(
            "UPDATE journal_queues SET batch = $2 WHERE key = $1", key, rows[-1][0]
        )
    return rows


async def _delivered(connection: Connection, configuration: Arn, last: int) -> _Outcome:
    queue = await _lock(connection, configuration)
    if queue is None:
        return Removed(), False
    key, batch = queue
    if batch != last:
        return Removed(oldest_ns=await _oldest(connection, key)), False
    return await _remove(connection, configuration, key, None, last)


async def _drop(
    connection: Connection, configuration: Arn, keep_size: int, older_than_ns: int
) -> _Outcome:
    queue = await _lock(connection, configuration)
    if queue is None:
        return Removed(), False
    key, batch = queue
    size = (await _backlog(connection, configuration)).size
    rows = await connection.fetch(
        "SELECT sequence, time_ns, octet_length(payload), batch FROM journal"
        " WHERE queue = $1 ORDER BY sequence LIMIT $2",
        key,
        MAXIMUM_RECORDS,
    )
    last: int | None = None
    in_batch = False
    for sequence, time_ns, length, marked in rows:
        if size <= keep_size and time_ns >= older_than_ns:
            break
        last, size, in_batch = sequence, size - length, in_batch or marked is not None
    return await _remove(connection, configuration, key, last, batch if in_batch else None)


async def _remove(
    connection: Connection, configuration: Arn, key: int, last: int | None, batch: int | None
) -> _Outcome:
    """Remove what has a number up to `last`, or is in the batch; the batch is gone then."""
    gone = await connection.fetchrow(
        "WITH gone AS (DELETE FROM journal WHERE queue = $1"
        " AND (sequence <= $2 OR batch = $3 AND sequence <= $3)"
        " RETURNING octet_length(payload) AS size)"
        " SELECT count(*), coalesce(sum(size), 0)::bigint FROM gone",
        key,
        last,
        batch,
    )
    records, size = (0, 0) if gone is None else gone
    if records:
        await connection.execute(
            "UPDATE journal_queues SET batch = CASE WHEN $2 THEN NULL ELSE batch END,"
            " removed_records = removed_records + $3, removed_size = removed_size + $4"
            " WHERE key = $1",
            key,
            batch is not None,
            records,
            size,
        )
    oldest_ns = await _oldest(connection, key)
    return Removed(records, size, oldest_ns), not oldest_ns and await _is_going(
        connection, configuration
    )


async def _is_going(connection: Connection, configuration: Arn) -> bool:
    state = await connection.fetchval(
        "SELECT state FROM logging_configurations WHERE arn = $1", str(configuration)
    )
    return state is None or state == LoggingConfigurationState.DELETING.value


async def _tidy(connection: Connection, configuration: Arn) -> None:
    """Remove an empty queue. Nobody adds records meanwhile: they would have no queue then."""
    await connection.execute("LOCK TABLE journal_queues IN EXCLUSIVE MODE")
    await connection.execute(
        "WITH gone AS (DELETE FROM journal_queues WHERE configuration = $1"
        " AND NOT EXISTS (SELECT FROM journal WHERE queue = key) RETURNING key)"
        " DELETE FROM journal_added USING gone WHERE queue = key",
        str(configuration),
    )


async def _lock(connection: Connection, configuration: Arn) -> asyncpg.Record | None:
    """Return a queue's key and the end of its batch; nobody else touches the batch meanwhile."""
    return await connection.fetchrow(
        "SELECT key, batch FROM journal_queues WHERE configuration = $1 FOR UPDATE",
        str(configuration),
    )


async def _oldest(connection: Connection, key: int) -> int:
    time_ns: int | None = await connection.fetchval(
        "SELECT time_ns FROM journal WHERE queue = $1 ORDER BY sequence LIMIT 1", key
    )
    return time_ns or 0
