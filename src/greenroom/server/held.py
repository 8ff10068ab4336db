"""Builds what has messages wait until viewers may see them: on a node alone, and in a cluster."""

import asyncio
from collections.abc import Callable

from greenroom.bus.base import RoomLine
from greenroom.bus.memory import MemoryBus
from greenroom.chat.held_alone import HeldAlone
from greenroom.chat.held_queues import HeldQueues
from greenroom.chat.held_shared import Following, HeldShared
from greenroom.chat.holding import Holding
from greenroom.chat.releases import Releases
from greenroom.control.ivschat.context import Services
from greenroom.messaging.hub import Hub
from greenroom.server.adapters import Adapters

RETURN_SECONDS, LONGEST_RETURN_SECONDS = 1, 10
"""How long viewers of the process before have to come back, behind the spread of its drain, until
what waited there is released: else nobody would be shown what was due meanwhile."""


class Held:
    """What waits on a node, and who keeps it."""

    def __init__(self, queues: HeldQueues, keeper: HeldAlone | HeldShared) -> None:
        self.queues = queues
        self.keeper = keeper

    @property
    def alone(self) -> HeldAlone | None:
        """Return what keeps it on a node that is alone."""
        return self.keeper if isinstance(self.keeper, HeldAlone) else None

    @property
    def shared(self) -> HeldShared | None:
        """Return what the readers of streams tell, in a cluster."""
        return self.keeper if isinstance(self.keeper, HeldShared) else None


async def open_held(opened: Adapters, hub: Hub, tasks: asyncio.TaskGroup) -> Held:
    """Go on with what waits; in a cluster with that of streams which are read here."""
    queues, store, bus = HeldQueues(opened.clock), opened.store, opened.bus
    if opened.shared is None:
        assert isinstance(bus, MemoryBus)  # noqa: S101 - a node alone has no other
        alone = HeldAlone(queues, store.held_messages, store.history, bus.kept, opened.clock, tasks)
        await alone.start()
        return Held(queues, alone)
    bus.on_arrival(lambda arrival: queues.note(arrival.room, arrival.envelopes))
    hub.when_unfollowed = queues.unfollowed
    following = Following(hub.expect, hub.arrived)
    shared = HeldShared(queues, store.held_messages, opened.shared.streams, following, opened.clock)
    return Held(queues, shared)


def releases(
    opened: Adapters,
    services: Services,
    line: RoomLine,
    held: Held,
    tasks: asyncio.TaskGroup,
    is_possible: Callable[[], bool],
) -> Releases:
    """Let messages wait from now on, and return what releases them."""
    chat = services.chat
    chat.holding = Holding(held.queues, is_possible)
    made = Releases(
        held.queues, held.keeper, services.rooms, line, chat.settings, opened.clock, tasks
    )
    if held.alone is not None and len(held.queues):
        spread = opened.settings.number("drain_spread_seconds")
        made.begin_after(min(spread + RETURN_SECONDS, LONGEST_RETURN_SECONDS))
    services.metrics.held_messages.read = lambda: len(held.queues)
    services.metrics.held_overdue_seconds.read = lambda: made.overdue_seconds
    services.metrics.held_released.read = lambda: made.released
    return made
