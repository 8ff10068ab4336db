"""How the settings of rooms are changed, for both planes.

A change is kept first, then every node is told to forget the room, then those in the room who asked
for events are told: what is told holds on the node that tells it.
"""

from collections.abc import Collection, Mapping

from greenroom.bus.base import Audience, Control, RoomChanged
from greenroom.chat.chat import Chat
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.errors import ResourceNotFoundException
from greenroom.model.room import Room
from greenroom.model.room_settings import (
    Override,
    RoomSettings,
    SettingsChange,
    Value,
    seconds_of,
)
from greenroom.protocol import events
from greenroom.storage.rooms import Rooms

OPERATION = "UpdateRoomSettings"


class Settings:
    """Changes what is set in rooms."""

    def __init__(
        self,
        chat: Chat,
        rooms: RoomsCache,
        kept: Rooms,
        control: Control,
        clock: Clock,
    ) -> None:
        self._chat = chat
        self._rooms = rooms
        self._kept = kept
        self._control = control
        self._clock = clock

    async def change(
        self,
        room_arn: str,
        values: Mapping[str, Value],
        reset: Collection[str],
        seconds: int,
        by: str,
    ) -> Room:
        """Set values for so many seconds, 0 for ever, and reset others; return the room.

        Raises:
            ResourceNotFoundException: there is no such room.
            PendingVerification: the account is suspended.
            ThrottlingException: the account's moderators do too much.
            ConflictException: a node is of a version that does not know what is set.
        """
        arn, now = Arn.parse(room_arn), self._clock.now_ms()
        self._chat.check_may_change(arn)
        if self._chat.holding is not None:
            self._chat.holding.check_possible(values, arn)
        overrides = {
            name: Override(value, by, _expires(now, seconds_of(name, value, seconds)))
            for name, value in values.items()
        }
        change = SettingsChange(overrides, reset, now)
        room = await self._kept.set(arn, change)
        await self.tell(room_arn)
        return room

    async def tell(self, room_arn: str) -> None:
        """Have every node, and the room, know what was changed in the store."""
        self._control.broadcast(RoomChanged(room_arn))
        room = await self._rooms.get(room_arn)
        told = self.event_attributes(room)
        await self._chat.tell(room, OPERATION, events.SETTINGS, told, Audience.EVENTS)

    def in_force(self, room: Room) -> RoomSettings:
        """Return what holds in a room."""
        return self._chat.settings.of_room(room)

    def has_commands(self, room_arn: str) -> bool | None:
        """Return whether moderators type commands in a room; None while it is not known here."""
        try:
            return self.in_force(self._rooms.peek(room_arn)).commands
        except KeyError:
            return None
        except ResourceNotFoundException:
            return False

    async def read_has_commands(self, room_arn: str) -> bool:
        """Read a room that is not known here, and return whether it has commands.

        Raises:
            StorageUnavailable: the store cannot say.
        """
        try:
            return self.in_force(await self._rooms.get(room_arn)).commands
        except ResourceNotFoundException:
            return False

    def event_attributes(self, room: Room) -> dict[str, str]:
        """Return what those in the room are told of its settings."""
        expiring = {
            name: events.send_time(each.expires * 1_000_000)
            for name, each in room.overrides.at(self._clock.now_ms()).items()
            if each.expires
        }
        told = {"Settings": events.json_text(self.in_force(room))}
        return {**told, "Expires": events.json_text(expiring)} if expiring else told


def _expires(now: int, seconds: int) -> int:
    """Return when something ends that holds for so long, 0 for never."""
    return now + seconds * 1000 if seconds else 0
