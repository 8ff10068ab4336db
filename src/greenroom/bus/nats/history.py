"""What rooms on NATS keep: the port `RoomHistory`, out of memory and, where that ends, the stream.

A room is read at most once while it has a line here: what is found fills its ring. What cannot be
read then is tried again, at most every `AGAIN_SECONDS`. Of many rooms only so many are read at
once, and who asks does not wait for longer than `FILL_SECONDS`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Protocol

import structlog

from greenroom.bus.base import MOST_KEPT, History, Older, Position, Recovered, RoomEnvelope
from greenroom.bus.figures import Figures
from greenroom.bus.nats import headers
from greenroom.bus.nats.connection import NoAnswer
from greenroom.bus.nats.line import Line
from greenroom.bus.nats.stored import Reader, shown
from greenroom.bus.rings import Ring, Rings
from greenroom.bus.streams import KEPT_SECONDS
from greenroom.model.errors import ServiceUnavailableException
from greenroom.model.kept_frame import MOST_DELETIONS

FILL_SECONDS = 3.0
"""How long somebody waits for what is not in memory."""

AGAIN_SECONDS = 5.0
"""How long after a room was read in part alone the rest is not tried again, however many ask."""

READ_AT_ONCE = 8
"""Rooms that are read at once."""

SPANS = (15, 60, 240, 960, KEPT_SECONDS)
"""Seconds before a room's last message that are looked at, one after another, until it suffices.

Only forwards can be read: the whole hour of a busy room would be much for its last messages.
"""

MOST_READS = 20
"""Reads of one span: what is before a span that takes more is not known."""

BEHIND_SECONDS = 0.02
"""How long a server that has not got the newest messages yet is given."""

BEHIND_TIMES = 50

KEPT_NS = KEPT_SECONDS * headers.NANOSECONDS

log = structlog.get_logger()

Start = Callable[[Callable[[], Coroutine[None, None, None]]], "asyncio.Task[None]"]


class Rooms(Protocol):
    """What is needed of a node's rooms."""

    figures: Figures
    rings: Rings

    def now(self) -> float:
        """Return the time in seconds, on a clock that never steps."""

    def position(self, room: str) -> Position:
        """Return how far the room was seen."""

    async def ready(self, room: str) -> Line | None:
        """Return the room's line when it has seen all there is; None if that takes too long."""

    def reader(self, line: Line) -> Reader:
        """Return what reads the room for as long as the connection lasts."""

    def server_ns(self, stream: int) -> int:
        """Return what the clock of a stream's leader shows, in nanoseconds since the epoch."""


class StreamHistory:
    """Answers from the rings of a node, which it fills."""

    def __init__(self, rooms: Rooms, start: Start) -> None:
        """Answer for rooms; `start` does something in a task of its own."""
        self._rooms = rooms
        self._start = start
        self.keeper: Callable[[str], Awaitable[Older]] | None = None
        """Returns what is kept of a room for longer than its stream has it."""
        self._filling: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(READ_AT_ONCE)

    def since(self, room: str, message_id: str) -> Recovered | Awaitable[Recovered]:
        ring = self._rooms.rings.find(room)
        if ring is not None and (ring.filled or message_id in ring.kept):
            return ring.since(message_id, self._rooms.position(room))
        return self._later(room, lambda ring, position: ring.since(message_id, position))

    def recent(self, room: str, count: int) -> Recovered | Awaitable[Recovered]:
        ring = self._rooms.rings.find(room)
        if ring is not None and (ring.filled or ring.counted >= count):
            return ring.recent(count, self._rooms.position(room))
        return self._later(room, lambda ring, position: ring.recent(count, position))

    def newest(self, room: str) -> RoomEnvelope | None:
        ring = self._rooms.rings.find(room)
        return None if ring is None else ring.newest()

    async def _later(self, room: str, answer: Callable[[Ring, Position], Recovered]) -> Recovered:
        filling, ring = self._filling.get(room), self._rooms.rings.find(room)
        if (
            filling is None
            and ring is not None
            and self._rooms.now() < ring.tried_at + AGAIN_SECONDS
        ):
            return ring.after_reading(answer(ring, self._rooms.position(room)))
        if filling is None:
            filling = self._filling[room] = self._start(partial(self._fill, room))
            filling.add_done_callback(lambda _: self._filling.pop(room, None))
        # Others wait for it, too: who is cancelled does not end it.
        await asyncio.wait([filling])
        position = self._rooms.position(room)
        ring = self._rooms.rings.find(room) or Ring(position)
        return ring.after_reading(answer(ring, position))

    async def _fill(self, room: str) -> None:
        try:
            async with asyncio.timeout(FILL_SECONDS), self._turn:
                await self._read(room)
        except (NoAnswer, TimeoutError) as error:
            reason = str(error) or "it takes too long"
            self._rooms.figures.tell("a room's history cannot be read now", reason=reason)
        except Exception as error:
            # An exception that left this task would end the node.
            log.exception("reading a room's history crashed", error=type(error).__name__)

    async def _read(self, room: str) -> None:
        line = await self._rooms.ready(room)
        if line is None:
            raise NoAnswer("there is no connection")
        rings, found = self._rooms.rings, list[RoomEnvelope]()
        ring = rings.of(room, line.last + 1)
        newest_ns = headers.stamp_ns(line.stamp) if line.stamp else 0
        if self._rooms.server_ns(line.stream) - newest_ns < KEPT_NS:
            found = await earlier(self._rooms.reader(line), newest_ns, ring.begin)
        # Now, so that it is there if the rest cannot be read, or not in time.
        is_partial = self.keeper is not None and not _suffices(found)
        rings.fill(room, ring, Older(found, more=True, is_partial=is_partial))
        if self.keeper is None or ring.filled:
            return
        ring.tried_at = self._rooms.now()
        try:
            rings.fill(room, ring, await self.keeper(room))
        except ServiceUnavailableException as error:
            self._rooms.figures.tell("kept history cannot be read now", reason=str(error))


async def earlier(reader: Reader, newest_ns: int, begin: Position) -> list[RoomEnvelope]:
    """Return what a room kept before a position, oldest first: the newest of that, without a gap.

    The room's last message, or one behind it that is still before the position, was stored at
    `newest_ns`.

    Raises:
        NoAnswer: it cannot be read now.
    """
    found: list[RoomEnvelope] = []
    for seconds in SPANS:
        span = _Span(reader, begin)
        more = await span.read(newest_ns - seconds * headers.NANOSECONDS)
        found[:0] = span.kept
        if not more or _suffices(found):
            break
        begin = span.first
    return found


def _suffices(found: Sequence[RoomEnvelope]) -> bool:
    """Return whether nothing earlier has a place in a ring."""
    counted = sum(not each.deletes for each in found)
    return counted >= MOST_KEPT or len(found) - counted >= MOST_DELETIONS


class _Span:
    """What was stored from a time on and before a position: its first, and the newest it kept."""

    def __init__(self, reader: Reader, begin: Position) -> None:
        self._reader = reader
        self._begin = self.first = begin
        self._ended = False
        self.kept: deque[RoomEnvelope] = deque(maxlen=MOST_KEPT + MOST_DELETIONS)

    async def read(self, start_ns: int) -> bool:
        """Read it; return whether what was before it may be asked for, too."""
        start: Mapping[str, object] = {"start_time": headers.written(max(start_ns, 0))}
        for _ in range(MOST_READS):
            last = await self._some(start)
            if last >= self._begin - 1:
                return not self._ended
            start = {"seq": last + 1}
        self.kept.clear()
        return False

    async def _some(self, start: Mapping[str, object]) -> int:
        """Read some; return the last one's number."""
        for _ in range(BEHIND_TIMES):
            messages = await self._reader.some(start)
            for message in messages:
                if message.sequence < self._begin:
                    self.first = min(self.first, message.sequence)
                    self._take(shown(message))
            if messages:
                return messages[-1].sequence
            await asyncio.sleep(BEHIND_SECONDS)
        raise NoAnswer(f"{self._reader.stream} does not give what it has")

    def _take(self, envelopes: Sequence[RoomEnvelope]) -> None:
        for envelope in envelopes:
            if envelope.history is History.KEPT:
                self.kept.append(envelope)
            elif envelope.history is History.NONE:
                self.kept.clear()
                self._ended = True
