"""Pins messages in rooms, for both planes.

- A pin is a copy: it is there for longer than the room's history, over restarts, and until it is
  taken down, it expires, or its message is deleted.
- It is kept with what is set in the room, so every node knows it as it knows that, and a room that
  is deleted has none. Those in the room who asked for events are told.
"""

from collections.abc import Collection, Sequence

import msgspec

from greenroom.bus.base import Audience, Control, RoomChanged
from greenroom.chat.chat import Chat
from greenroom.chat.originals import Originals
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.errors import ConflictException, ResourceNotFoundException
from greenroom.model.pin import MOST_PINS, Pin
from greenroom.model.restriction import iso
from greenroom.model.room import Room
from greenroom.model.room_settings import PinsChange, TooManyPins
from greenroom.protocol import events
from greenroom.storage.rooms import Rooms

PIN, UNPIN = "PinMessage", "UnpinMessage"

GONE = "The message cannot be found: a room pins what it has in its history"


class Pins:
    """Pins messages and takes them down."""

    def __init__(
        self,
        chat: Chat,
        rooms: RoomsCache,
        kept: Rooms,
        control: Control,
        originals: Originals,
        clock: Clock,
    ) -> None:
        self._chat = chat
        self._rooms = rooms
        self._kept = kept
        self._control = control
        self._originals = originals
        self._clock = clock
        chat.when_deleted = self.forget

    async def pin(self, room_arn: str, message_id: str, seconds: int, by: str) -> Room:
        """Pin a message for so many seconds, 0 for ever, and return the room.

        One that is pinned already is from now on.

        Raises:
            ResourceNotFoundException: there is no such room, or no such message in its history.
            ConflictException: the room has as many as it may.
            PendingVerification, ThrottlingException: as for `chat.Settings.change`.
        """
        arn, now = Arn.parse(room_arn), self._clock.now_ms()
        self._chat.check_may_change(arn)
        found = await self._chat.room(arn)
        original = await self._originals.find(room_arn, message_id)
        if original is None:
            raise ResourceNotFoundException(GONE, resource_id=message_id, resource_type="MESSAGE")
        frame = original.payload.decode()
        pin = Pin(message_id, frame, by, now, now + seconds * 1000 if seconds else 0)
        try:
            await self._kept.set(found.arn, PinsChange(now, pin))
        except TooManyPins:
            raise ConflictException(
                f"The room has {MOST_PINS} pins: take one down first",
                resource_id=arn.id,
                resource_type=arn.type.wire_name,
            ) from None
        room = await self._tell(room_arn, PIN)
        if await self._originals.find(room_arn, message_id) is None:
            # It was deleted before the room was told, by who knew of no pin: who does later knows.
            await self._kept.set(found.arn, PinsChange(now, without=(message_id,)))
            room = await self._tell(room_arn, UNPIN)
        return room

    async def unpin(self, room_arn: str, message_id: str) -> Room:
        """Take a pin down, which need not be there; return the room.

        Raises: as `pin`.
        """
        arn = Arn.parse(room_arn)
        self._chat.check_may_change(arn)
        await self._kept.set(arn, PinsChange(self._clock.now_ms(), without=(message_id,)))
        return await self._tell(room_arn, UNPIN)

    async def forget(self, room: Room, deleted: Collection[str]) -> None:
        """Take down what is pinned of messages that were deleted."""
        # It may have been pinned since the room was looked up, on any node.
        try:
            room = await self._rooms.get(str(room.arn))
        except ResourceNotFoundException:
            return
        if any(each.message_id in deleted for each in room.overrides.pins):
            await self._kept.set(room.arn, PinsChange(self._clock.now_ms(), without=deleted))
            await self._tell(str(room.arn), UNPIN)

    def of(self, room: Room) -> Sequence[Pin]:
        """Return the pins of a room that are there now."""
        return _held(room, self._clock.now_ms())

    async def _tell(self, room_arn: str, operation: str) -> Room:
        self._control.broadcast(RoomChanged(room_arn))
        room = await self._rooms.get(room_arn)
        told = event_attributes(room, self._clock.now_ms())
        await self._chat.tell(room, operation, events.PINS, told, Audience.EVENTS)
        return room


def event_attributes(room: Room, now: int) -> dict[str, str]:
    """Return what those in a room are told of its pins at a time."""
    shown = [
        {
            "Message": msgspec.Raw(each.frame.encode()),
            "By": each.by,
            "Until": iso(each.expires) if each.expires else "",
        }
        for each in _held(room, now)
    ]
    return {"Pins": events.json_text(shown)}


def _held(room: Room, now: int) -> list[Pin]:
    return [each for each in room.overrides.pins if each.holds(now)]
