"""Rooms in PostgreSQL: each call runs a function of a connection as one transaction.

Every creation and update of a room takes the next sequence number of its region. A listing orders
by it alone, whatever the clock did, and the state of the order at any earlier number S can be read
back: a room stands at its present number if that is not above S, else at the one of its superseded
positions that was in force at S.
"""

from collections.abc import Sequence
from operator import itemgetter

import msgspec

from greenroom.model.arn import Arn
from greenroom.model.room import Room, RoomChange, RoomFilter
from greenroom.model.room_settings import Change
from greenroom.model.schedule import ScheduleChange, looked_at
from greenroom.storage import rules
from greenroom.storage.postgres import logging_configurations, regions
from greenroom.storage.postgres.database import Database
from greenroom.storage.postgres.session import Connection
from greenroom.storage.regions import Region, changed
from greenroom.storage.rooms import LIST_LIFETIME_MS, RoomCursor, RoomPage
from greenroom.storage.rows import (
    ROOM_COLUMNS,
    Row,
    overrides_text,
    room_from,
    room_row,
    schedules_text,
)

_FIELDS = ", ".join(f"rooms.{column.strip()}" for column in ROOM_COLUMNS.split(","))


class PostgresRooms:
    """`Rooms` in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, room: Room, quota: int) -> Room:
        return await self._database.write(regions.lane(room.arn), create, room, quota)

    async def get(self, arn: Arn) -> Room:
        return await self._database.read(get, arn)

    async def update(self, arn: Arn, change: RoomChange, now: int) -> Room:
        return await self._database.write(regions.lane(arn), update, arn, change, now)

    async def set(self, arn: Arn, change: Change) -> Room:
        return await self._database.write(regions.lane(arn), override, arn, change)

    async def schedule(self, arn: Arn, change: ScheduleChange) -> Room:
        return await self._database.write(regions.lane(arn), schedule, arn, change)

    async def scheduled(self, until: int, limit: int) -> Sequence[Room]:
        return await self._database.read(scheduled, until, limit)

    async def delete(self, arn: Arn) -> None:
        await self._database.write(regions.lane(arn), delete, arn)

    async def page(
        self,
        account: str,
        region: str,
        filters: RoomFilter,
        limit: int,
        after: RoomCursor | None = None,
    ) -> RoomPage:
        return await self._database.snapshot(page, account, region, filters, limit, after)

    async def regions_in_use(self) -> frozenset[str]:
        return await self._database.read(regions.in_use)


async def create(connection: Connection, room: Room, quota: int) -> Room:
    """Insert the room and return it as stored."""
    arn = room.arn
    region = await regions.hold(connection, arn)
    if await _row(connection, arn) is not None:
        raise rules.already_exists(arn)
    rules.check_quota(arn, region.rooms, quota)
    await _check_attachments(connection, room, ())
    region = changed(region, room.update_time, rooms=1)
    await regions.save(connection, region)
    room = msgspec.structs.replace(room, update_time=region.newest_update_time)
    key = await connection.fetchval(
        f"INSERT INTO rooms (region, sequence, {ROOM_COLUMNS})"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING key",
        region.key,
        region.sequence,
        *room_row(room),
    )
    if room.logging_configuration_identifiers:
        await _attach(connection, key, region.sequence, room)
    return room


async def get(connection: Connection, arn: Arn) -> Room:
    """Return the room or raise ResourceNotFoundException."""
    return room_from((await _existing(connection, arn))[2:])


async def update(connection: Connection, arn: Arn, change: RoomChange, now: int) -> Room:
    """Apply the change, move the room to the front of listings, and return it."""
    region = changed(await regions.hold(connection, arn), now)
    key, sequence, *fields = await _existing(connection, arn)
    before = room_from(tuple(fields))
    room = change.apply(before, region.newest_update_time)
    await _check_attachments(connection, room, before.logging_configuration_identifiers)
    await regions.save(connection, region)
    await connection.execute(
        "INSERT INTO room_positions"
        " (region, room, sequence, update_time, superseded_sequence, superseded_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        region.key,
        key,
        sequence,
        before.update_time,
        region.sequence,
        now,
    )
    await connection.execute(
        f"UPDATE rooms SET (sequence, {ROOM_COLUMNS})"
        " = ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) WHERE key = $14",
        region.sequence,
        *room_row(room),
        key,
    )
    await _attach(connection, key, region.sequence, room)
    await _prune(connection, region, now)
    return room


async def override(connection: Connection, arn: Arn, change: Change) -> Room:
    """Change what is set in the room, and return it."""
    await regions.hold(connection, arn)
    room = await get(connection, arn)
    room = msgspec.structs.replace(room, overrides=change.apply(room.overrides))
    await connection.execute(
        "UPDATE rooms SET overrides = $1 WHERE arn = $2", overrides_text(room.overrides), str(arn)
    )
    return room


async def schedule(connection: Connection, arn: Arn, change: ScheduleChange) -> Room:
    """Change what the room is told again and again, and return it."""
    await regions.hold(connection, arn)
    room = await get(connection, arn)
    schedules = change.apply(room.schedules)
    if schedules != room.schedules:
        room = msgspec.structs.replace(room, schedules=schedules)
        await connection.execute(
            "UPDATE rooms SET schedules = $1, scheduled_at = $2 WHERE arn = $3",
            schedules_text(schedules),
            looked_at(schedules),
            str(arn),
        )
    return room


async def scheduled(connection: Connection, until: int, limit: int) -> list[Room]:
    """Return rooms with a schedule to be looked at by then."""
    rows = await connection.fetch(
        f"SELECT {ROOM_COLUMNS} FROM rooms WHERE scheduled_at <= $1 ORDER BY scheduled_at LIMIT $2",
        until,
        limit,
    )
    return [room_from(tuple(row)) for row in rows]


async def delete(connection: Connection, arn: Arn) -> None:
    """Delete the room with its positions and attachments."""
    region = await regions.hold(connection, arn)
    key = (await _existing(connection, arn))[0]
    await connection.execute("UPDATE regions SET rooms = rooms - 1 WHERE key = $1", region.key)
    await connection.execute("DELETE FROM rooms WHERE key = $1", key)


async def page(
    connection: Connection,
    account: str,
    region: str,
    filters: RoomFilter,
    limit: int,
    after: RoomCursor | None,
) -> RoomPage:
    """Return the rooms that stand below the cursor in the order of its snapshot."""
    configuration = await _filtered_configuration(connection, account, region, filters)
    found = await regions.find(connection, account, region)
    if found is None:
        return RoomPage([], None)
    snapshot = found.sequence if after is None else after.snapshot
    below = snapshot + 1 if after is None else after.sequence
    wanted = _Wanted(found.key, filters, configuration, below, limit + 1)
    rows = await _standing(connection, wanted)
    if snapshot < found.sequence:
        rows += await _superseded(connection, wanted, snapshot)
        rows.sort(key=itemgetter(0), reverse=True)
    rooms = [room_from(row[2:]) for row in rows[:limit]]
    if len(rows) <= limit:
        return RoomPage(rooms, None)
    sequence, update_time = rows[limit - 1][:2]
    return RoomPage(rooms, RoomCursor(snapshot, update_time, sequence))


async def _filtered_configuration(
    connection: Connection, account: str, region: str, filters: RoomFilter
) -> int | None:
    identifier = filters.logging_configuration_identifier
    if identifier is None:
        return None
    arn = rules.within(identifier, account, region)
    return await logging_configurations.key_of(connection, arn)


class _Wanted(msgspec.Struct, frozen=True):
    """Which rooms of a region a page asks for: up to `limit` below a sequence number."""

    region: int
    filters: RoomFilter
    configuration: int | None
    below: int
    limit: int

    @property
    def source(self) -> str:
        """Return the tables; attachments only when they are asked for."""
        if self.configuration is None:
            return "rooms"
        return "rooms JOIN attachments ON rooms.key = attachments.room"

    def conditions(self, after: int) -> tuple[str, tuple[object, ...]]:
        """Return SQL for the filters and its values, whose numbers come after the one given.

        Its expressions are those of the indexes.
        """
        wanted = {
            "attachments.configuration": self.configuration,
            "coalesce(rooms.name, '')": self.filters.name,
            "coalesce(rooms.handler_uri, '')": self.filters.message_review_handler_uri,
        }
        asked = {each: value for each, value in wanted.items() if value is not None}
        numbered = enumerate(asked, after + 1)
        return "".join(f" AND {each} = ${number}" for number, each in numbered), (*asked.values(),)


async def _standing(connection: Connection, wanted: _Wanted) -> list[Row]:
    """Return rooms by their present number; one index gives them in order for each filter."""
    sequence = "rooms.sequence" if wanted.configuration is None else "attachments.sequence"
    conditions, values = wanted.conditions(3)
    rows = await connection.fetch(
        f"SELECT rooms.sequence, rooms.update_time, {_FIELDS} FROM {wanted.source}"
        f" WHERE rooms.region = $1 AND {sequence} < $2{conditions}"
        f" ORDER BY {sequence} DESC LIMIT $3",
        *(wanted.region, wanted.below, wanted.limit, *values),
    )
    return [tuple(row) for row in rows]


async def _superseded(connection: Connection, wanted: _Wanted, snapshot: int) -> list[Row]:
    """Return rooms updated since the snapshot by the number that they had then.

    `below` is not above the snapshot, so what was in force later only is left out by it.
    """
    conditions, values = wanted.conditions(4)
    rows = await connection.fetch(
        f"SELECT positions.sequence, positions.update_time, {_FIELDS}"
        f" FROM room_positions AS positions JOIN {wanted.source} ON rooms.key = positions.room"
        " WHERE positions.region = $1 AND positions.sequence < $2"
        f" AND positions.superseded_sequence > $4{conditions}"
        " ORDER BY positions.sequence DESC LIMIT $3",
        *(wanted.region, wanted.below, wanted.limit, snapshot, *values),
    )
    return [tuple(row) for row in rows]


async def _row(connection: Connection, arn: Arn) -> Row | None:
    row = await connection.fetchrow(
        f"SELECT key, sequence, {ROOM_COLUMNS} FROM rooms WHERE arn = $1", str(arn)
    )
    return None if row is None else tuple(row)


async def _existing(connection: Connection, arn: Arn) -> Row:
    row = await _row(connection, arn)
    if row is None:
        raise arn.not_found()
    return row


async def _check_attachments(connection: Connection, room: Room, attached: tuple[str, ...]) -> None:
    wanted = room.logging_configuration_identifiers
    if wanted:
        find = await logging_configurations.found(connection, wanted)
        rules.check_attachments(room.arn, wanted, attached, find)


async def _attach(connection: Connection, key: int, sequence: int, room: Room) -> None:
    """Write which configurations the room has attached; its sequence number has changed."""
    await connection.execute("DELETE FROM attachments WHERE room = $1", key)
    if room.logging_configuration_identifiers:
        await connection.execute(
            "INSERT INTO attachments (configuration, sequence, room)"
            " SELECT key, $1, $2 FROM logging_configurations WHERE arn = ANY ($3::text[])",
            sequence,
            key,
            room.logging_configuration_identifiers,
        )


async def _prune(connection: Connection, region: Region, now: int) -> None:
    """Remove positions that no listing may ask for any more, two for each that is added."""
    await connection.execute(
        "DELETE FROM room_positions WHERE key IN (SELECT key FROM room_positions"
        " WHERE region = $1 AND superseded_at < $2 ORDER BY superseded_at LIMIT 2)",
        region.key,
        now - LIST_LIFETIME_MS,
    )
