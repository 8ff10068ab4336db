"""Messages that wait, in SQLite: a row for each."""

import json
from collections.abc import Collection, Sequence
from sqlite3 import Connection

from greenroom.model.held_message import HeldMessage
from greenroom.storage.held_messages import Numbered
from greenroom.storage.rows import HELD_COLUMNS, held_from, held_row
from greenroom.storage.sqlite.worker import SqliteWorker


class SqliteHeldMessages:
    """`HeldMessages` in the worker's database."""

    def __init__(self, worker: SqliteWorker) -> None:
        self._worker = worker

    async def add(self, messages: Sequence[HeldMessage]) -> None:
        await self._worker.write(_add, messages)

    async def rooms(self) -> Sequence[str]:
        return await self._worker.read(_rooms)

    async def waiting(
        self, after: int, limit: int, rooms: Sequence[str] | None = None
    ) -> Sequence[Numbered]:
        return await self._worker.read(_waiting, after, limit, rooms)

    async def of_room(self, room: str, author: str = "") -> Sequence[HeldMessage]:
        return await self._worker.read(_of_room, room, author)

    async def remove(self, room: str, ids: Collection[str]) -> None:
        await self._worker.write(_remove, room, tuple(ids))


def _add(connection: Connection, messages: Sequence[HeldMessage]) -> None:
    connection.executemany(
        f"INSERT OR IGNORE INTO held_messages ({HELD_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        map(held_row, messages),
    )


def _rooms(connection: Connection) -> Sequence[str]:
    return [room for (room,) in connection.execute("SELECT DISTINCT room FROM held_messages")]


def _waiting(
    connection: Connection, after: int, limit: int, rooms: Sequence[str] | None
) -> Sequence[Numbered]:
    among = "" if rooms is None else "AND room IN (SELECT value FROM json_each(?))"
    wanted = () if rooms is None else (json.dumps(rooms),)
    rows = connection.execute(
        f"SELECT number, {HELD_COLUMNS} FROM held_messages WHERE number > ? {among}"
        " ORDER BY number LIMIT ?",
        (after, *wanted, limit),
    )
    return [(number, held_from(tuple(row))) for number, *row in rows.fetchall()]


def _of_room(connection: Connection, room: str, author: str) -> Sequence[HeldMessage]:
    rows = connection.execute(
        "SELECT room, id, author, time_ns, shadowed, recorded, x'', x'' FROM held_messages"
        " WHERE room = ? AND (author = ? OR ? = '') ORDER BY number",
        (room, author, author),
    )
    return [held_from(row) for row in rows.fetchall()]


def _remove(connection: Connection, room: str, ids: Collection[str]) -> None:
    connection.executemany(
        "DELETE FROM held_messages WHERE room = ? AND id = ?", [(room, each) for each in ids]
    )


def note_recorded(connection: Connection, room: str, message_id: str) -> None:
    """Take note that the journal has one, in the transaction that puts it there."""
    connection.execute(
        "UPDATE held_messages SET recorded = 1 WHERE room = ? AND id = ?", (room, message_id)
    )
