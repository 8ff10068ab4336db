"""The deliveries of a node among many: each configuration's by the node that holds its lease.

Who hears that a queue grew tries to get its lease; every few seconds all queues are looked at, in
case that nobody heard. A delivery that has nothing left gives its lease back; so does one on a node
that has more of them than its part.
"""

import asyncio
from collections.abc import Callable, Iterable

import structlog

from greenroom.chatlog.delivery import Delivery, Surroundings
from greenroom.chatlog.share import Share
from greenroom.model.arn import Arn
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.journal import SharedJournal
from greenroom.storage.leases import Lease

ELSEWHERE_SECONDS = 5.0
"""How long a lease is not tried again that another node holds."""

GIVEN_BACK_SECONDS = 3 * ELSEWHERE_SECONDS
"""How long one is not that was given back: each other node tries it within ten seconds."""

log = structlog.get_logger()


class LeasedDeliveries:
    """Delivers for configurations whose leases this node has; `tasks` owns what runs."""

    def __init__(
        self,
        journal: SharedJournal,
        around: Surroundings,
        tasks: asyncio.TaskGroup,
        nodes: Callable[[], int],
    ) -> None:
        """Make it without leases; `nodes` returns how many nodes there are."""
        self._share = Share[Arn](nodes, around.clock)
        self._waiting = 0
        self._journal = journal
        self._around = around
        self._tasks = tasks
        self._running: dict[Arn, asyncio.Task[None]] = {}
        self._held: dict[Arn, Delivery] = {}
        self._elsewhere: dict[Arn, float] = {}
        self._ending = False

    def deliveries(self) -> Iterable[Delivery]:
        """Return those that this node holds."""
        return self._held.values()

    def consider(self, configuration: Arn) -> None:
        """Deliver for the configuration, unless another node does: something may wait."""
        delivery = self._held.get(configuration)
        if delivery is not None:
            delivery.grew()
            return
        if self._ending or configuration in self._running:
            return
        if self._elsewhere.get(configuration, 0.0) > self._around.clock.monotonic():
            return
        self._running[configuration] = self._tasks.create_task(self._run(configuration))

    async def look(self) -> None:
        """Consider every configuration for which something waits.

        Raises:
            StorageUnavailable: the journal cannot be read.
        """
        now = self._around.clock.monotonic()
        self._elsewhere = {each: until for each, until in self._elsewhere.items() if until > now}
        waiting = await self._journal.waiting()
        self._waiting = len(self._held.keys() | waiting)
        for configuration in waiting:
            self.consider(configuration)

    def changed(self, configuration: Arn) -> None:
        """Look at the configuration anew; that it is being deleted may need a delivery."""
        delivery = self._held.get(configuration)
        if delivery is not None:
            delivery.changed()

    def all_changed(self) -> None:
        """Look at all configurations anew: what was said of them may not have been heard."""
        for delivery in self._held.values():
            delivery.changed()

    async def stop(self, seconds: float) -> None:
        """Give all leases back, after attempts that are under way; other nodes go on."""
        self._ending = True
        for delivery in self._held.values():
            delivery.hurry()
        running = set(self._running.values())
        if running:
            await asyncio.wait(running, timeout=seconds)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, configuration: Arn) -> None:
        try:
            async with self._journal.lease(f"delivery of {configuration}") as lease:
                if lease.held:
                    await lease.run(self._deliver(configuration, lease))
                else:
                    until = self._around.clock.monotonic() + ELSEWHERE_SECONDS
                    self._elsewhere[configuration] = until
        except StorageUnavailable:
            log.debug("a lease cannot be had now", logging_configuration=str(configuration))
        except Exception as error:
            # Raised here, it would end the node.
            log.exception("chat log delivery crashed", error=type(error).__name__)
        finally:
            del self._running[configuration]

    async def _deliver(self, configuration: Arn, lease: Lease) -> None:
        given_back = False

        def held() -> bool:
            nonlocal given_back
            given_back = given_back or self._gives_back(configuration)
            return lease.held and not self._ending and not given_back

        delivery = Delivery(configuration, self._around, held)
        self._held[configuration] = delivery
        self._share.take(configuration)
        try:
            await delivery.run()
        finally:
            self._share.leave(configuration)
            del self._held[configuration]

    def _gives_back(self, configuration: Arn) -> bool:
        """Return whether this node has too many: another is to deliver for this one."""
        if not self._share.gives_back(configuration, max(self._waiting, len(self._held))):
            return False
        until = self._around.clock.monotonic() + GIVEN_BACK_SECONDS
        self._elsewhere[configuration] = until
        return True
