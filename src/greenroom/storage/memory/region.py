"""Accounts in their regions, in memory: their resources and the order of their rooms."""

from bisect import bisect_left
from operator import attrgetter

import msgspec

from greenroom.model.arn import Arn
from greenroom.model.logging_configuration import LoggingConfiguration
from greenroom.model.room import Room, RoomFilter
from greenroom.storage import rules
from greenroom.storage.memory.opened import Opened
from greenroom.storage.rooms import LIST_LIFETIME_MS, RoomCursor, RoomPage

_FEW = 1_000


class Position:
    """Where a room stands in listings, or stood until an update superseded it."""

    __slots__ = ("kept", "sequence", "superseded_at", "superseded_sequence", "update_time")

    def __init__(self, kept: "KeptRoom", sequence: int, update_time: int) -> None:
        self.kept = kept
        self.sequence = sequence
        self.update_time = update_time
        self.superseded_sequence: int | None = None
        self.superseded_at = 0

    def stands_at(self, snapshot: int) -> bool:
        """Return whether this was the room's position when that change was the newest."""
        return self.superseded_sequence is None or self.superseded_sequence > snapshot

    def is_needed(self, now: int) -> bool:
        """Return whether a listing may still ask for the position."""
        if self.kept.deleted:
            return False
        return self.superseded_sequence is None or self.superseded_at >= now - LIST_LIFETIME_MS


class KeptRoom:
    """A room and its present position."""

    __slots__ = ("deleted", "position", "room")

    def __init__(self, room: Room) -> None:
        self.room = room
        self.position: Position | None = None
        self.deleted = False


class KeptConfiguration:
    """A logging configuration and the number of its creation."""

    __slots__ = ("configuration", "sequence")

    def __init__(self, configuration: LoggingConfiguration, sequence: int) -> None:
        self.configuration = configuration
        self.sequence = sequence


class Region:
    """One account in one region: rooms and configurations by ARN, positions in order of changes."""

    def __init__(self) -> None:
        self.rooms: dict[Arn, KeptRoom] = {}
        self.configurations: dict[Arn, KeptConfiguration] = {}
        self.sequence = 0
        self._newest_update_time = 0
        self._positions: list[Position] = []
        self._prune_at = _FEW

    def place(self, kept: KeptRoom, room: Room) -> Room:
        """Keep the new or changed room at the front of listings and return it as kept."""
        now = room.update_time
        self.sequence += 1
        self._newest_update_time = rules.update_time(self._newest_update_time, now)
        if kept.position is not None:
            kept.position.superseded_sequence = self.sequence
            kept.position.superseded_at = now
        kept.room = msgspec.structs.replace(room, update_time=self._newest_update_time)
        kept.position = Position(kept, self.sequence, self._newest_update_time)
        self.rooms[room.arn] = kept
        self._positions.append(kept.position)
        self._prune(now)
        return kept.room

    def remove(self, kept: KeptRoom) -> None:
        """Drop the room."""
        kept.deleted = True
        del self.rooms[kept.room.arn]

    def page(self, filters: RoomFilter, limit: int, after: RoomCursor | None) -> RoomPage:
        """Return rooms in the order of the cursor's snapshot, those below the cursor."""
        snapshot = self.sequence if after is None else after.snapshot
        below = snapshot + 1 if after is None else after.sequence
        index = bisect_left(self._positions, below, key=attrgetter("sequence"))
        found: list[Position] = []
        while index and len(found) <= limit:
            index -= 1
            position = self._positions[index]
            kept = position.kept
            if not kept.deleted and position.stands_at(snapshot) and filters.matches(kept.room):
                found.append(position)
        rooms = [position.kept.room for position in found[:limit]]
        if len(found) <= limit:
            return RoomPage(rooms, None)
        last = found[limit - 1]
        return RoomPage(rooms, RoomCursor(snapshot, last.update_time, last.sequence))

    def _prune(self, now: int) -> None:
        """Drop positions that nobody needs, when the list has doubled since the last time."""
        if len(self._positions) > self._prune_at:
            self._positions = [each for each in self._positions if each.is_needed(now)]
            self._prune_at = 2 * len(self._positions) + _FEW


class Regions:
    """What rooms, logging configurations and tags are kept in, by account and region."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._regions: dict[tuple[str, str], Region] = {}

    def all(self) -> dict[tuple[str, str], Region]:
        """Return all, by account and region."""
        self._opened.check()
        return self._regions

    def of(self, account: str, region: str) -> Region:
        """Return the region, which is there afterwards."""
        self._opened.check()
        found = self._regions.get((account, region))
        if found is None:
            found = self._regions[account, region] = Region()
        return found

    def room(self, arn: Arn) -> KeptRoom:
        """Return the room or raise ResourceNotFoundException."""
        kept = self.of(arn.account, arn.region).rooms.get(arn)
        if kept is None:
            raise arn.not_found()
        return kept

    def configuration(self, arn: Arn) -> KeptConfiguration:
        """Return the logging configuration or raise ResourceNotFoundException."""
        kept = self.of(arn.account, arn.region).configurations.get(arn)
        if kept is None:
            raise arn.not_found()
        return kept
