"""What was in a room before somebody came, and what he missed who comes back.

- A room shows its last `historyMessages` frames, none older than `historyHours`: what is further
  back is not there, whoever still has it in memory or on disk. Deletions do not count.
- History are messages that are not deleted. A recovery is everything that was missed, deletions
  included, and without the messages that they are about: or it is none, and says so.
- Settings and the like are told anew to who comes, and not as they once were.
- Who was shown a message before it was released cannot come back behind it: what was released in
  between he has not seen, and nobody knows which that was.
"""

from collections.abc import Awaitable, Callable, Collection, Container, Iterable, Iterator, Sequence
from itertools import chain

import msgspec

from greenroom.bus.base import BEGINNING, MOST_KEPT, InMemory, Recovered, RoomEnvelope, RoomHistory
from greenroom.clock import Clock
from greenroom.model.room_settings import RoomSettings
from greenroom.protocol.actions import SendMessage
from greenroom.protocol.events import send_time

HOUR_NS = 3600 * 10**9

MOST_BYTES = 1 << 20
"""Bytes of frames that somebody is given at once; who missed more is given history."""

NOT_REPLAYED = frozenset({"UpdateRoomSettings", "PinMessage", "UnpinMessage"})
"""What is told of anew: the operations whose events are left out."""

Sees = Callable[[RoomEnvelope], bytes | None]
"""Returns the JSON text that somebody is shown of an envelope, or None."""

SawBefore = Callable[[RoomEnvelope], bool]
"""Returns whether somebody may have been shown an envelope before it had its place."""


def _nobody(_envelope: RoomEnvelope) -> bool:
    """Say that he was not."""
    return False


def has_waited(envelope: RoomEnvelope) -> bool:
    """Return whether a message was shown to its author and to moderators before it was released.

    Its frame has the SendTime that it had then.
    """
    if envelope.action != SendMessage.operation:
        return False
    return f'"SendTime":"{send_time(envelope.time_ns)}"'.encode() not in envelope.payload


class Wanted(msgspec.Struct, frozen=True):
    """How many of the last messages somebody wants, or all behind an id, or `both`."""

    count: int = 0
    since: str = ""
    both: bool = False


class Found(msgspec.Struct, frozen=True):
    """The frames, oldest first, as JSON; `more`: there are earlier ones, or may be.

    `recovered` is whether they are all that was missed, None if nobody asked for that.
    """

    frames: Sequence[bytes]
    more: bool
    recovered: bool | None = None


class History:
    """Answers out of memory, which is filled before."""

    def __init__(self, rooms: RoomHistory, clock: Clock) -> None:
        self._rooms = rooms
        self._clock = clock

    def prepare(self, room: str, wanted: Wanted) -> Awaitable[Recovered] | None:
        """Have in memory what is wanted of a room that is followed; return what to wait for."""
        if wanted.since:
            found = self._rooms.since(room, wanted.since)
        else:
            found = self._rooms.recent(room, MOST_KEPT)
        return None if isinstance(found, Recovered) else found

    def place(self, room: str, to_come: Container[str]) -> str:
        """Return what somebody who has been shown all but what is `to_come` comes back with."""
        newest = self._rooms.newest(room)
        if newest is not None and newest.id not in to_come:
            return newest.id
        here = self._rooms.here(room)
        shown = (each.id for each in reversed(here.envelopes) if each.id not in to_come)
        return next(shown, here.origin)

    def place_at(self, room: str, time_ns: int) -> str:
        """Return what somebody comes back with who has been shown all that was sent before then."""
        here = self._rooms.here(room)
        shown = (each.id for each in reversed(here.envelopes) if each.time_ns < time_ns)
        return next(shown, here.origin)

    def oldest(self, room: str, places: Collection[str]) -> str:
        """Return the place that is furthest back: one that nobody can go on from, if there is any.

        So nobody is told that he was given everything while one of his devices missed something.
        """
        here, left = self._rooms.here(room), set(places)
        for envelope in reversed(here.envelopes):
            if len(left) == 1:
                break
            left.discard(envelope.id)
        return min(left, key=lambda each: (_is_before_all(each, here), each))

    def newest(self, room: str) -> str:
        """Return the id of the newest frame that is in memory of a room, "" if there is none."""
        newest = self._rooms.newest(room)
        return "" if newest is None else newest.id

    def find(
        self,
        room: str,
        settings: RoomSettings,
        wanted: Wanted,
        sees: Sees,
        saw_before: SawBefore = _nobody,
    ) -> Found:
        """Return what somebody is to be shown first."""
        here = self._rooms.here(room)
        behind = None
        if wanted.since:
            window = self._window(settings)
            missed = _Missed(sees, saw_before)
            if missed.reach(window.of(here.envelopes), wanted.since) or (
                _is_before_all(wanted.since, here) and not missed.is_too_much and not window.is_over
            ):
                behind = missed
                if not wanted.both or wanted.count <= missed.messages:
                    return Found(missed.in_order, more=False, recovered=True)
        window = self._window(settings)
        kept = chain(window.of(here.envelopes), window.of(here.before))
        frames, more = _messages(kept, wanted.count, sees)
        more = more or (here.more and not window.is_over)
        if behind is not None:
            frames = [*frames[: len(frames) - behind.messages], *behind.in_order]
            return Found(frames, more, recovered=True)
        return Found(frames, more, False if wanted.since else None)

    def _window(self, settings: RoomSettings) -> "_Window":
        return _Window(settings, self._clock.wall_ns())


def _is_before_all(since: str, here: InMemory) -> bool:
    """Return whether all that is in memory is behind a place, and all that was ever behind it."""
    if since == BEGINNING:
        return bool(here.origin) and not (here.before or here.more)
    return since == here.origin


class _Window:
    """What of a room is not over: so many of the newest frames, and so long."""

    def __init__(self, settings: RoomSettings, now_ns: int) -> None:
        self._left = settings.history_messages
        self._since_ns = now_ns - settings.history_hours * HOUR_NS

    @property
    def is_over(self) -> bool:
        """Return whether what is further back is not shown any more."""
        return not self._left

    def of(self, envelopes: Sequence[RoomEnvelope]) -> Iterator[RoomEnvelope]:
        """Give those that are not over, the newest first."""
        for envelope in reversed(envelopes):
            if envelope.time_ns < self._since_ns:
                self._left = 0
            if not self._left:
                return
            self._left -= not envelope.deletes
            yield envelope


class _Missed:
    """What somebody missed, collected from the newest on."""

    def __init__(self, sees: Sees, saw_before: SawBefore) -> None:
        self._sees = sees
        self._saw_before = saw_before
        self._frames: list[bytes] = []
        self._size = self.messages = 0

    @property
    def is_too_much(self) -> bool:
        """Return whether it is more than somebody is given at once."""
        return self._size > MOST_BYTES

    @property
    def in_order(self) -> list[bytes]:
        """Return the frames, oldest first."""
        return self._frames[::-1]

    def reach(self, kept: Iterable[RoomEnvelope], since: str) -> bool:
        """Collect what is behind an id; return whether it was found, and not too much."""
        deleted: set[str] = set()
        for envelope in kept:
            if envelope.id == since:
                return not self._saw_before(envelope)
            deleted.update(envelope.deletes)
            if envelope.id in deleted or envelope.action in NOT_REPLAYED:
                continue
            frame = self._sees(envelope)
            if frame is not None:
                self._frames.append(frame)
                self._size += len(frame)
                self.messages += envelope.action == SendMessage.operation
            if self.is_too_much:
                return False
        return False


def _messages(kept: Iterable[RoomEnvelope], count: int, sees: Sees) -> tuple[list[bytes], bool]:
    """Return so many of the newest messages, oldest first, and whether there are more."""
    frames: list[bytes] = []
    deleted: set[str] = set()
    size, more = 0, False
    for envelope in kept:
        if envelope.deletes:
            deleted.update(envelope.deletes)
        elif envelope.action == SendMessage.operation and envelope.id not in deleted:
            frame = sees(envelope)
            if frame is not None:
                size += len(frame)
                if len(frames) == count or size > MOST_BYTES:
                    more = True
                    break
                frames.append(frame)
    frames.reverse()
    return frames, more
