"""Rooms in SQLite: each call runs a function of a connection as one transaction.

Every creation and update of a room takes the next sequence number of its region. A listing orders
by it alone, whatever the clock did, and the state of the order at any earlier number S can be read
back: a room stands at its present number if that is not above S, else at the one of its superseded
positions that was in force at S.
"""

from collections.abc import Sequence
from sqlite3 import Connection
from typing import cast

import msgspec

from greenroom.model.arn import Arn
from greenroom.model.room import Room, RoomChange, RoomFilter
from greenroom.model.room_settings import Change
from greenroom.model.schedule import ScheduleChange, looked_at
from greenroom.storage import rules
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
from greenroom.storage.sqlite import logging_configurations, regions
from greenroom.storage.sqlite.worker import SqliteWorker

_FIELDS = ", ".join(f"rooms.{column.strip()}" for column in ROOM_COLUMNS.split(","))


class SqliteRooms:
    """`Rooms` in the worker's database."""

    def __init__(self, worker: SqliteWorker) -> None:
        self._worker = worker

    async def create(self, room: Room, quota: int) -> Room:
        return await self._worker.write(create, room, quota)

    async def get(self, arn: Arn) -> Room:
        return await self._worker.read(get, arn)

    async def update(self, arn: Arn, change: RoomChange, now: int) -> Room:
        return await self._worker.write(update, arn, change, now)

    async def set(self, arn: Arn, change: Change) -> Room:
        return await self._worker.write(override, arn, change)

    async def schedule(self, arn: Arn, change: ScheduleChange) -> Room:
        return await self._worker.write(schedule, arn, change)

    async def scheduled(self, until: int, limit: int) -> Sequence[Room]:
        return await self._worker.read(scheduled, until, limit)

    async def delete(self, arn: Arn) -> None:
        await self._worker.write(delete, arn)

    async def page(
        self,
        account: str,
        region: str,
        filters: RoomFilter,
        limit: int,
        after: RoomCursor | None = None,
    ) -> RoomPage:
        return await self._worker.read(page, account, region, filters, limit, after)

    async def regions_in_use(self) -> frozenset[str]:
        return await self._worker.read(regions.in_use)


def create(connection: Connection, room: Room, quota: int) -> Room:
    """Insert the room and return it as stored."""
    arn = room.arn
    if _row(connection, arn) is not None:
        raise rules.already_exists(arn)
    region = regions.find_or_create(connection, arn.account, arn.region)
    rules.check_quota(arn, region.rooms, quota)
    _check_attachments(connection, room, ())
    region = changed(region, room.update_time, rooms=1)
    regions.save(connection, region)
    room = msgspec.structs.replace(room, update_time=region.newest_update_time)
    inserted = connection.execute(
        f"INSERT INTO rooms (region, sequence, {ROOM_COLUMNS})"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (region.key, region.sequence, *room_row(room)),
    )
    if room.logging_configuration_identifiers:
        _attach(connection, cast(int, inserted.lastrowid), region.sequence, room)
    return room


def get(connection: Connection, arn: Arn) -> Room:
    """Return the room or raise ResourceNotFoundException."""
    return room_from(_existing(connection, arn)[2:])


def update(connection: Connection, arn: Arn, change: RoomChange, now: int) -> Room:
    """Apply the change, move the room to the front of listings, and return it."""
    key, sequence, *fields = _existing(connection, arn)
    before = room_from(tuple(fields))
    region = regions.find_or_create(connection, arn.account, arn.region)
    region = changed(region, now)
    room = change.apply(before, region.newest_update_time)
    _check_attachments(connection, room, before.logging_configuration_identifiers)
    regions.save(connection, region)
    connection.execute(
        "INSERT INTO room_positions"
        " (region, room, sequence, update_time, superseded_sequence, superseded_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (region.key, key, sequence, before.update_time, region.sequence, now),
    )
    connection.execute(
        f"UPDATE rooms SET (sequence, {ROOM_COLUMNS}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " WHERE key = ?",
        (region.sequence, *room_row(room), key),
    )
    _attach(connection, key, region.sequence, room)
    _prune(connection, now)
    return room


def override(connection: Connection, arn: Arn, change: Change) -> Room:
    """Change what is set in the room, and return it."""
    room = get(connection, arn)
    room = msgspec.structs.replace(room, overrides=change.apply(room.overrides))
    connection.execute(
        "UPDATE rooms SET overrides = ? WHERE arn = ?", (overrides_text(room.overrides), str(arn))
    )
    return room


def schedule(connection: Connection, arn: Arn, change: ScheduleChange) -> Room:
    """Change what the room is told again and again, and return it."""
    room = get(connection, arn)
    schedules = change.apply(room.schedules)
    if schedules != room.schedules:
        room = msgspec.structs.replace(room, schedules=schedules)
        connection.execute(
            "UPDATE rooms SET schedules = ?, scheduled_at = ? WHERE arn = ?",
            (schedules_text(schedules), looked_at(schedules), str(arn)),
        )
    return room


def scheduled(connection: Connection, until: int, limit: int) -> list[Room]:
    """Return rooms with a schedule to be looked at by then."""
    rows = connection.execute(
        f"SELECT {ROOM_COLUMNS} FROM rooms WHERE scheduled_at <= ? ORDER BY scheduled_at LIMIT ?",
        (until, limit),
    )
    return [room_from(row) for row in rows]


def delete(connection: Connection, arn: Arn) -> None:
    """Delete the room with its positions and attachments."""
    key = _existing(connection, arn)[0]
    connection.execute(
        "UPDATE regions SET rooms = rooms - 1 WHERE key = (SELECT region FROM rooms WHERE key = ?)",
        (key,),
    )
    connection.execute("DELETE FROM rooms WHERE key = ?", (key,))


def page(
    connection: Connection,
    account: str,
    region: str,
    filters: RoomFilter,
    limit: int,
    after: RoomCursor | None,
) -> RoomPage:
    """Return the rooms that stand below the cursor in the order of its snapshot."""
    configuration = _filtered_configuration(connection, account, region, filters)
    found = regions.find(connection, account, region)
    if found is None:
        return RoomPage([], None)
    snapshot = found.sequence if after is None else after.snapshot
    below = snapshot + 1 if after is None else after.sequence
    rows = _standing(connection, found, filters, configuration, below, limit + 1)
    if snapshot < found.sequence:
        rows += _superseded(connection, found, filters, configuration, below, snapshot, limit + 1)
        rows.sort(reverse=True)
    rooms = [room_from(row[2:]) for row in rows[:limit]]
    if len(rows) <= limit:
        return RoomPage(rooms, None)
    sequence, update_time = rows[limit - 1][:2]
    return RoomPage(rooms, RoomCursor(snapshot, update_time, sequence))


def _filtered_configuration(
    connection: Connection, account: str, region: str, filters: RoomFilter
) -> int | None:
    identifier = filters.logging_configuration_identifier
    if identifier is None:
        return None
    arn = rules.within(identifier, account, region)
    return logging_configurations.key_of(connection, arn)


def _standing(
    connection: Connection,
    region: Region,
    filters: RoomFilter,
    configuration: int | None,
    below: int,
    limit: int,
) -> list[Row]:
    """Return rooms by their present number; one index gives them in order for each filter."""
    conditions, values = _conditions(filters)
    source, sequence = "rooms", "rooms.sequence"
    if configuration is not None:
        source, sequence = "attachments CROSS JOIN rooms", "attachments.sequence"
        conditions += " AND attachments.configuration = ? AND rooms.key = attachments.room"
        values = (*values, configuration)
    return connection.execute(
        f"SELECT rooms.sequence, rooms.update_time, {_FIELDS} FROM {source}"
        f" WHERE rooms.region = ?{conditions} AND {sequence} < ?"
        f" ORDER BY {sequence} DESC LIMIT ?",
        (region.key, *values, below, limit),
    ).fetchall()


def _superseded(
    connection: Connection,
    region: Region,
    filters: RoomFilter,
    configuration: int | None,
    below: int,
    snapshot: int,
    limit: int,
) -> list[Row]:
    """Return rooms updated since the snapshot by the number that they had then.

    `below` is not above the snapshot, so what was in force later only is left out by it.
    """
    conditions, values = _conditions(filters)
    if configuration is not None:
        conditions += (
            " AND EXISTS (SELECT 1 FROM attachments"
            " WHERE attachments.configuration = ? AND attachments.sequence = rooms.sequence)"
        )
        values = (*values, configuration)
    return connection.execute(
        f"SELECT positions.sequence, positions.update_time, {_FIELDS}"
        " FROM room_positions AS positions CROSS JOIN rooms ON rooms.key = positions.room"
        " WHERE positions.region = ? AND positions.superseded_sequence > ?"
        f" AND positions.sequence < ?{conditions}"
        " ORDER BY positions.sequence DESC LIMIT ?",
        (region.key, snapshot, below, *values, limit),
    ).fetchall()


def _conditions(filters: RoomFilter) -> tuple[str, tuple[str | int, ...]]:
    """Return SQL for the filters on the room itself; its expressions are those of the indexes."""
    conditions = ""
    values: tuple[str | int, ...] = ()
    if filters.name is not None:
        conditions += " AND coalesce(rooms.name, '') = ?"
        values += (filters.name,)
    if filters.message_review_handler_uri is not None:
        conditions += " AND coalesce(rooms.handler_uri, '') = ?"
        values += (filters.message_review_handler_uri,)
    return conditions, values


def _row(connection: Connection, arn: Arn) -> Row | None:
    row: Row | None = connection.execute(
        f"SELECT key, sequence, {ROOM_COLUMNS} FROM rooms WHERE arn = ?", (str(arn),)
    ).fetchone()
    return row


def _existing(connection: Connection, arn: Arn) -> Row:
    row = _row(connection, arn)
    if row is None:
        raise arn.not_found()
    return row


def _check_attachments(connection: Connection, room: Room, attached: tuple[str, ...]) -> None:
    rules.check_attachments(
        room.arn,
        room.logging_configuration_identifiers,
        attached,
        lambda arn: logging_configurations.get(connection, arn),
    )


def _attach(connection: Connection, key: int, sequence: int, room: Room) -> None:
    """Index the room's logging configurations at its new sequence number."""
    connection.execute("DELETE FROM attachments WHERE room = ?", (key,))
    for identifier in dict.fromkeys(room.logging_configuration_identifiers):
        connection.execute(
            "INSERT INTO attachments (configuration, sequence, room)"
            " SELECT key, ?, ? FROM logging_configurations WHERE arn = ?",
            (sequence, key, identifier),
        )


def _prune(connection: Connection, now: int) -> None:
    """Remove positions that no listing may ask for any more, two for each that is added."""
    connection.execute(
        "DELETE FROM room_positions WHERE key IN"
        " (SELECT key FROM room_positions WHERE superseded_at < ? ORDER BY superseded_at LIMIT 2)",
        (now - LIST_LIFETIME_MS,),
    )
