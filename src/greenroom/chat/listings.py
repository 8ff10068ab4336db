"""The messages of rooms as they are listed page by page: found by an id in one step.

What is deleted, and where each id stands, is found out once for each state of a room; after that a
page costs what is in it, however much the room keeps and whichever id it is before. It is forgotten
with that state: so no message is in memory for a listing alone, beyond the bound of all rings.
"""

import weakref
from collections import OrderedDict
from itertools import chain

from greenroom.bus.base import InMemory, RoomEnvelope, RoomHistory
from greenroom.chat.history import HOUR_NS, Found, Sees
from greenroom.clock import Clock
from greenroom.model.room_settings import RoomSettings
from greenroom.protocol.actions import SendMessage

MOST_ROOMS = 64
"""Rooms whose messages are known at once; of another they are found out anew."""

_UNKNOWN = Found((), more=False)


class Listings:
    """Lists what is in memory of rooms, which is filled before: see `History.prepare`."""

    def __init__(self, rooms: RoomHistory, clock: Clock) -> None:
        self._rooms = rooms
        self._clock = clock
        # The one that was used longest ago first.
        self._known: OrderedDict[str, tuple[weakref.ref[InMemory], _Listing]] = OrderedDict()

    def page(
        self,
        room: str,
        settings: RoomSettings,
        sees: Sees,
        *,
        before: str,
        count: int,
        most_bytes: int,
    ) -> Found:
        """Return so many messages before an id, "": the newest; none if nobody knows the id."""
        listing = self._listing(room)
        window = listing.window(settings, self._clock.wall_ns())
        return listing.page(before, count, most_bytes, window, sees)

    def _listing(self, room: str) -> "_Listing":
        here = self._rooms.here(room)
        known = self._known.get(room)
        if known is not None and known[0]() is here:
            self._known.move_to_end(room)
            return known[1]
        listing = _Listing(here)
        state = weakref.ref(here, lambda _: self._known.pop(room, None))
        self._known[room] = state, listing
        self._known.move_to_end(room)
        if len(self._known) > MOST_ROOMS:
            self._known.popitem(last=False)
        return listing


class _Listing:
    """What a room has in one state, oldest first: the messages that are not deleted."""

    def __init__(self, here: InMemory) -> None:
        self._more = here.more
        self._messages: list[RoomEnvelope] = []
        # Of each of them, how many that count for `historyMessages` are up to it.
        self._numbers: list[int] = []
        # How many of the messages are before an id.
        self._before: dict[str, int] = {}
        self._oldest_ns = 0
        deleted = {each for kept in chain(here.before, here.envelopes) for each in kept.deletes}
        number = 0
        for each in chain(here.before, here.envelopes):
            self._oldest_ns = self._oldest_ns or each.time_ns
            self._before[each.id] = len(self._messages)
            if each.deletes:
                continue
            number += 1
            if each.action == SendMessage.operation and each.id not in deleted:
                self._messages.append(each)
                self._numbers.append(number)
        self._number = number

    def window(self, settings: RoomSettings, now_ns: int) -> tuple[int, int]:
        """Return the number and the time before which nothing is shown."""
        since_ns = now_ns - settings.history_hours * HOUR_NS
        return self._number - settings.history_messages, since_ns

    def page(
        self, before: str, count: int, most_bytes: int, window: tuple[int, int], sees: Sees
    ) -> Found:
        """Return a page of what is in the window."""
        end = self._before.get(before) if before else len(self._messages)
        if end is None:
            return _UNKNOWN
        over, since_ns = window
        frames: list[bytes] = []
        size = 0
        for place in range(end - 1, -1, -1):
            envelope = self._messages[place]
            if self._numbers[place] <= over or envelope.time_ns < since_ns:
                return Found(frames[::-1], more=False)
            frame = sees(envelope)
            if frame is None:
                continue
            size += len(frame)
            if len(frames) == count or size > most_bytes:
                return Found(frames[::-1], more=True)
            frames.append(frame)
        is_over = over >= 0 or 0 < self._oldest_ns < since_ns
        return Found(frames[::-1], more=self._more and not is_over)
