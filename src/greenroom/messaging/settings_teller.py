"""Tells those who asked for events of settings and pins that changed by themselves: by expiring.

Each node tells its own connections, from what it enforces itself. What somebody does is told in the
room's order when it is done (`chat.settings`): then the next tick only takes note. That a room was
deleted each node tells, too: as soon as it hears of it, or finds the room gone.
"""

from collections.abc import Mapping

from greenroom.bus.base import Audience, Control, Deliver, RoomDeleted
from greenroom.chat.pins import UNPIN, event_attributes
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.chat.settings import OPERATION, Settings
from greenroom.clock import Clock
from greenroom.messaging.hub import Hub
from greenroom.messaging.members import Members
from greenroom.model.errors import ResourceNotFoundException
from greenroom.model.message import IdSource
from greenroom.model.room import Room
from greenroom.protocol import events

TICK_SECONDS = 1.0
"""How late an expiry is told at most; it holds at once."""

DELETION = "DeleteRoom"


class SettingsTeller:
    """Looks at the rooms of this node in which somebody asked for events."""

    def __init__(
        self,
        hub: Hub,
        settings: Settings,
        rooms: RoomsCache,
        clock: Clock,
        ids: IdSource,
        control: Control,
    ) -> None:
        self._hub = hub
        self._settings = settings
        self._rooms = rooms
        self._clock = clock
        self._ids = ids
        self._looked = clock.now_ms()
        control.on(RoomDeleted, self._deleted)

    def tick(self) -> None:
        """Tell what has changed since the last time."""
        before, self._looked = self._looked, self._clock.now_ms()
        for room_arn, members in self._hub.with_events():
            looked = members.pins_looked_ms
            members.pins_looked_ms = since = before if looked is None else looked
            try:
                room = self._rooms.peek(room_arn)
                self._look(members, room)
                self._look_at_pins(members, room, since)
            except KeyError:
                self._rooms.read_ahead(room_arn)
            except ResourceNotFoundException:
                self._tell_deletion(members)

    def _deleted(self, envelope: RoomDeleted) -> None:
        members = self._hub.members(envelope.room)
        if members is not None:
            self._tell_deletion(members)

    def _tell_deletion(self, members: Members) -> None:
        """Tell once that the room is gone, also where the news of that was missed."""
        if not members.deletion_told:
            members.deletion_told = True
            self._show(members, DELETION, events.ROOM_DELETED, None)

    def _look(self, members: Members, room: Room) -> None:
        now = self._settings.in_force(room)
        before, members.settings_told = members.settings_told, now
        if before is None or before == now:
            return
        told = self._settings.event_attributes(room)
        self._show(members, OPERATION, events.SETTINGS, told)
        members.settings_told = now

    def _look_at_pins(self, members: Members, room: Room, since: int) -> None:
        members.pins_looked_ms = self._looked
        if any(since < each.expires <= self._looked for each in room.overrides.pins):
            told = event_attributes(room, self._looked)
            self._show(members, UNPIN, events.PINS, told)

    def _show(
        self, members: Members, operation: str, name: str, told: Mapping[str, str] | None
    ) -> None:
        payload = events.encode_event(self._ids(), "", name, told, self._clock.wall_ns())
        self._hub.fanout.show(members, [Deliver(payload, operation, Audience.EVENTS)])
