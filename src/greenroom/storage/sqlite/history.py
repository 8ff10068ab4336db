"""What rooms have shown, in SQLite: a row for each frame, which lie together by room."""

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from sqlite3 import Connection

from greenroom.model.kept_frame import MOST_DELETIONS
from greenroom.storage.history import (
    TRIMMED_AT_ONCE,
    Extent,
    Kept,
    Newest,
    Query,
    StoredFrame,
)
from greenroom.storage.rows import FRAME_COLUMNS, frame_from, frame_row
from greenroom.storage.sqlite.worker import SqliteWorker


class SqliteHistory:
    """`History` in the worker's database."""

    def __init__(self, worker: SqliteWorker) -> None:
        self._worker = worker

    async def resume(self) -> frozenset[str]:
        return await self._worker.write(_resume)

    async def append(self, kept: Sequence[Kept]) -> None:
        await self._worker.write(_append, kept)

    async def settle(self, rooms: Collection[str]) -> None:
        await self._worker.write(_settle, rooms)

    async def newest(self, room: str, count: int) -> Newest:
        return await self._worker.read(_newest, room, count)

    async def beyond(self, room: str, count: int) -> int:
        return await self._worker.read(_beyond, room, count)

    async def messages(self, room: str, query: Query, limit: int) -> Sequence[StoredFrame]:
        return await self._worker.read(_messages, room, query, limit)

    async def number(self, room: str, frame_id: str) -> int:
        return await self._worker.read(_number, room, frame_id)

    async def is_whole(self, room: str, number: int) -> bool:
        return await self._worker.read(_is_whole, room, number)

    async def extents(self, after: str, limit: int) -> Sequence[Extent]:
        return await self._worker.read(_extents, after, limit)

    async def trim(self, room: str, up_to: int, older_than_ns: int) -> int:
        return await self._worker.write(_trim, room, up_to, older_than_ns)

    async def forget(self, room: str) -> None:
        await self._worker.write(_forget, room)


_ROOM = "(SELECT key FROM history_rooms WHERE room = ?)"
_FOUND = f"SELECT number, begins, deleted, {FRAME_COLUMNS} FROM history WHERE room = {_ROOM}"
_PLACES = ", ".join("?" for _ in FRAME_COLUMNS.split(","))


def _resume(connection: Connection) -> frozenset[str]:
    rows = connection.execute("SELECT room FROM history_rooms WHERE ended = 0").fetchall()
    connection.execute("UPDATE history_rooms SET ended = 1 WHERE ended = 0")
    return frozenset(room for (room,) in rows)


def _append(connection: Connection, kept: Sequence[Kept]) -> None:
    by_room = sorted(kept, key=_room_of)
    for room, its in groupby(by_room, key=_room_of):
        frames = list(its)
        if all(each.only_if_any for each in frames) and not _has_any(connection, room):
            continue
        key, newest = connection.execute(
            "INSERT INTO history_rooms (room, newest, ended) VALUES (?, ?, 1)"
            " ON CONFLICT (room) DO UPDATE SET newest = newest + excluded.newest"
            " RETURNING key, newest",
            (room, len(frames)),
        ).fetchone()
        first = newest - len(frames) + 1
        connection.executemany(
            f"INSERT INTO history (room, number, begins, deleted, {FRAME_COLUMNS})"
            f" VALUES (?, ?, ?, 0, {_PLACES})",
            [
                (key, number, int(each.begins), *frame_row(each.frame))
                for number, each in enumerate(frames, first)
            ],
        )
        connection.executemany(
            "UPDATE history SET deleted = 1 WHERE room = ? AND id = ?",
            [(key, deleted) for each in frames for deleted in each.frame.deletes],
        )


def _has_any(connection: Connection, room: str) -> bool:
    return (
        connection.execute("SELECT 1 FROM history_rooms WHERE room = ?", (room,)).fetchone()
        is not None
    )


def _room_of(kept: Kept) -> str:
    return kept.room


def _settle(connection: Connection, rooms: Collection[str]) -> None:
    connection.executemany(
        "UPDATE history_rooms SET ended = 0 WHERE room = ?", [(room,) for room in rooms]
    )


def _newest(connection: Connection, room: str, count: int) -> Newest:
    found = connection.execute("SELECT ended FROM history_rooms WHERE room = ?", (room,)).fetchone()
    if found is None:
        return Newest()
    rows = connection.execute(
        f"{_FOUND} AND number > ? ORDER BY number", (room, _beyond(connection, room, count))
    )
    return Newest([_stored(*row) for row in rows], bool(found[0]))


def _beyond(connection: Connection, room: str, count: int) -> int:
    found = connection.execute(
        "SELECT key, newest, (SELECT min(number) FROM history WHERE history.room = key)"
        " FROM history_rooms WHERE room = ?",
        (room,),
    ).fetchone()
    if found is None or found[2] is None:
        return 0
    key, newest, oldest = map(int, found)
    if newest - oldest < count:
        return oldest - 1
    last = connection.execute(
        "SELECT number FROM history WHERE room = ? AND deletes = ''"
        " ORDER BY number DESC LIMIT 1 OFFSET ?",
        (key, count),
    ).fetchone()
    return max(oldest - 1, newest - count - MOST_DELETIONS, 0 if last is None else int(last[0]))


def _messages(connection: Connection, room: str, query: Query, limit: int) -> Sequence[StoredFrame]:
    order = "ASC" if query.oldest_first else "DESC"
    conditions = list(_conditions(query))
    where = "".join(f" AND {condition}" for condition, *_ in conditions)
    rows = connection.execute(
        f"{_FOUND}{where} ORDER BY number {order} LIMIT ?",
        (room, *(value for _, *values in conditions for value in values), limit),
    )
    return [_stored(*row) for row in rows]


def _conditions(query: Query) -> Iterator[tuple[str, *tuple[object, ...]]]:
    yield "action = ?", "SendMessage"
    bounds = {
        "number >= ?": query.least,
        "number <= ?": query.most,
        "time_ns >= ?": query.from_ns,
        "time_ns <= ?": query.to_ns,
        "author = ?": query.author,
    }
    yield from ((condition, value) for condition, value in bounds.items() if value)
    if not query.with_deleted:
        yield "deleted = ?", 0
    if query.root:
        yield "(id = ? OR instr(payload, ?) > 0)", query.root, query.mark


def _number(connection: Connection, room: str, frame_id: str) -> int:
    found = connection.execute(
        f"SELECT number FROM history WHERE room = {_ROOM} AND id = ?", (room, frame_id)
    ).fetchone()
    return 0 if found is None else int(found[0])


def _is_whole(connection: Connection, room: str, number: int) -> bool:
    found = connection.execute(
        f"SELECT 1 FROM history WHERE room = {_ROOM} AND number > ? AND begins = 1", (room, number)
    )
    return found.fetchone() is None


def _extents(connection: Connection, after: str, limit: int) -> Sequence[Extent]:
    rows = connection.execute(
        "SELECT rooms.room, coalesce(number, newest + 1), newest, coalesce(time_ns, 0)"
        " FROM history_rooms AS rooms LEFT JOIN history ON history.room = key AND number ="
        " (SELECT min(number) FROM history WHERE history.room = key)"
        " WHERE rooms.room > ? ORDER BY rooms.room LIMIT ?",
        (after, limit),
    )
    return [Extent(*row) for row in rows]


def _trim(connection: Connection, room: str, up_to: int, older_than_ns: int) -> int:
    rows = connection.execute(
        f"SELECT number, time_ns FROM history WHERE room = {_ROOM} ORDER BY number LIMIT ?",
        (room, TRIMMED_AT_ONCE),
    )
    last = 0
    for number, time_ns in rows:
        if number > up_to and time_ns >= older_than_ns:
            break
        last = number
    rows.close()
    return connection.execute(
        f"DELETE FROM history WHERE room = {_ROOM} AND number <= ?", (room, last)
    ).rowcount


def _forget(connection: Connection, room: str) -> None:
    connection.execute(f"DELETE FROM history WHERE room = {_ROOM}", (room,))
    connection.execute("DELETE FROM history_rooms WHERE room = ?", (room,))


def _stored(number: int, begins: int, deleted: int, *frame: object) -> StoredFrame:
    return StoredFrame(number, frame_from(frame), bool(begins), bool(deleted))
