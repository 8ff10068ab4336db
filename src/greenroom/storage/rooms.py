"""The port to the kept rooms; its guarantees are those of `storage.base`, and one on lists.

A listing walks the rooms as they were ordered when its first page was made: each room that exists
from the first page to the last is returned exactly once, whatever is created, updated or deleted in
between. Order positions are kept for `LIST_LIFETIME_MS`.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from greenroom.model.arn import Arn
from greenroom.model.room import Room, RoomChange, RoomFilter
from greenroom.model.room_settings import Change
from greenroom.model.schedule import ScheduleChange

LIST_LIFETIME_MS = 3_600_000
"""How long a listing may take from its first page to its last: one hour."""


class RoomCursor(msgspec.Struct, frozen=True, array_like=True):
    """A position in a listing of rooms.

    `snapshot` is the sequence number of the newest change when the listing began; `update_time`
    and `sequence` are the position of the last room returned.
    """

    snapshot: int
    update_time: int
    sequence: int


class RoomPage(msgspec.Struct, frozen=True):
    """Some rooms, and where the next ones begin, if there are any."""

    rooms: list[Room]
    next: RoomCursor | None


class Rooms(Protocol):
    """Rooms by their ARN, and in the order of their changes."""

    async def create(self, room: Room, quota: int) -> Room:
        """Insert the room and return it as stored: its update time is raised as by `update`.

        Raises:
            ServiceQuotaExceededException: the account has `quota` rooms in the region.
            ResourceNotFoundException: a logging configuration does not exist there.
            ConflictException: a logging configuration is not ACTIVE, or the room exists already.
        """

    async def get(self, arn: Arn) -> Room:
        """Return the room.

        Raises:
            ResourceNotFoundException: there is none.
        """

    async def update(self, arn: Arn, change: RoomChange, now: int) -> Room:
        """Apply the change and return the room as changed; `now` becomes its update time.

        Within a region `now` is raised to the newest update time, unless that is more than
        `SMALL_STEP_MS` later: then the clock was ahead, and the times follow it back.

        Raises:
            ResourceNotFoundException: no such room or logging configuration.
            ConflictException: a newly attached logging configuration is not ACTIVE.
        """

    async def set(self, arn: Arn, change: Change) -> Room:
        """Apply a change of what is set in the room and return the room; its update time stays.

        Changes of one room take effect one after the other, each on what the last one left.

        Raises:
            ResourceNotFoundException: there is none.
        """

    async def schedule(self, arn: Arn, change: ScheduleChange) -> Room:
        """Apply a change of the room's schedules and return the room; its update time stays.

        Changes of one room take effect one after the other, each on what the last one left.

        Raises:
            ResourceNotFoundException: there is none.
            TooManySchedules: it has as many as it may.
        """

    async def scheduled(self, until: int, limit: int) -> Sequence[Room]:
        """Return rooms with a schedule to be looked at by then, the first one first.

        They are those of all accounts and regions.
        """

    async def delete(self, arn: Arn) -> None:
        """Delete the room.

        Raises:
            ResourceNotFoundException: there is none.
        """

    async def page(
        self,
        account: str,
        region: str,
        filters: RoomFilter,
        limit: int,
        after: RoomCursor | None = None,
    ) -> RoomPage:
        """Return up to `limit` rooms that pass the filters, newest change first.

        Raises:
            ResourceNotFoundException: the filter's logging configuration does not exist.
        """

    async def regions_in_use(self) -> frozenset[str]:
        """Return every region in which any account has a room or a logging configuration."""
