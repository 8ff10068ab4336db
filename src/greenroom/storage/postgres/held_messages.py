"""Messages that wait, in PostgreSQL: a row for each.

What the nodes' streams show is added and removed by who reads them, with their position in the
stream: see `journal`.
"""

from collections.abc import Collection, Sequence

from greenroom.model.held_message import HeldMessage
from greenroom.storage.held_messages import Numbered
from greenroom.storage.postgres.database import Database
from greenroom.storage.postgres.session import Connection, escaped
from greenroom.storage.rows import HELD_COLUMNS, held_from, held_row

_LANE = "held messages"


class PostgresHeldMessages:
    """`HeldMessages` in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, messages: Sequence[HeldMessage]) -> None:
        await self._database.write(_LANE, add, messages)

    async def rooms(self) -> Sequence[str]:
        return await self._database.read(_rooms)

    async def waiting(
        self, after: int, limit: int, rooms: Sequence[str] | None = None
    ) -> Sequence[Numbered]:
        return await self._database.read(_waiting, after, limit, rooms)

    async def of_room(self, room: str, author: str = "") -> Sequence[HeldMessage]:
        return await self._database.read(_of_room, room, author)

    async def remove(self, room: str, ids: Collection[str]) -> None:
        await self._database.write(_LANE, remove, [(room, each) for each in ids])


async def add(connection: Connection, messages: Sequence[HeldMessage]) -> None:
    """Keep messages within a transaction."""
    await connection.executemany(
        f"INSERT INTO held_messages ({HELD_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        " ON CONFLICT DO NOTHING",
        [held_row(each) for each in messages],
    )


async def remove(connection: Connection, named: Sequence[tuple[str, str]]) -> None:
    """Keep messages no longer, by their rooms and ids, within a transaction."""
    await connection.execute(
        "DELETE FROM held_messages AS kept USING unnest($1::text[], $2::text[]) AS gone (room, id)"
        " WHERE kept.room = gone.room AND kept.id = gone.id",
        [escaped(room) for room, _ in named],
        [escaped(message_id) for _, message_id in named],
    )


async def note_recorded(connection: Connection, named: Sequence[tuple[str, str]]) -> None:
    """Take note that the journal has some, in the transaction that puts them there."""
    await connection.execute(
        "UPDATE held_messages AS kept SET recorded = 1"
        " FROM unnest($1::text[], $2::text[]) AS noted (room, id)"
        " WHERE kept.room = noted.room AND kept.id = noted.id",
        [escaped(room) for room, _ in named],
        [escaped(message_id) for _, message_id in named],
    )


async def _rooms(connection: Connection) -> Sequence[str]:
    rows = await connection.fetch("SELECT DISTINCT room FROM held_messages")
    return [room for (room,) in rows]


async def _waiting(
    connection: Connection, after: int, limit: int, rooms: Sequence[str] | None
) -> Sequence[Numbered]:
    rows = await connection.fetch(
        f"SELECT number, {HELD_COLUMNS} FROM held_messages"
        " WHERE number > $1 AND ($3::text[] IS NULL OR room = ANY($3))"
        " ORDER BY number LIMIT $2",
        after,
        limit,
        None if rooms is None else [escaped(each) for each in rooms],
    )
    return [(number, held_from(tuple(row))) for number, *row in rows]


async def _of_room(connection: Connection, room: str, author: str) -> Sequence[HeldMessage]:
    rows = await connection.fetch(
        "SELECT room, id, author, time_ns, shadowed, recorded, ''::bytea, ''::bytea"
        " FROM held_messages WHERE room = $1 AND (author = $2 OR $2 = '') ORDER BY number",
        room,
        author,
    )
    return [held_from(tuple(row)) for row in rows]
