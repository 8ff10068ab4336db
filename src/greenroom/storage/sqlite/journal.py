"""The journal in SQLite, through the store's worker: appends share its commits."""

from collections.abc import Iterable, Sequence
from sqlite3 import Connection

from greenroom.model.arn import Arn, ResourceType
from greenroom.model.log_record import Record
from greenroom.storage.journal import MAXIMUM_RECORDS, Backlog, Entry, Removed
from greenroom.storage.rows import Row
from greenroom.storage.sqlite import held_messages
from greenroom.storage.sqlite.worker import SqliteWorker

_Queue = tuple[int, int, int, int | None]
"""A queue's key, records, size, and the end of its batch."""

_MAXIMUM_SEQUENCE = 2**63 - 1


class SqliteJournal:
    """A `Journal` in the store's database."""

    durable = True

    def __init__(self, worker: SqliteWorker) -> None:
        self._worker = worker

    async def append(self, entries: Sequence[Entry]) -> None:
        await self._worker.write(_append, entries)

    async def backlogs(self) -> dict[Arn, Backlog]:
        return await self._worker.read(_backlogs)

    async def batch(self, configuration: Arn, maximum_size: int) -> list[Record]:
        return await self._worker.write(_batch, configuration, maximum_size)

    async def delivered(self, configuration: Arn, last: int) -> Removed:
        return await self._worker.write(_delivered, configuration, last)

    async def drop(self, configuration: Arn, keep_size: int, older_than_ns: int = 0) -> Removed:
        return await self._worker.write(_drop, configuration, keep_size, older_than_ns)


def _append(connection: Connection, entries: Sequence[Entry]) -> None:
    rows: dict[Arn, list[tuple[str, int, bytes]]] = {}
    for entry in entries:
        for configuration in entry.configurations:
            row = (entry.room.id, entry.time_ns, entry.payload)
            rows.setdefault(configuration, []).append(row)
    for configuration, its_rows in rows.items():
        key = _add(connection, configuration, its_rows)
        connection.executemany(
            "INSERT INTO journal (queue, room, time_ns, payload) VALUES (?, ?, ?, ?)",
            [(key, *row) for row in its_rows],
        )
    for entry in entries:
        if entry.held_id:
            held_messages.note_recorded(connection, str(entry.room), entry.held_id)


def _add(connection: Connection, configuration: Arn, rows: list[tuple[str, int, bytes]]) -> int:
    """Count the rows into the configuration's queue, new or not; return its key."""
    size = sum(len(payload) for _, _, payload in rows)
    (key,) = connection.execute(
        "INSERT INTO journal_queues (configuration, records, size) VALUES (?, ?, ?)"
        " ON CONFLICT (configuration) DO UPDATE"
        " SET records = records + excluded.records, size = size + excluded.size RETURNING key",
        (str(configuration), len(rows), size),
    ).fetchone()
    return int(key)


def _backlogs(connection: Connection) -> dict[Arn, Backlog]:
    rows = connection.execute("SELECT configuration, key, records, size FROM journal_queues")
    return {
        Arn.parse(arn): Backlog(records, size, _oldest(connection, key))
        for arn, key, records, size in rows.fetchall()
    }


def _batch(connection: Connection, configuration: Arn, maximum_size: int) -> list[Record]:
    queue = _find(connection, configuration)
    if queue is None:
        return []
    key, _, _, end = queue
    cursor = connection.execute(
        "SELECT sequence, room, time_ns, payload FROM journal"
        " WHERE queue = ? AND sequence <= ? ORDER BY sequence LIMIT ?",
        (key, _MAXIMUM_SEQUENCE if end is None else end, MAXIMUM_RECORDS),
    )
    rows = cursor.fetchall() if end is not None else _up_to(cursor, maximum_size)
    cursor.close()
    if end is None:
        connection.execute("UPDATE journal_queues SET batch = ? WHERE key = ?", (rows[-1][0], key))
    return [
        Record(
            sequence,
            Arn(configuration.region, configuration.account, ResourceType.ROOM, room),
            time_ns,
            payload,
        )
        for sequence, room, time_ns, payload in rows
    ]


def _up_to(rows: Iterable[Row], maximum_size: int) -> list[Row]:
    taken: list[Row] = []
    size = 0
    for row in rows:
        size += len(row[3])
        if taken and size > maximum_size:
            break
        taken.append(row)
    return taken


def _delivered(connection: Connection, configuration: Arn, last: int) -> Removed:
    queue = _find(connection, configuration)
    if queue is None:
        return Removed()
    return _remove(connection, queue, last if queue[3] == last else 0)


def _drop(
    connection: Connection, configuration: Arn, keep_size: int, older_than_ns: int
) -> Removed:
    queue = _find(connection, configuration)
    if queue is None:
        return Removed()
    key, _, size, end = queue
    last = 0
    rows = connection.execute(
        "SELECT sequence, time_ns, length(payload) FROM journal"
        " WHERE queue = ? ORDER BY sequence LIMIT ?",
        (key, MAXIMUM_RECORDS),
    )
    for sequence, time_ns, length in rows:
        if size <= keep_size and time_ns >= older_than_ns:
            break
        last, size = sequence, size - length
    rows.close()
    return _remove(connection, queue, max(last, end or 0) if last else 0)


def _remove(connection: Connection, queue: _Queue, last: int) -> Removed:
    """Remove a queue's records up to a sequence number, and its batch with them; 0 removes none."""
    key, records, size, _ = queue
    if not last:
        return Removed(oldest_ns=_oldest(connection, key))
    found = "FROM journal WHERE queue = ? AND sequence <= ?"
    (gone, gone_size) = connection.execute(
        f"SELECT count(*), coalesce(sum(length(payload)), 0) {found}", (key, last)
    ).fetchone()
    connection.execute(f"DELETE {found}", (key, last))
    if gone >= records:
        connection.execute("DELETE FROM journal_queues WHERE key = ?", (key,))
        return Removed(gone, gone_size)
    connection.execute(
        "UPDATE journal_queues SET records = ?, size = ?, batch = NULL WHERE key = ?",
        (records - gone, size - gone_size, key),
    )
    return Removed(gone, gone_size, _oldest(connection, key))


def _find(connection: Connection, configuration: Arn) -> _Queue | None:
    found: _Queue | None = connection.execute(
        "SELECT key, records, size, batch FROM journal_queues WHERE configuration = ?",
        (str(configuration),),
    ).fetchone()
    return found


def _oldest(connection: Connection, key: int) -> int:
    (time_ns,) = connection.execute(
        "SELECT time_ns FROM journal WHERE queue = ? ORDER BY sequence LIMIT 1", (key,)
    ).fetchone()
    return int(time_ns)
