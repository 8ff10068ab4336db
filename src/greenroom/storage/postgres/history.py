"""What rooms have shown, in PostgreSQL: a row for each frame.

Who appends frames of a room holds its row until the commit: so numbers become visible in order. The
nodes append what a stream brings together with their position in it: see `journal`.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import count

from greenroom.model.kept_frame import MOST_DELETIONS
from greenroom.storage.history import (
    TRIMMED_AT_ONCE,
    Extent,
    Kept,
    Newest,
    Query,
    StoredFrame,
)
from greenroom.storage.postgres.database import Database
from greenroom.storage.postgres.session import Connection, escaped
from greenroom.storage.rows import FRAME_COLUMNS, frame_from, frame_row

_LANE = "history"


class PostgresHistory:
    """`History` in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def resume(self) -> frozenset[str]:
        return await self._database.write(_LANE, _resume)

    async def append(self, kept: Sequence[Kept]) -> None:
        await self._database.write(_LANE, append, kept)

    async def settle(self, rooms: Collection[str]) -> None:
        await self._database.write(_LANE, _settle, rooms)

    async def newest(self, room: str, count: int) -> Newest:
        return await self._database.read(_newest, room, count)

    async def beyond(self, room: str, count: int) -> int:
        return await self._database.read(_beyond, room, count)

    async def messages(self, room: str, query: Query, limit: int) -> Sequence[StoredFrame]:
        return await self._database.read(_messages, room, query, limit)

    async def number(self, room: str, frame_id: str) -> int:
        return await self._database.read(_number, room, frame_id)

    async def is_whole(self, room: str, number: int) -> bool:
        return await self._database.read(_is_whole, room, number)

    async def extents(self, after: str, limit: int) -> Sequence[Extent]:
        return await self._database.read(_extents, after, limit)

    async def trim(self, room: str, up_to: int, older_than_ns: int) -> int:
        return await self._database.write(_LANE, _trim, room, up_to, older_than_ns)

    async def forget(self, room: str) -> None:
        await self._database.write(_LANE, _forget, room)


_ROOM = "(SELECT key FROM history_rooms WHERE room = $1)"
_FOUND = f"SELECT number, begins, deleted, {FRAME_COLUMNS} FROM history WHERE room = {_ROOM}"


async def append(connection: Connection, kept: Sequence[Kept]) -> None:
    """Add frames; the first of a room that is ended begins, and the room is not ended any more."""
    if not kept:
        return
    rooms: dict[str, list[Kept]] = {}
    for each in kept:
        rooms.setdefault(each.room, []).append(each)
    ended = await _ended(connection, sorted(rooms))
    rooms = {
        room: its
        for room, its in rooms.items()
        if room in ended or not all(each.only_if_any for each in its)
    }
    if not rooms:
        return
    keys = {
        room: (key, newest - len(rooms[room]) + 1)
        for room, key, newest in await connection.fetch(
            "INSERT INTO history_rooms (room, newest, ended)"
            " SELECT room, number, 0 FROM unnest($1::text[], $2::bigint[]) AS new (room, number)"
            " ORDER BY room ON CONFLICT (room) DO UPDATE"
            " SET newest = history_rooms.newest + excluded.newest, ended = 0"
            " RETURNING room, key, newest",
            list(rooms),
            [len(frames) for frames in rooms.values()],
        )
    }
    rows = [
        row
        for room, its in rooms.items()
        for row in _rows(*keys[room], its, ended.get(room, False))
    ]
    await connection.execute(
        f"INSERT INTO history (room, number, begins, deleted, {FRAME_COLUMNS})"
        " SELECT room, number, begins, 0, id, time_ns, action, audience, user_id, author,"
        " deletes, payload, marked FROM unnest($1::bigint[], $2::bigint[], $3::integer[],"
        " $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],"
        f" $11::bytea[], $12::bytea[]) AS new (room, number, begins, {FRAME_COLUMNS})",
        *(list(column) for column in zip(*rows, strict=True)),
    )
    deleted = [
        (keys[room][0], escaped(gone))
        for room, its in rooms.items()
        for each in its
        for gone in each.frame.deletes
    ]
    if deleted:
        await connection.execute(
            "UPDATE history SET deleted = 1"
            " FROM unnest($1::bigint[], $2::text[]) AS gone (key, its)"
            " WHERE room = key AND id = its",
            *(list(column) for column in zip(*deleted, strict=True)),
        )


async def end(connection: Connection, rooms: Collection[str] | None) -> None:
    """Have something be missing behind the newest frames of some rooms; None: of all."""
    await connection.execute(
        "UPDATE history_rooms SET ended = 1"
        " WHERE ended = 0 AND ($1::text[] IS NULL OR room = ANY ($1))",
        None if rooms is None else list(rooms),
    )


async def _ended(connection: Connection, rooms: list[str]) -> dict[str, bool]:
    """Hold the rows of rooms; return whether each that has one is ended."""
    rows = await connection.fetch(
        "SELECT room, ended FROM history_rooms WHERE room = ANY ($1::text[])"
        " ORDER BY room FOR UPDATE",
        rooms,
    )
    return {room: bool(ended) for room, ended in rows}


def _rows(key: int, first: int, kept: Sequence[Kept], ended: bool) -> Iterator[tuple[object, ...]]:
    for number, each in zip(count(first), kept, strict=False):
        begins = each.begins or (ended and number == first)
        yield (key, number, int(begins), *map(_given, frame_row(each.frame)))


def _given(value: object) -> object:
    return escaped(value) if isinstance(value, str) else value


async def _resume(connection: Connection) -> frozenset[str]:
    rows = await connection.fetch(
        "UPDATE history_rooms SET ended = 1 WHERE ended = 0 RETURNING room"
    )
    return frozenset(room for (room,) in rows)


async def _settle(connection: Connection, rooms: Collection[str]) -> None:
    await connection.execute(
        "UPDATE history_rooms SET ended = 0 WHERE room = ANY ($1::text[])", list(rooms)
    )


async def _newest(connection: Connection, room: str, count: int) -> Newest:
    ended = await connection.fetchval("SELECT ended FROM history_rooms WHERE room = $1", room)
    if ended is None:
        return Newest()
    beyond = await _beyond(connection, room, count)
    rows = await connection.fetch(f"{_FOUND} AND number > $2 ORDER BY number", room, beyond)
    return Newest([_stored(*row) for row in rows], bool(ended))


async def _beyond(connection: Connection, room: str, count: int) -> int:
    found = await connection.fetchrow(
        "SELECT key, newest, (SELECT min(number) FROM history WHERE history.room = key)"
        " FROM history_rooms WHERE room = $1",
        room,
    )
    if found is None or found[2] is None:
        return 0
    key, newest, oldest = map(int, found)
    if newest - oldest < count:
        return oldest - 1
    last = await connection.fetchval(
        "SELECT number FROM history WHERE room = $1 AND deletes = ''"
        " ORDER BY number DESC LIMIT 1 OFFSET $2",
        key,
        count,
    )
    return max(oldest - 1, newest - count - MOST_DELETIONS, int(last or 0))


async def _messages(
    connection: Connection, room: str, query: Query, limit: int
) -> Sequence[StoredFrame]:
    order = "ASC" if query.oldest_first else "DESC"
    rows = await connection.fetch(
        # The types are told: beside the 0 each bound would be an integer of four bytes.
        f"{_FOUND} AND action = 'SendMessage'"
        " AND ($2::bigint = 0 OR number >= $2) AND ($3::bigint = 0 OR number <= $3)"
        " AND ($4::bigint = 0 OR time_ns >= $4) AND ($5::bigint = 0 OR time_ns <= $5)"
        " AND ($6 = '' OR author = $6) AND ($7 OR deleted = 0)"
        " AND ($8 = '' OR id = $8 OR position($9::bytea in payload) > 0)"
        f" ORDER BY number {order} LIMIT $10",
        *(room, query.least, query.most, query.from_ns, query.to_ns, query.author),
        *(query.with_deleted, query.root, query.mark, limit),
    )
    return [_stored(*row) for row in rows]


async def _number(connection: Connection, room: str, frame_id: str) -> int:
    found = await connection.fetchval(
        f"SELECT number FROM history WHERE room = {_ROOM} AND id = $2", room, frame_id
    )
    return found or 0


async def _is_whole(connection: Connection, room: str, number: int) -> bool:
    found = await connection.fetchval(
        f"SELECT 1 FROM history WHERE room = {_ROOM} AND number > $2 AND begins = 1 LIMIT 1",
        room,
        number,
    )
    return found is None


async def _extents(connection: Connection, after: str, limit: int) -> Sequence[Extent]:
    rows = await connection.fetch(
        "SELECT rooms.room, coalesce(number, newest + 1), newest, coalesce(time_ns, 0)"
        " FROM history_rooms AS rooms LEFT JOIN history ON history.room = key AND number ="
        " (SELECT min(number) FROM history WHERE history.room = key)"
        " WHERE rooms.room > $1 ORDER BY rooms.room LIMIT $2",
        after,
        limit,
    )
    return [Extent(*row) for row in rows]


async def _trim(connection: Connection, room: str, up_to: int, older_than_ns: int) -> int:
    rows = await connection.fetch(
        f"SELECT number, time_ns FROM history WHERE room = {_ROOM} ORDER BY number LIMIT $2",
        room,
        TRIMMED_AT_ONCE,
    )
    last = 0
    for number, time_ns in rows:
        if number > up_to and time_ns >= older_than_ns:
            break
        last = number
    gone = await connection.execute(
        f"DELETE FROM history WHERE room = {_ROOM} AND number <= $2", room, last
    )
    return int(gone.rpartition(" ")[2])


async def _forget(connection: Connection, room: str) -> None:
    # Held first: who appends to it at the same time finds it gone, and makes it anew.
    key = await connection.fetchval(
        "SELECT key FROM history_rooms WHERE room = $1 FOR UPDATE", room
    )
    await connection.execute("DELETE FROM history WHERE room = $1", key)
    await connection.execute("DELETE FROM history_rooms WHERE key = $1", key)


def _stored(number: int, begins: int, deleted: int, *frame: object) -> StoredFrame:
    return StoredFrame(number, frame_from(frame), bool(begins), bool(deleted))
