"""From a stream of the bus to the store: chat logs and history of what many nodes have published.

Each stream has one tail at a time, on whichever node holds its lease. It reads after the kept
position, and moves the position and adds the records in one transaction, by compare-and-set.

- **Every record once, in the stream's order**, whoever dies: what two have read, one adds.
- **Shared out.** Each node reads as many streams as any other: who has more gives some back.
- **Nothing is passed over.** A read begins with the kept message itself and compares its stamp. A
  stream that lost its end gives numbers again: then reading goes on with what was stored after the
  kept message. One that was made anew is read from its beginning.
- **Bound.** A stream keeps its messages for a time. What is gone before the journal took it is
  counted and told; `lag_seconds` says how near that is.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

import msgspec
import structlog

from greenroom.bus.streams import Stored, Streams, StreamUnavailable
from greenroom.chatlog.idling import Idling
from greenroom.chatlog.record import timestamp
from greenroom.chatlog.share import Share
from greenroom.chatlog.streamed_history import Marks
from greenroom.chatlog.waiting import Wait, event_or_time
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.history import Shown
from greenroom.storage.journal import Entry, SharedJournal, StreamPosition
from greenroom.storage.leases import Lease

LEASE_PAUSE = 2.0
"""Seconds until the lease is tried again; drawn up to half longer, so that nodes take turns."""

LEFT_TIMES = 2
"""How often a node that has its part leaves a lease to the others before it tries to get it."""

LONGEST_ARN = 512
"""Far more than the API takes, and less than an index of a store does."""

log = structlog.get_logger()


class Cause(StrEnum):
    """Whose fault it is that a stream is not on record."""

    STREAM = "a stream of NATS cannot be read"
    JOURNAL = "the journal in PostgreSQL cannot be reached"
    HERE = "the reader of a stream crashed"


class Failure(msgspec.Struct, frozen=True):
    """Why a stream is not read; `reason` is fit for a log line."""

    cause: Cause
    reason: str


class ReadsHeld(Protocol):
    """Is told of the messages that wait until viewers may see them, by who reads their stream."""

    async def begin(self, stream: int, position: StreamPosition | None) -> None:
        """Begin with what the store has of a stream that is read from a place on."""

    def read(self, stream: int, last: StreamPosition, shown: Shown) -> None:
        """Take note of what was read, up to a place, and is kept."""

    def end(self, stream: int) -> None:
        """Take note that a stream is read no longer."""


class TailSurroundings(msgspec.Struct, kw_only=True):
    """What the tails of a node share.

    `grown` is told for which configurations records were added, `missed` how many messages were
    gone before they could be read, `failed` why a stream is not read, or None when it is again.
    `nodes` returns how many nodes there are, which share the streams out among them.
    """

    streams: Streams
    journal: SharedJournal
    clock: Clock
    random: Callable[[], float]
    grown: Callable[[Iterable[Arn]], None]
    missed: Callable[[int], None]
    nodes: Callable[[], int] = lambda: 1
    failed: Callable[[int, Failure | None], None] = lambda _, __: None
    held: ReadsHeld | None = None
    wait: Wait = event_or_time


class Tail:
    """Reads one stream whenever it gets the lease; `run` never ends."""

    def __init__(
        self, stream: int, around: TailSurroundings, share: Share[int] | None = None
    ) -> None:
        self._stream = stream
        self._around = around
        self._share = share or Share(lambda: 1, around.clock)
        self._left = 0
        self._never = asyncio.Event()
        self._complete_until_ns = 0

    @property
    def lag_seconds(self) -> float:
        """Return how old the oldest message is that may be missing in the journal.

        It is 0 while another node reads, and rises while that cannot be found out.
        """
        if not self._complete_until_ns:
            return 0.0
        return max(0.0, (self._around.clock.wall_ns() - self._complete_until_ns) / 1e9)

    @property
    def is_reading(self) -> bool:
        """Return whether this node reads the stream, or was the last one of which it knows."""
        return bool(self._complete_until_ns)

    async def run(self) -> None:
        """Read for ever; what cannot be reached is tried again."""
        while True:
            if self._tries():
                try:
                    await self._read()
                except StreamUnavailable as error:
                    self._fail(Cause.STREAM, str(error))
                except StorageUnavailable as error:
                    self._fail(Cause.JOURNAL, str(error))
                except Exception as error:
                    log.exception("tail of a stream crashed", error=type(error).__name__)
                    self._fail(Cause.HERE, type(error).__name__)
            await self._pause(LEASE_PAUSE * (1 + self._around.random() / 2))

    def _tries(self) -> bool:
        """Return whether to try now: who has his part leaves it to the others for some turns."""
        self._left += 1
        if self._left <= LEFT_TIMES and self._share.is_full(self._around.streams.count):
            return False
        self._left = 0
        return True

    async def _read(self) -> None:
        """Read until the lease is lost or given back, if it can be had."""
        async with self._around.journal.lease(f"stream {self._stream}") as lease:
            if not lease.held:
                self._complete_until_ns = 0
                # Another node reads it: what failed here is no longer what is behind.
                self._around.failed(self._stream, None)
                return
            self._share.take(self._stream)
            try:
                await lease.run(self._follow(lease))
            finally:
                self._share.leave(self._stream)
                if self._around.held is not None:
                    self._around.held.end(self._stream)

    def _fail(self, cause: Cause, reason: str) -> None:
        self._around.failed(self._stream, Failure(cause, reason))

    async def _follow(self, lease: Lease) -> None:
        """Read until the lease is lost or given back, or another was faster: it reads as well."""
        journal, held = self._around.journal, self._around.held
        position = await journal.position(self._stream)
        if held is not None:
            await held.begin(self._stream, position)
        if not self._complete_until_ns and position is not None:
            self._complete_until_ns = position.stamp_ns
        marks, idling = Marks(), Idling(self._around.streams, self._stream, self._around.wait)
        try:
            await self._read_on(lease, position, marks, idling)
        finally:
            await idling.end()

    async def _read_on(
        self, lease: Lease, position: StreamPosition | None, marks: Marks, idling: Idling
    ) -> None:
        journal, clock, held = self._around.journal, self._around.clock, self._around.held
        streams = self._around.streams
        while lease.held and not self._share.gives_back(self._stream, streams.count):
            began_ns = clock.wall_ns()
            unread = await _unread(streams, self._stream, position)
            self._around.failed(self._stream, None)
            if not unread.messages:
                self._complete_until_ns = began_ns
                await idling.nothing_came()
                continue
            entries = list(entries_of(unread.messages))
            broken = bool(unread.note or unread.missed)
            shown = marks.shown(unread.messages, is_broken=broken)
            last = unread.last
            if not await journal.append_from(self._stream, position, last, entries, shown):
                return
            marks.learn(shown)
            if held is not None:
                held.read(self._stream, last, shown)
            self._appended(unread, entries)
            position = last
            is_kept = any((entries, shown.kept, shown.ended, shown.held, shown.released))
            await idling.something_came(len(unread.messages), is_kept=is_kept)

    def _appended(self, unread: "_Unread", entries: Sequence[Entry]) -> None:
        self._complete_until_ns = unread.last.stamp_ns
        if unread.note:
            log.warning("a stream is not what it was", stream=self._stream, reason=unread.note)
        if unread.missed:
            self._around.missed(unread.missed)
            log.error(
                "chat log records may be lost: messages were gone from the stream before they were"
                " read",
                stream=self._stream,
                messages=unread.missed,
                until=timestamp(unread.messages[0].stamp_ns).decode(),
            )
        self._around.grown({each for entry in entries for each in entry.configurations})

    async def _pause(self, seconds: float) -> None:
        await self._around.wait(self._never, seconds)


class _Unread(msgspec.Struct, frozen=True):
    """Messages that come next, of a stream made at `created`; `missed` were gone before them."""

    created: str
    messages: Sequence[Stored]
    missed: int = 0
    note: str = ""

    @property
    def last(self) -> StreamPosition:
        """Return where the last of them stands."""
        message = self.messages[-1]
        return StreamPosition(self.created, message.sequence, message.stamp_ns)


async def _unread(streams: Streams, stream: int, position: StreamPosition | None) -> _Unread:
    """Return what comes after the position; no messages when nothing does."""
    found = [] if position is None else await streams.read(stream, position.sequence)
    if position is not None and found and _is_at(found[0], position):
        return _Unread(position.created, found[1:])
    state = await streams.state(stream)
    if position is None or position.created != state.created:
        note = "" if position is None else "it was made anew, and is read from its beginning"
        return _Unread(state.created, await streams.read(stream, state.first), note=note)
    if not found and state.last == position.sequence:
        # The kept message is gone, as all are in the end; nothing came after it.
        return _Unread(position.created, ())
    found = await streams.read_after(stream, position.stamp_ns)
    if found and found[0].sequence <= position.sequence:
        note = "it lost its newest messages, and gave their numbers again"
        return _Unread(position.created, found, note=note)
    return _Unread(position.created, found, max(0, state.first - position.sequence - 1))


def _is_at(message: Stored, position: StreamPosition) -> bool:
    return (message.sequence, message.stamp_ns) == (position.sequence, position.stamp_ns)


def entries_of(messages: Iterable[Stored]) -> Iterator[Entry]:
    """Yield what is to be on record of the messages, in their order."""
    for message in messages:
        for envelope in message.envelopes:
            if envelope.configurations:
                try:
                    room, named = arn_of(message.room), tuple(map(arn_of, envelope.configurations))
                except ValueError:
                    # Whoever stored it is none of us: nothing that comes after it waits for it.
                    log.error("a message of a stream names what is no ARN", at=message.sequence)
                    continue
                yield Entry(room, named, envelope.time_ns, envelope.payload)


@lru_cache(maxsize=4096)
def arn_of(text: str) -> Arn:
    """Return an ARN that was text; the same few come again and again.

    Raises:
        ValueError: it is none, or too long to be ours: the journal could not look for it.
    """
    if len(text) > LONGEST_ARN:
        raise ValueError("longer than any ARN of this service")
    return Arn.parse(text)
