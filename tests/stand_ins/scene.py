"""A chat log with destinations in memory, whose clock only a test moves."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from greenroom.chatlog.base import DestinationFailed, FailureKind, Target
from greenroom.chatlog.bounds import Bounds
from greenroom.chatlog.log import JournaledChatLog
from greenroom.model.arn import Arn
from greenroom.model.log_record import Record
from greenroom.model.logging_configuration import (
    DestinationConfiguration,
    DestinationKind,
    LoggingConfiguration,
    State,
)
from greenroom.model.room import Room
from greenroom.storage.base import StorageUnavailable, Store
from greenroom.storage.journal import Entry, Removed
from greenroom.storage.memory.journal import MemoryJournal
from greenroom.storage.memory.opened import Opened
from greenroom.storage.memory.store import MemoryStore
from greenroom.telemetry.metrics import Metrics
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.values import a_configuration, a_room, configuration_arn

INTERVAL = 10.0
NOBODY = configuration_arn()


class Alarm:
    """Waits until an event is set or the test has moved the clock far enough."""

    def __init__(self, time: HandClock) -> None:
        self._time = time
        self._sleepers: dict[asyncio.Future[None], float] = {}

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Wait as the hand-moved clock goes."""
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers[sleeper] = self._time.seconds + seconds
        waiter = asyncio.create_task(event.wait())
        waiter.add_done_callback(lambda _: _wake(sleeper))
        try:
            await sleeper
        finally:
            waiter.cancel()
            del self._sleepers[sleeper]

    def ring(self) -> None:
        """Wake those whose time has come."""
        for sleeper, until in self._sleepers.items():
            if until <= self._time.seconds:
                _wake(sleeper)


def _wake(sleeper: "asyncio.Future[None]") -> None:
    if not sleeper.done():
        sleeper.set_result(None)


class Kept:
    """A destination that keeps each batch of records once, as files and S3 do."""

    interval_seconds = INTERVAL
    batch_bytes = 1000

    def __init__(self) -> None:
        self.batches: dict[tuple[str, int], list[Record]] = {}
        self.attempts = 0
        self.failure: DestinationFailed | None = None
        self.fails_after_keeping = False
        self.check_failure: Exception | None = None
        self.refuses = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def fail(self, kind: FailureKind = FailureKind.OTHER) -> None:
        """Fail from now on."""
        self.failure = DestinationFailed(kind, "as the test says")

    async def check(self, target: Target) -> None:
        await self.gate.wait()
        if self.check_failure is not None:
            raise self.check_failure

    async def deliver(self, target: Target, records: Sequence[Record]) -> int:
        self.attempts += 1
        await self.gate.wait()
        if self.failure is not None and not self.fails_after_keeping:
            raise self.failure
        key = (str(target.configuration), records[0].sequence)
        assert self.batches.setdefault(key, list(records)) == list(records)
        if self.failure is not None:
            raise self.failure
        return self.refuses

    async def close(self) -> None:
        """Have nothing to let go of."""

    def payloads(self, configuration: LoggingConfiguration | None = None) -> list[bytes]:
        """Return what is kept, in its order, of one configuration or of all."""
        return [
            record.payload
            for (arn, _), batch in sorted(self.batches.items(), key=lambda item: item[0][1])
            if configuration is None or arn == str(configuration.arn)
            for record in batch
        ]


class FullJournal(MemoryJournal):
    """A journal whose disk may be full, or not answer."""

    def __init__(self) -> None:
        super().__init__(Opened())
        self.full = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(self, entries: Sequence[Entry]) -> None:
        await self._write()
        await super().append(entries)

    async def batch(self, configuration: Arn, maximum_size: int) -> list[Record]:
        await self._write()
        return await super().batch(configuration, maximum_size)

    async def delivered(self, configuration: Arn, last: int) -> Removed:
        await self._write()
        return await super().delivered(configuration, last)

    async def _write(self) -> None:
        await self.gate.wait()
        if self.full:
            raise StorageUnavailable("disk full")


class FullStore(MemoryStore):
    """A store with such a journal."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = FullJournal()
        self.journal = self.disk


class Scene:
    """A chat log on a store, its destinations by name, and what it published."""

    def __init__(self, store: Store, time: HandClock | None = None) -> None:
        self.store = store
        self.time = time or HandClock()
        self.alarm = Alarm(self.time)
        self.destinations: dict[str, Kept] = {}
        self.published: list[bytes] = []
        self.metrics = Metrics()
        self.log: JournaledChatLog

    @asynccontextmanager
    async def running(self, bounds: Bounds | None = None) -> AsyncIterator["Scene"]:
        """Run the chat log; at the end it is let go of as at the death of the process."""
        async with asyncio.TaskGroup() as tasks:
            self.log = JournaledChatLog(
                self.store,
                self.destination_for,
                tasks,
                clock=self.time.clock,
                random=lambda: 1.0,
                bounds=bounds or Bounds(),
                metrics=self.metrics,
                wait=self.alarm.wait,
            )
            await self.log.start()
            try:
                yield self
            finally:
                for task in self.log._running:
                    task.cancel()
                if self.log._intake._appending is not None:
                    self.log._intake._appending.cancel()

    def destination_for(self, target: Target) -> Kept:
        return self.destination(target.name)

    def destination(self, name: str = "bucket") -> Kept:
        """Return the destination of that name."""
        return self.destinations.setdefault(name, Kept())

    async def configuration(
        self, name: str = "bucket", state: State = State.ACTIVE
    ) -> LoggingConfiguration:
        """Create a configuration with that destination."""
        configuration = a_configuration(state)
        made = LoggingConfiguration(
            arn=configuration.arn,
            destination=DestinationConfiguration(DestinationKind.S3, name),
            state=state,
            create_time=configuration.create_time,
            update_time=configuration.update_time,
        )
        await self.store.logging_configurations.create(made, 0)
        return made

    def record(self, room: Room, number: int) -> "asyncio.Future[None]":
        """Record and publish a frame that holds a number; time goes on by a millisecond."""
        self.time.advance(0.001)
        payload = b'{"Type":"MESSAGE","Id":"%04d"}' % number
        published = self.log.record(
            room.arn,
            room.logging_configuration_identifiers,
            payload,
            self.time.wall_ns,
            lambda: self.published.append(payload),
        )
        assert isinstance(published, asyncio.Future)
        return published

    async def records(self, room: Room, count: int) -> list[bytes]:
        """Record so many frames and wait for them; return their payloads."""
        before = len(self.published)
        for number in range(before, before + count):
            await self.record(room, number)
        return self.published[before:]

    async def advance(self, seconds: float, steps: int = 10) -> None:
        """Let time pass in steps, and let everything happen that it brings."""
        for _ in range(steps):
            await self.settle()
            self.time.advance(seconds / steps)
            self.alarm.ring()
        await self.settle()

    async def settle(self) -> None:
        """Let everything happen that can happen now."""
        for _ in range(4):
            await self.settle_briefly()
            # A store with threads answers these after all that it was asked before.
            with suppress(StorageUnavailable):
                await self.store.journal.drop(NOBODY, 0)
                await self.store.journal.backlogs()

    async def settle_briefly(self) -> None:
        """Let everything happen for which no thread is asked."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def state_of(self, configuration: LoggingConfiguration) -> State:
        """Return the configuration's state in the store."""
        return (await self.store.logging_configurations.get(configuration.arn)).state


def room_of(*configurations: LoggingConfiguration) -> Room:
    """Return a room with those configurations."""
    return a_room(*(str(each.arn) for each in configurations))
