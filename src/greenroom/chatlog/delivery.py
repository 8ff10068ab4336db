"""One configuration's records, from the journal to its destination, batch by batch.

- A batch is made when the oldest record has waited for the destination's interval, or when enough
  wait; at once when the configuration is being deleted or the service stops.
- What the journal calls a batch is given to `deliver` until it succeeds: after a failure, or a
  restart, the same records come again. It is removed from the journal afterwards.
- **Failures** are retried with growing, jittered pauses, for ever. Nobody else waits for them.
- **Bound.** At the bound of bytes, or of age while the destination fails, the oldest records are
  dropped: counted, and named in the log. It is looked at between two attempts.
- **State.** A destination that is gone, or forbidden, for several attempts makes an ACTIVE
  configuration UPDATE_FAILED until it takes records again. One that is DELETING is removed when
  nothing waits; when its destination fails for minutes, it becomes DELETE_FAILED.
- **Many nodes.** Where others add to the queue, nobody tells how much waits: it is looked at, when
  somebody says that it grew and every few seconds. One node delivers, for as long as it is `held`;
  one that goes on for a moment longer does nothing that another could not do as well.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from greenroom.chatlog.attempts import Trouble, attempt
from greenroom.chatlog.base import Destination, DestinationFailed, Target
from greenroom.chatlog.bounds import Announcements, Bounds
from greenroom.chatlog.drops import Drops
from greenroom.chatlog.measures import Depth, Measures
from greenroom.chatlog.waiting import MAXIMUM_SECONDS, Backoff, Wait
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.errors import ConflictException, ResourceNotFoundException
from greenroom.model.log_record import Record
from greenroom.model.logging_configuration import LoggingConfiguration, State
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.journal import Backlog, Journal, Removed
from greenroom.storage.logging_configurations import LoggingConfigurations

DELETION_SECONDS = 300.0
"""How long a deletion's deliveries may fail before it is given up."""

LOOK_SECONDS = 1.0
"""How long nobody looks again at what waits, though it grows."""

log = structlog.get_logger()

DestinationFor = Callable[[Target], Destination]
"""Returns what keeps a target's records."""


class Surroundings(msgspec.Struct, kw_only=True):
    """What all deliveries share.

    `expected` tells of records on their way to the journal. `measure` returns what waits, where
    that is not told; then it is asked for at least every `longest_wait` seconds.
    """

    journal: Journal
    configurations: LoggingConfigurations
    destination_for: DestinationFor
    clock: Clock
    wait: Wait
    random: Callable[[], float]
    bounds: Bounds
    measures: Measures
    expected: Callable[[Arn], Awaitable[bool]]
    measure: Callable[[Arn], Awaitable[Backlog]] | None = None
    longest_wait: float = MAXIMUM_SECONDS
    stopping: bool = False


def _always() -> bool:
    return True


class Delivery:
    """Delivers while records wait; `run` ends when none does, or when it is not held any more."""

    def __init__(
        self, configuration: Arn, around: Surroundings, held: Callable[[], bool] = _always
    ) -> None:
        self.arn = configuration
        self.records = self.size = self.oldest_ns = 0
        self._around = around
        self._held = held
        self._grown = False
        self._look_at = 0.0
        self._waiting_since = 0.0
        self._configuration: LoggingConfiguration | None = None
        self._stale = True
        self._deleting_since: float | None = None
        self._wake = asyncio.Event()
        self._wake_size = 0
        self._trouble = Trouble(Backoff(around.random))
        self._stumbles = Backoff(around.random)
        self._kept_up_to = 0
        self._announcements = Announcements()
        self._drops = Drops(
            around.clock, around.measures.dropped, logging_configuration=str(configuration)
        )

    def add(self, records: int, size: int, oldest_ns: int) -> None:
        """Count records that the journal took."""
        if not self.records:
            self._begin_waiting(oldest_ns)
        self.records += records
        self.size += size
        if self.size >= self._wake_size:
            self._wake.set()

    def grew(self) -> None:
        """Look at what waits: somebody may have added records."""
        self._grown = True
        self._wake.set()

    def changed(self) -> None:
        """Look at the configuration anew, and try at once whatever failed before."""
        self._stale = True
        self._trouble.forgive()
        self._wake.set()

    def hurry(self) -> None:
        """Deliver at once: the service stops."""
        self._trouble.retry_at = 0.0
        self._wake.set()

    def age_ns(self) -> int:
        """Return how old the oldest record is."""
        return max(0, self._around.clock.wall_ns() - self.oldest_ns) if self.records else 0

    def used(self) -> float:
        """Return how much of the nearer bound is used."""
        return self._around.bounds.used(self.size, self.age_ns())

    def depth(self) -> Depth:
        """Return what waits."""
        seconds = self.age_ns() / 1_000_000_000
        return Depth(self.arn, self.records, self.size, seconds, self.used())

    async def run(self) -> None:
        """Deliver until nothing waits, or until the first failure while the service stops.

        It ends as well when it is not held any more.
        """
        try:
            await self._deliver()
        finally:
            self._drops.tell(at_once=True)

    async def _deliver(self) -> None:
        while self._held():
            try:
                if await self._is_over():
                    return
                await self._step()
                self._stumbles.reset()
            except Exception as error:
                if not isinstance(error, StorageUnavailable):
                    log.exception("chat log delivery crashed", error=type(error).__name__)
                if self._around.stopping:
                    return
                await self._around.wait(self._wake, self._stumbles.next())
                self._wake.clear()
            if self._around.stopping and self._trouble.kind is not None:
                return

    async def _is_over(self) -> bool:
        if not self.records:
            await self._look(at_once=True)
        if self.records:
            return False
        configuration = await self._current()
        await self._settle_state()
        deleting = configuration is not None and configuration.state is State.DELETING
        if deleting and not await self._around.expected(self.arn):
            # What was on its way has arrived by now.
            await self._look(at_once=True)
            if not self.records:
                await self._around.configurations.finish_delete(self.arn)
                log.info("logging configuration deleted", logging_configuration=str(self.arn))
        return self._is_idle()

    def _is_idle(self) -> bool:
        return not self.records and not self._stale and not self._grown

    async def _look(self, *, at_once: bool = False) -> None:
        """Measure what waits, where nobody tells, unless that was done just now."""
        measure, now = self._around.measure, self._around.clock.monotonic()
        if measure is None or (now < self._look_at and not at_once):
            return
        self._look_at = now + LOOK_SECONDS
        self._grown = False
        backlog = await measure(self.arn)
        self.records, self.size = backlog.records, backlog.size
        if self.records:
            self._begin_waiting(backlog.oldest_ns)

    async def _current(self) -> LoggingConfiguration | None:
        """Return the configuration, None when it is gone."""
        if self._stale:
            self._stale = False
            try:
                found = await self._around.configurations.get(self.arn)
            except ResourceNotFoundException:
                self._configuration = None
            except BaseException:
                self._stale = True
                raise
            else:
                self._configuration = found
                self._trouble.doubt()
                deleting = found.state is State.DELETING
                self._deleting_since = self._around.clock.monotonic() if deleting else None
        return self._configuration

    async def _step(self) -> None:
        """Wait until a batch is due, and try once to deliver it."""
        if self._kept_up_to:
            await self._mark_kept()
            return
        configuration = await self._current()
        if configuration is None:
            await self._discard()
            return
        target = target_of(configuration)
        destination = self._around.destination_for(target)
        if not await self._is_due(destination) or not self._held():
            return
        records = await self._around.journal.batch(self.arn, destination.batch_bytes)
        if not records:
            self.records = self.size = 0
            return
        failure, refused = await attempt(destination, target, records)
        if failure is None:
            self._kept_up_to = records[-1].sequence
            self._succeeded(records, refused, target)
            await self._mark_kept()
        else:
            self._failed(failure, target)
        await self._settle_state()

    async def _is_due(self, destination: Destination) -> bool:
        """Return True when a batch is to be made, False when all is to be looked at again."""
        while not self._stale:
            self._wake.clear()
            await self._look()
            await self._keep_bound()
            if not self.records or not self._held():
                return False
            seconds = self._seconds_left(destination)
            if seconds <= 0:
                return True
            self._wake_size = self._next_size(destination)
            await self._around.wait(self._wake, min(seconds, self._until_look()))
        return False

    def _seconds_left(self, destination: Destination) -> float:
        now = self._around.clock.monotonic()
        if self._trouble.retry_at > now:
            return self._trouble.retry_at - now
        deleting = self._deleting_since is not None
        if deleting or self._around.stopping or self.size >= destination.batch_bytes:
            return 0.0
        return self._waiting_since + destination.interval_seconds - now

    def _until_look(self) -> float:
        """Return how long to wait at most until what waits is looked at again."""
        if not self._grown:
            return self._around.longest_wait
        return max(0.0, self._look_at - self._around.clock.monotonic())

    def _next_size(self, destination: Destination) -> int:
        """Return the size at which something is to be done before the time."""
        if self._trouble.kind is None:
            return destination.batch_bytes
        return self._around.bounds.next_step(self.size)

    async def _keep_bound(self) -> None:
        bounds, clock = self._around.bounds, self._around.clock
        older_than = clock.wall_ns() - bounds.age_ns if self._trouble.kind is not None else 0
        self._drops.tell()
        percent = self._announcements.due(self.used()) if self.records else None
        if percent is not None:
            log.warning(
                "journal of chat logs fills up",
                logging_configuration=str(self.arn),
                percent=percent,
                records=self.records,
                bytes=self.size,
                age_seconds=self.age_ns() // 1_000_000_000,
            )
        while self.records and (self.size > bounds.size or self.oldest_ns < older_than):
            removed = await self._around.journal.drop(self.arn, bounds.size, older_than)
            if not removed.records:
                break
            self._dropped(removed, "the journal's bound is reached")

    async def _discard(self) -> None:
        """Drop what names a configuration that is gone: nobody can say where it would go."""
        while self.records:
            removed = await self._around.journal.drop(self.arn, 0)
            self._dropped(removed, "the configuration is gone")
            if not removed.oldest_ns:
                self.records = self.size = 0

    def _dropped(self, removed: Removed, why: str) -> None:
        until_ns = removed.oldest_ns or self._around.clock.wall_ns()
        self._drops.add(self.arn, removed.records, why, self.oldest_ns, until_ns)
        self._removed(removed)

    def _failed(self, failure: DestinationFailed, target: Target) -> None:
        self._around.measures.failed(self.arn, failure.kind)
        now = self._around.clock.monotonic()
        if self._trouble.kind is None:
            log.warning(
                "chat log destination fails",
                logging_configuration=str(self.arn),
                destination=target.name,
                kind=failure.kind.value,
                reason=failure.why,
            )
        self._trouble.note(failure.kind, now)

    def _succeeded(self, records: Sequence[Record], refused: int, target: Target) -> None:
        self._around.measures.delivered(self.arn, len(records) - refused)
        if refused:
            why = "the destination never will take them"
            self._drops.add(self.arn, refused, why, records[0].time_ns, records[-1].time_ns)
        if self._trouble.kind is not None:
            log.warning(
                "chat log destination works again",
                logging_configuration=str(self.arn),
                destination=target.name,
            )
        self._trouble.end()

    async def _mark_kept(self) -> None:
        """Remove the batch that the destination keeps; what it keeps is never given to it again."""
        removed = await self._around.journal.delivered(self.arn, self._kept_up_to)
        self._kept_up_to = 0
        self._removed(removed)

    def _removed(self, removed: Removed) -> None:
        # What waits was measured before others added some of what is removed now.
        self.records = max(0, self.records - removed.records)
        self.size = max(0, self.size - removed.size)
        if self.records:
            self._begin_waiting(removed.oldest_ns or self._around.clock.wall_ns())

    def _begin_waiting(self, oldest_ns: int) -> None:
        self.oldest_ns = oldest_ns
        waited_ns = max(0, self._around.clock.wall_ns() - oldest_ns)
        self._waiting_since = self._around.clock.monotonic() - waited_ns / 1e9

    async def _settle_state(self) -> None:
        """Move the configuration to the state that deliveries have shown."""
        configuration = self._configuration
        if configuration is None:
            return
        wanted = self._wanted_state(configuration.state)
        if wanted is None:
            return
        now_ms = self._around.clock.now_ms()
        try:
            self._configuration = await self._around.configurations.move(
                self.arn, configuration.state, wanted, now_ms
            )
        except (ConflictException, ResourceNotFoundException):
            self._stale = True
            return
        self._deleting_since = None
        log.warning(
            "logging configuration changes its state",
            logging_configuration=str(self.arn),
            state=wanted.value,
        )

    def _wanted_state(self, state: State) -> State | None:
        trouble = self._trouble
        if state is State.ACTIVE and trouble.lasts:
            return State.UPDATE_FAILED
        if state is State.UPDATE_FAILED and trouble.works:
            return State.ACTIVE
        since = self._deleting_since
        if state is State.DELETING and since is not None and trouble.kind is not None:
            too_long = self._around.clock.monotonic() - since >= DELETION_SECONDS
            return State.DELETE_FAILED if too_long else None
        return None


def target_of(configuration: LoggingConfiguration) -> Target:
    """Return where a configuration's records go."""
    destination = configuration.destination
    return Target(configuration.arn, destination.kind, destination.name)
