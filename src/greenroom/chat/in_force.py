"""The settings in force in each room, computed when something has changed or expired.

What a room is set to travels with the room: whoever caches rooms has it, and forgets it with them.
"""

import msgspec

from greenroom.bus.base import History
from greenroom.chat.rooms_cache import MAXIMUM_ROOMS
from greenroom.clock import Clock
from greenroom.model.room import Room
from greenroom.model.room_settings import DEFAULTS, Effective, RoomSettings
from greenroom.model.room_settings import effective as effective_of

NONE, KEPT = History.NONE, History.KEPT
# Looked up once: in Python 3.11 a member costs 50 ns each time.


class _Known(msgspec.Struct, frozen=True, gc=False):
    room: Room
    settings: RoomSettings
    # None: they hold as long as nothing is changed.
    ending: Effective | None


class SettingsInForce:
    """What holds in each room now; most rooms have nothing of their own, and cost nothing."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, _Known] = {}

    def of(self, room_arn: str, room: Room) -> RoomSettings:
        """Return the settings that hold in a room, which is as the cache of rooms knows it."""
        if not room.tags and not room.overrides.values:
            return DEFAULTS
        known = self._known.get(room_arn)
        if known is not None and known.room is room:
            ending = known.ending
            if ending is None or ending.holds(self._clock.now_ms()):
                return known.settings
        return self._learn(room_arn, room)

    def of_room(self, room: Room) -> RoomSettings:
        """Return the same of a room whose ARN is not at hand as text."""
        if not room.tags and not room.overrides.values:
            return DEFAULTS
        return self.of(str(room.arn), room)

    def ahead(self, room: Room, seconds: int) -> RoomSettings:
        """Return what holds in a room in so many seconds, if nobody changes it."""
        at = self._clock.now_ms() + seconds * 1000
        return effective_of(room.tags, room.overrides, at).settings

    def history(self, room: Room) -> History:
        """Return whether a room keeps what it is shown."""
        if not room.tags and not room.overrides.values:
            return NONE
        return KEPT if self.of(str(room.arn), room).history_messages else NONE

    def _learn(self, room_arn: str, room: Room) -> RoomSettings:
        if len(self._known) >= MAXIMUM_ROOMS:
            # Made anew at the next question, each in microseconds.
            self._known.clear()
        found = effective_of(room.tags, room.overrides, self._clock.now_ms())
        if found.settings == DEFAULTS:
            found = Effective(DEFAULTS, found.since, found.until)
        ending = None if found.is_lasting else found
        self._known[room_arn] = _Known(room, found.settings, ending)
        return found.settings
