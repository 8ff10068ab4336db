"""Keeps the messages that wait, on the nodes of a cluster: the readers of the streams do.

- A message that waits is in its room's stream, as all are. Who reads the stream keeps it in the
  store with its place there, and removes it when it reads that it was released, or deleted.
- The node that reads a stream releases the messages of its rooms.
- **Once, whoever dies.** Who begins to read knows what the store has, and not what was released
  behind that. So before it releases anything of a room it follows that room, reads the stream up to
  where it was by then, and hears what comes after: each release is decided on complete knowledge.
"""

from collections.abc import Awaitable, Callable, Collection

from greenroom.bus.streams import Streams, StreamState, StreamUnavailable
from greenroom.chat.held_queues import HeldQueues
from greenroom.clock import Clock
from greenroom.model.errors import ServiceUnavailableException
from greenroom.model.held_message import HeldMessage
from greenroom.storage.held_messages import HeldMessages
from greenroom.storage.history import Shown
from greenroom.storage.journal import StreamPosition

READ_AT_ONCE = 1_000


class Following:
    """How a room is followed, and no longer."""

    def __init__(
        self, begin: Callable[[str], Awaitable[None] | None], end: Callable[[str], None]
    ) -> None:
        self.begin, self.end = begin, end


class HeldShared:
    """The port `releases.Upkeep`, and what the readers of streams tell."""

    def __init__(
        self,
        queues: HeldQueues,
        store: HeldMessages,
        streams: Streams,
        following: Following,
        clock: Clock,
    ) -> None:
        self._queues = queues
        self._store = store
        self._streams = streams
        self._following = following
        self._clock = clock
        # How far each stream was read that is read here.
        self._read: dict[int, StreamPosition | None] = {}
        # The rooms that are followed, and how far their streams were when that began.
        self._followed: dict[str, StreamState | None] = {}
        self._ready: set[str] = set()

    async def begin(self, stream: int, position: StreamPosition | None) -> None:
        """Begin to release what waits in the rooms of a stream that is read here from a place on.

        Raises:
            StorageUnavailable: it cannot be read.
        """
        for room, messages in (await self._kept(stream)).items():
            self._queues.replace(room, messages, self._clock.wall_ns())
        self._read[stream] = position

    def read(self, stream: int, last: StreamPosition, shown: Shown) -> None:
        """Take note of what was read of a stream, up to a place, and is kept."""
        over = set(shown.released)
        for each in shown.held:
            if (each.room, each.id) not in over:
                self._queues.add(each)
        for room, message_id in shown.released:
            self._queues.remove(room, (message_id,))
            if room not in self._queues:
                # What was deleted is not released: nobody else says that nothing waits any more.
                self.empty(room)
        self._read[stream] = last

    def end(self, stream: int) -> None:
        """Release nothing of a stream's rooms any more: another node reads it."""
        self._read.pop(stream, None)
        rooms = [each for each in self._queues.rooms if self._streams.stream_of(each) == stream]
        self._queues.give_up(rooms)
        for room in rooms:
            if room not in self._followed:
                # As if it had been: what is noted of a room that nobody follows is forgotten.
                self._followed[room] = None
                self._following.begin(room)
        for room in [each for each in self._followed if self._streams.stream_of(each) == stream]:
            self.empty(room)

    def is_prepared(self, room: str) -> bool:
        return room in self._ready

    async def prepare(self, room: str) -> bool:
        if room in self._ready:
            return True
        stream = self._streams.stream_of(room)
        if room not in self._followed:
            self._followed[room] = None
            following = self._following.begin(room)
            if following is not None:
                await following
        if self._followed.get(room) is None:
            state = await self._asked(self._streams.end(stream))
            if room in self._followed:
                self._followed[room] = state
        end = self._followed.get(room)
        if end is None or stream not in self._read:
            return False
        if _is_reached(self._read[stream], end):
            self._ready.add(room)
            return True
        now = await self._asked(self._streams.state(stream))
        if _is_less(now, end):
            # A leader that was just chosen may not have all yet.
            now = await self._asked(self._streams.end(stream))
        if room in self._followed and _is_less(now, end):
            # It was made anew, or has lost its end: what is gone cannot be read.
            self._followed[room] = now
        return False

    async def _kept(self, stream: int) -> dict[str, list[HeldMessage]]:
        """Return what the store has of a stream's rooms, by room."""
        kept = await self._store.rooms()
        rooms = [room for room in kept if self._streams.stream_of(room) == stream]
        found: dict[str, list[HeldMessage]] = {}
        after = 0
        while rooms and (some := await self._store.waiting(after, READ_AT_ONCE, rooms)):
            after = some[-1][0]
            for _, each in some:
                found.setdefault(each.room, []).append(each)
        return found

    async def _asked(self, answer: Awaitable[StreamState]) -> StreamState:
        try:
            return await answer
        except StreamUnavailable as error:
            raise ServiceUnavailableException(f"a stream cannot be read: {error}") from None

    async def released(self, room: str, ids: Collection[str]) -> None:
        """Do nothing: who reads the stream will read that they were."""

    async def dropped(self, room: str, ids: Collection[str]) -> None:
        await self._store.remove(room, ids)

    def empty(self, room: str) -> None:
        self._ready.discard(room)
        if room in self._followed:
            del self._followed[room]
            self._following.end(room)


def _is_less(now: StreamState, end: StreamState) -> bool:
    return now.created != end.created or now.last < end.last


def _is_reached(position: StreamPosition | None, end: StreamState) -> bool:
    """Return whether a stream was read up to where it ended, or had nothing to be read."""
    if end.last < end.first:
        return True
    if position is None:
        return False
    return position.created == end.created and position.sequence >= end.last
