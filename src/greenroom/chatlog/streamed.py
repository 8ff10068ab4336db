"""Chat logging on many nodes: what the bus has in its streams is put on record by whoever lives.

Nothing is recorded before it is published. Each message says for which configurations it is to be
on record. Tails bring that into the journal that all nodes share, and each configuration's records
are delivered by one node at a time. A node that dies leaves what it was doing to the others.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from greenroom.bus.base import Control, JournalGrew, LoggingConfigurationChanged
from greenroom.bus.streams import Streams, StreamState, StreamUnavailable
from greenroom.chatlog.attempts import check
from greenroom.chatlog.bounds import Bounds
from greenroom.chatlog.delivery import DestinationFor, Surroundings, target_of
from greenroom.chatlog.growth import Growth
from greenroom.chatlog.leased import LeasedDeliveries
from greenroom.chatlog.measures import Depth, Measures
from greenroom.chatlog.tail import ReadsHeld, TailSurroundings, arn_of
from greenroom.chatlog.tails import Tails
from greenroom.chatlog.waiting import Wait, event_or_time
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.logging_configuration import LoggingConfiguration
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.journal import SharedJournal
from greenroom.storage.logging_configurations import LoggingConfigurations
from greenroom.telemetry.metrics import Metrics

LOOK_SECONDS = 5.0
"""How often all queues are looked at, in case that nobody heard that they grew."""

FINISHING_SECONDS = 30.0
"""How often configurations are looked for whose nodes died in the middle of an operation."""

PASSED_SECONDS = 2.0
"""How long a deletion waits until what was published before it is in the journal."""

PASSED_PAUSE = 0.05

EVERYTHING = 2**62

log = structlog.get_logger()


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What the node has in common with the others; `nodes` returns how many there are with it."""

    journal: SharedJournal
    configurations: LoggingConfigurations
    streams: Streams
    control: Control
    nodes: Callable[[], int] = lambda: 1
    held: ReadsHeld | None = None


class StreamedChatLog:
    """A `ChatLog` of one node among many; the given group owns its tasks."""

    is_behind = False
    """Whether records wait in memory: never, they are in the streams."""

    def __init__(
        self,
        shared: Shared,
        destination_for: DestinationFor,
        tasks: asyncio.TaskGroup,
        *,
        clock: Clock,
        random: Callable[[], float],
        bounds: Bounds,
        metrics: Metrics,
        wait: Wait = event_or_time,
    ) -> None:
        self._shared, self._tasks, self._clock, self._wait = shared, tasks, clock, wait
        self._measures = Measures(metrics)
        self._never = asyncio.Event()
        self._running: list[asyncio.Task[None]] = []
        self._growth = Growth(shared.control, wait)
        self._tails = Tails(
            TailSurroundings(
                streams=shared.streams,
                journal=shared.journal,
                clock=clock,
                random=random,
                grown=self._growth.add,
                missed=self._measures.missed,
                nodes=shared.nodes,
                held=shared.held,
                wait=wait,
            )
        )
        self._around = Surroundings(
            journal=shared.journal,
            configurations=shared.configurations,
            destination_for=destination_for,
            clock=clock,
            wait=wait,
            random=random,
            bounds=bounds,
            measures=self._measures,
            expected=self._is_expected,
            measure=shared.journal.backlog,
            longest_wait=LOOK_SECONDS,
        )
        self._deliveries = LeasedDeliveries(shared.journal, self._around, tasks, shared.nodes)

    async def start(self, finish: Callable[[], Awaitable[None]] | None = None) -> None:
        """Begin to read and to deliver, wherever no other node does.

        `finish` ends what dead nodes have left unfinished; one node at a time calls it.
        """
        control = self._shared.control
        control.on(JournalGrew, self._hear_growth)
        control.on(LoggingConfigurationChanged, self._hear_change)
        control.on_reset(self._deliveries.all_changed)
        self._running += self._tails.start(self._tasks)
        self._running.append(self._tasks.create_task(self._growth.run()))
        self._running.append(self._tasks.create_task(self._look()))
        if finish is not None:
            self._running.append(self._tasks.create_task(self._keep_finishing(finish)))

    async def stop(self, seconds: float, delivering: float | None = None) -> None:
        """Leave the rest to the other nodes, within a time.

        Attempts that are under way may take `delivering` seconds of it, if that is given.
        """
        await self._deliveries.stop(seconds if delivering is None else min(seconds, delivering))
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def must_wait(self, room: Arn) -> bool:
        return False

    def record(
        self,
        room: Arn,
        configurations: tuple[str, ...],
        payload: bytes,
        time_ns: int,
        publish: Callable[[], object],
        held_id: str = "",
    ) -> Awaitable[None]:
        """Publish: the message itself says for which configurations it is to be on record."""
        published: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            publish()
        except Exception as error:  # noqa: BLE001 - raised where the frame was accepted
            published.set_exception(error)
        else:
            published.set_result(None)
        return published

    async def check(self, configuration: LoggingConfiguration) -> str | None:
        target = target_of(configuration)
        return await check(self._around.destination_for(target), target)

    async def finish(self, configuration: Arn) -> bool:
        self.changed(configuration)
        if await self._is_expected(configuration) or await self._waits(configuration):
            # A delivery looks once more, and finishes the deletion.
            self._deliveries.consider(configuration)
            return False
        # It drops nothing, but lets the journal forget a queue that nobody needs any more.
        await self._shared.journal.drop(configuration, EVERYTHING)
        return True

    def changed(self, configuration: Arn) -> None:
        self._shared.control.broadcast(LoggingConfigurationChanged(str(configuration)))

    def depths(self) -> list[Depth]:
        """Return what waits for each configuration that this node delivers for."""
        return [each.depth() for each in self._deliveries.deliveries()]

    def lags(self) -> dict[int, float]:
        """Return how old what may be missing of each stream is that this node reads, in seconds."""
        return self._tails.lags

    def observe(self) -> None:
        """Set the gauges of the metrics to what they are now."""
        self._measures.show(self.depths(), 0, self._tails.lag_seconds)

    def _hear_growth(self, envelope: JournalGrew) -> None:
        for configuration in envelope.configurations:
            self._deliveries.consider(arn_of(configuration))

    def _hear_change(self, envelope: LoggingConfigurationChanged) -> None:
        self._deliveries.changed(arn_of(envelope.configuration))

    async def _look(self) -> None:
        while True:
            try:
                await self._deliveries.look()
            except StorageUnavailable as error:
                log.debug("queues of chat logs cannot be looked at", reason=str(error))
            except Exception as error:
                log.exception("looking at chat logs crashed", error=type(error).__name__)
            await self._wait(self._never, LOOK_SECONDS)

    async def _keep_finishing(self, finish: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._wait(self._never, FINISHING_SECONDS)
            try:
                async with self._shared.journal.lease("unfinished configurations") as lease:
                    if lease.held:
                        await finish()
            except StorageUnavailable as error:
                log.debug("unfinished configurations cannot be looked at", reason=str(error))
            except Exception as error:
                log.exception("finishing configurations crashed", error=type(error).__name__)

    async def _is_expected(self, _: Arn) -> bool:
        """Return whether the journal lacks anything that was published by now.

        It is waited for a little. Where that cannot be found out, something may be missing.
        """
        streams, deadline = self._shared.streams, self._clock.monotonic() + PASSED_SECONDS
        try:
            ends = await asyncio.gather(*map(streams.end, range(streams.count)))
        except StreamUnavailable:
            return True
        for stream, end in enumerate(ends):
            while not await self._is_passed(stream, end):
                if self._clock.monotonic() >= deadline:
                    return True
                await self._wait(self._never, PASSED_PAUSE)
        return False

    async def _waits(self, configuration: Arn) -> bool:
        return bool((await self._shared.journal.backlog(configuration)).records)

    async def _is_passed(self, stream: int, end: StreamState) -> bool:
        if end.last < end.first:
            return True
        position = await self._shared.journal.position(stream)
        return (
            position is not None
            and position.created == end.created
            and position.sequence >= end.last
        )
