"""Chat logging: the journal between the rooms and the destinations of their configurations."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache

import structlog

from greenroom.chatlog.attempts import check
from greenroom.chatlog.bounds import Bounds
from greenroom.chatlog.delivery import Delivery, DestinationFor, Surroundings, target_of
from greenroom.chatlog.drops import Drops
from greenroom.chatlog.intake import Intake
from greenroom.chatlog.measures import Depth, Measures
from greenroom.chatlog.waiting import Backoff, Wait, event_or_time
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.logging_configuration import LoggingConfiguration
from greenroom.storage.base import Store
from greenroom.storage.journal import Entry
from greenroom.telemetry.metrics import Metrics

log = structlog.get_logger()


class JournaledChatLog:
    """A `ChatLog` whose records go through the store's journal.

    One task appends and one task delivers for each configuration with waiting records, all owned
    by the given group. `start` begins with what an earlier process left, `stop` ends all of them.
    """

    def __init__(
        self,
        store: Store,
        destination_for: DestinationFor,
        tasks: asyncio.TaskGroup,
        *,
        clock: Clock,
        random: Callable[[], float],
        bounds: Bounds,
        metrics: Metrics,
        wait: Wait = event_or_time,
    ) -> None:
        self._journal = store.journal
        self._tasks = tasks
        measures = Measures(metrics)
        self._intake = Intake(
            store.journal,
            tasks,
            wait,
            Backoff(random),
            bounds.memory,
            self._appended,
            Drops(clock, measures.dropped),
        )
        self._around = Surroundings(
            journal=store.journal,
            configurations=store.logging_configurations,
            destination_for=destination_for,
            clock=clock,
            wait=wait,
            random=random,
            bounds=bounds,
            measures=measures,
            expected=self._is_expected,
        )
        self._deliveries: dict[Arn, Delivery] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Deliver what was accepted before the start of the process.

        Raises:
            StorageUnavailable: the journal cannot be read.
        """
        for configuration, backlog in (await self._journal.backlogs()).items():
            self._delivery(configuration).add(backlog.records, backlog.size, backlog.oldest_ns)

    async def stop(self, seconds: float, delivering: float | None = None) -> None:
        """Append and deliver at once what waits, within a time; log what is left. No record after.

        A destination that fails is not tried twice. `delivering` is the part of the time that
        destinations may take at most: what they did not is the next process's.
        """
        try:
            async with asyncio.timeout(seconds) as limit:
                await self._intake.stop()
                if delivering is not None:
                    limit.reschedule(
                        min(limit.when() or 0, asyncio.get_running_loop().time() + delivering)
                    )
                self._around.stopping = True
                for delivery in self._deliveries.values():
                    delivery.hurry()
                if self._running:
                    await asyncio.wait(self._running)
        except TimeoutError:
            log.info("chat logs take too long to deliver", seconds=seconds)
        self._intake.abandon()
        for task in self._running:
            task.cancel()
        self._tell_what_is_left()

    def must_wait(self, room: Arn) -> bool:
        return self._intake.must_wait(room)

    def record(
        self,
        room: Arn,
        configurations: tuple[str, ...],
        payload: bytes,
        time_ns: int,
        publish: Callable[[], object],
        held_id: str = "",
    ) -> Awaitable[None]:
        entry = Entry(room, _arns(configurations), time_ns, payload, held_id)
        return self._intake.put(entry, publish)

    async def check(self, configuration: LoggingConfiguration) -> str | None:
        target = target_of(configuration)
        return await check(self._around.destination_for(target), target)

    async def finish(self, configuration: Arn) -> bool:
        await self._intake.passed()
        self.changed(configuration)
        return configuration not in self._deliveries and not self._intake.holds(configuration)

    def changed(self, configuration: Arn) -> None:
        delivery = self._deliveries.get(configuration)
        if delivery is not None:
            delivery.changed()

    @property
    def is_behind(self) -> bool:
        """Whether accepted records wait in memory, because the store does not take them."""
        return self._intake.behind

    def depths(self) -> list[Depth]:
        """Return what waits for each configuration for which something waits."""
        return [each.depth() for each in self._deliveries.values()]

    def observe(self) -> None:
        """Set the gauges of the metrics to what they are now."""
        self._around.measures.show(self.depths(), self._intake.size if self._intake.behind else 0)

    async def _is_expected(self, configuration: Arn) -> bool:
        return self._intake.holds(configuration)

    def _appended(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            for configuration in entry.configurations:
                self._delivery(configuration).add(1, len(entry.payload), entry.time_ns)

    def _delivery(self, configuration: Arn) -> Delivery:
        delivery = self._deliveries.get(configuration)
        if delivery is None:
            delivery = self._deliveries[configuration] = Delivery(configuration, self._around)
            task = self._tasks.create_task(self._run(delivery))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return delivery

    async def _run(self, delivery: Delivery) -> None:
        # Nothing can come between its end and its leaving: there is no await between them.
        await delivery.run()
        if not delivery.records:
            del self._deliveries[delivery.arn]

    def _tell_what_is_left(self) -> None:
        left = sum(each.records for each in self._deliveries.values())
        if not left:
            return
        if self._journal.durable:
            log.warning("chat logs wait in the journal for the next start", records=left)
            return
        for each in self._deliveries.values():
            self._around.measures.dropped(each.arn, each.records)
        why = "memory storage ends with the process"
        log.error("chat log records dropped", records=left, reason=why)


@lru_cache(maxsize=1024)
def _arns(identifiers: tuple[str, ...]) -> tuple[Arn, ...]:
    return tuple(map(Arn.parse, identifiers))
