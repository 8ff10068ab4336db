"""The journal of a service that keeps nothing: a deque for each configuration.

It gives every guarantee of the port but durability. Those who share it share a process.
"""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from greenroom.model.arn import Arn
from greenroom.model.log_record import Record
from greenroom.storage.history import NOTHING_SHOWN, Shown
from greenroom.storage.journal import (
    MAXIMUM_RECORDS,
    Backlog,
    Entry,
    Removed,
    StreamPosition,
)
from greenroom.storage.leases import Lease
from greenroom.storage.memory.held_messages import MemoryHeldMessages
from greenroom.storage.memory.history import MemoryHistory
from greenroom.storage.memory.opened import Opened


class MemoryJournal:
    """A `SharedJournal` in memory."""

    durable = False

    def __init__(
        self,
        opened: Opened,
        history: MemoryHistory | None = None,
        held: MemoryHeldMessages | None = None,
    ) -> None:
        """Make it empty; `history` and `held` are those of its store."""
        self._opened = opened
        self._history = history
        self._held = held
        self._queues: dict[Arn, _Queue] = {}
        self._sequence = 0
        self._positions: dict[int, StreamPosition] = {}
        self._leases: dict[str, Lease] = {}

    async def append(self, entries: Sequence[Entry]) -> None:
        self._opened.check()
        for entry in entries:
            for configuration in entry.configurations:
                self._sequence += 1
                record = Record(self._sequence, entry.room, entry.time_ns, entry.payload)
                self._queues.setdefault(configuration, _Queue()).add(record)
            if entry.held_id and self._held is not None:
                self._held.note_recorded(str(entry.room), entry.held_id)

    async def backlogs(self) -> dict[Arn, Backlog]:
        self._opened.check()
        return {configuration: queue.backlog() for configuration, queue in self._queues.items()}

    async def batch(self, configuration: Arn, maximum_size: int) -> list[Record]:
        self._opened.check()
        queue = self._queues.get(configuration)
        return [] if queue is None else queue.batch(maximum_size)

    async def delivered(self, configuration: Arn, last: int) -> Removed:
        self._opened.check()
        queue = self._queues.get(configuration)
        if queue is None:
            return Removed()
        return self._remove(configuration, queue, last if queue.end == last else 0)

    async def drop(self, configuration: Arn, keep_size: int, older_than_ns: int = 0) -> Removed:
        self._opened.check()
        queue = self._queues.get(configuration)
        if queue is None:
            return Removed()
        last = queue.last_to_drop(keep_size, older_than_ns)
        return self._remove(configuration, queue, max(last, queue.end) if last else 0)

    async def position(self, stream: int) -> StreamPosition | None:
        self._opened.check()
        return self._positions.get(stream)

    async def append_from(
        self,
        stream: int,
        expected: StreamPosition | None,
        last: StreamPosition,
        entries: Sequence[Entry],
        shown: Shown = NOTHING_SHOWN,
    ) -> bool:
        self._opened.check()
        if self._positions.get(stream) != expected:
            return False
        self._positions[stream] = last
        await self.append(entries)
        if self._history is not None:
            await self._history.take(shown)
        if self._held is not None:
            await self._held.add(shown.held)
            for room, message_id in shown.released:
                await self._held.remove(room, (message_id,))
        return True

    async def backlog(self, configuration: Arn) -> Backlog:
        self._opened.check()
        queue = self._queues.get(configuration)
        return Backlog() if queue is None else queue.backlog()

    async def waiting(self) -> list[Arn]:
        self._opened.check()
        return list(self._queues)

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[Lease]:
        self._opened.check()
        lease = Lease(name not in self._leases)
        if not lease.held:
            yield lease
            return
        self._leases[name] = lease
        try:
            yield lease
        finally:
            if self._leases.get(name) is lease:
                del self._leases[name]

    def lose_leases(self) -> None:
        """Take all leases from their holders, as the end of their session does."""
        lost, self._leases = self._leases, {}
        for lease in lost.values():
            lease.lose()

    def _remove(self, configuration: Arn, queue: "_Queue", last: int) -> Removed:
        before = queue.backlog()
        if last:
            queue.remove(last)
        if not queue.records:
            del self._queues[configuration]
        left = queue.backlog()
        return Removed(before.records - left.records, before.size - left.size, left.oldest_ns)


class _Queue:
    """One configuration's records; `end` is the present batch's last sequence number, or 0."""

    def __init__(self) -> None:
        self.records: deque[Record] = deque()
        self.size = 0
        self.end = 0

    def add(self, record: Record) -> None:
        self.records.append(record)
        self.size += len(record.payload)

    def backlog(self) -> Backlog:
        if not self.records:
            return Backlog()
        return Backlog(len(self.records), self.size, self.records[0].time_ns)

    def batch(self, maximum_size: int) -> list[Record]:
        taken: list[Record] = []
        size = 0
        for record in self.records:
            size += len(record.payload)
            if self.end:
                if record.sequence > self.end:
                    break
            elif taken and (size > maximum_size or len(taken) == MAXIMUM_RECORDS):
                break
            taken.append(record)
        self.end = taken[-1].sequence
        return taken

    def last_to_drop(self, keep_size: int, older_than_ns: int) -> int:
        last, size = 0, self.size
        for _, record in zip(range(MAXIMUM_RECORDS), self.records, strict=False):
            if size <= keep_size and record.time_ns >= older_than_ns:
                break
            last, size = record.sequence, size - len(record.payload)
        return last

    def remove(self, last: int) -> None:
        while self.records and self.records[0].sequence <= last:
            self.size -= len(self.records.popleft().payload)
        self.end = 0
