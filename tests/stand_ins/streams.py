"""Streams in memory, to which anything can happen that happens to streams."""

import asyncio
from collections.abc import Sequence

from greenroom.bus.base import Deliver, RoomEnvelope
from greenroom.bus.streams import Stored, StreamState, StreamUnavailable
from greenroom.model.arn import Arn
from tests.stand_ins.values import NOW

MESSAGES_PER_READ = 4


class MemoryStreams:
    """`Streams` whose messages are stored when a test says so; stamps rise by a millisecond."""

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self.available = True
        self.reads = 0
        self.read_fails = False
        self.tells = True
        """Whether who waits is told of what is stored."""
        self.stale: dict[int, StreamState] = {}
        """What `state` says in place of what is so."""
        self._kept = [_Stream(f"made-{stream}") for stream in range(count)]
        self._stamp_ns = NOW * 1_000_000

    def stream_of(self, room: str) -> int:
        return len(room) % self.count

    def store(
        self, room: Arn, *envelopes: RoomEnvelope, stream: int = 0, later_ns: int = 1_000_000
    ) -> Stored:
        """Store a message, so much later than the one before."""
        self._stamp_ns += later_ns
        kept = self._kept[stream]
        kept.last += 1
        message = Stored(kept.last, self._stamp_ns, str(room), envelopes)
        kept.messages.append(message)
        for word in kept.words if self.tells else ():
            word.told.set()
        return message

    def age(self, keep: int, stream: int = 0) -> None:
        """Forget all but the newest messages."""
        kept = self._kept[stream]
        kept.messages = kept.messages[len(kept.messages) - keep :]

    def lose_end(self, count: int, stream: int = 0) -> None:
        """Lose the newest messages, whose numbers are given again."""
        kept = self._kept[stream]
        del kept.messages[len(kept.messages) - count :]
        kept.last -= count

    def make_anew(self, stream: int = 0) -> None:
        """Put an empty stream in the place of this one."""
        self._kept[stream] = _Stream(self._kept[stream].created + "-anew")

    async def state(self, stream: int) -> StreamState:
        return self.stale.get(stream) or await self.end(stream)

    async def end(self, stream: int) -> StreamState:
        self._check()
        kept = self._kept[stream]
        return StreamState(kept.created, kept.last - len(kept.messages) + 1, kept.last)

    async def read(self, stream: int, first: int) -> list[Stored]:
        self._check()
        self.reads += 1
        if self.read_fails:
            raise ZeroDivisionError
        found = [each for each in self._kept[stream].messages if each.sequence >= first]
        return found[:MESSAGES_PER_READ]

    async def read_after(self, stream: int, stamp_ns: int) -> list[Stored]:
        self._check()
        found = [each for each in self._kept[stream].messages if each.stamp_ns > stamp_ns]
        return found[:MESSAGES_PER_READ]

    async def hear(self, stream: int) -> "_Word":
        self._check()
        return _Word(self._kept[stream].words)

    def _check(self) -> None:
        if not self.available:
            raise StreamUnavailable("as the test says")


class _Stream:
    def __init__(self, created: str) -> None:
        self.created = created
        self.messages: list[Stored] = []
        self.words: set[_Word] = set()
        self.last = 0


class _Word:
    def __init__(self, waiting: "set[_Word]") -> None:
        self.told = asyncio.Event()
        self._waiting = waiting
        waiting.add(self)

    async def end(self) -> None:
        self._waiting.discard(self)


def logged(number: int, configurations: Sequence[Arn], time_ns: int = NOW * 1_000_000) -> Deliver:
    """Return a frame that is to be on record, whose payload is its number."""
    return Deliver(
        b"%04d" % number,
        "SendMessage",
        time_ns=time_ns,
        configurations=tuple(map(str, configurations)),
    )
