"""Rooms in memory."""

from collections.abc import Sequence

import msgspec

from greenroom.model.arn import Arn
from greenroom.model.room import Room, RoomChange, RoomFilter
from greenroom.model.room_settings import Change
from greenroom.model.schedule import ScheduleChange, looked_at
from greenroom.storage import rules
from greenroom.storage.memory.region import KeptRoom, Regions
from greenroom.storage.rooms import RoomCursor, RoomPage


class MemoryRooms:
    """`Rooms` in dictionaries."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions

    async def create(self, room: Room, quota: int) -> Room:
        region = self._regions.of(room.arn.account, room.arn.region)
        if room.arn in region.rooms:
            raise rules.already_exists(room.arn)
        rules.check_quota(room.arn, len(region.rooms), quota)
        self._check_attachments(room, ())
        room = msgspec.structs.replace(room, tags=dict(room.tags))
        return region.place(KeptRoom(room), room)

    async def get(self, arn: Arn) -> Room:
        return self._regions.room(arn).room

    async def update(self, arn: Arn, change: RoomChange, now: int) -> Room:
        kept = self._regions.room(arn)
        room = change.apply(kept.room, now)
        self._check_attachments(room, kept.room.logging_configuration_identifiers)
        return self._regions.of(arn.account, arn.region).place(kept, room)

    async def set(self, arn: Arn, change: Change) -> Room:
        kept = self._regions.room(arn)
        overrides = change.apply(kept.room.overrides)
        kept.room = msgspec.structs.replace(kept.room, overrides=overrides)
        return kept.room

    async def schedule(self, arn: Arn, change: ScheduleChange) -> Room:
        kept = self._regions.room(arn)
        schedules = change.apply(kept.room.schedules)
        kept.room = msgspec.structs.replace(kept.room, schedules=schedules)
        return kept.room

    async def scheduled(self, until: int, limit: int) -> Sequence[Room]:
        found = [
            (at, str(kept.room.arn), kept.room)
            for region in self._regions.all().values()
            for kept in region.rooms.values()
            if (at := looked_at(kept.room.schedules)) is not None and at <= until
        ]
        return [room for _, _, room in sorted(found, key=lambda each: each[:2])[:limit]]

    async def delete(self, arn: Arn) -> None:
        kept = self._regions.room(arn)
        self._regions.of(arn.account, arn.region).remove(kept)

    async def page(
        self,
        account: str,
        region: str,
        filters: RoomFilter,
        limit: int,
        after: RoomCursor | None = None,
    ) -> RoomPage:
        if filters.logging_configuration_identifier is not None:
            self._regions.configuration(
                rules.within(filters.logging_configuration_identifier, account, region)
            )
        return self._regions.of(account, region).page(filters, limit, after)

    async def regions_in_use(self) -> frozenset[str]:
        regions = self._regions.all().items()
        return frozenset(name for (_, name), kept in regions if kept.rooms or kept.configurations)

    def _check_attachments(self, room: Room, attached: tuple[str, ...]) -> None:
        rules.check_attachments(
            room.arn,
            room.logging_configuration_identifiers,
            attached,
            lambda arn: self._regions.configuration(arn).configuration,
        )
