"""Nodes that share a store, streams, a bus and destinations in memory; only a test moves time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from greenroom.bus.base import ControlEnvelope, E, Renew
from greenroom.bus.memory import MemoryBus
from greenroom.chatlog.base import Target
from greenroom.chatlog.bounds import Bounds
from greenroom.chatlog.streamed import Shared, StreamedChatLog
from greenroom.model.logging_configuration import (
    DestinationConfiguration,
    DestinationKind,
    LoggingConfiguration,
    State,
)
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.memory.store import MemoryStore
from greenroom.telemetry.metrics import Metrics
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.scene import Alarm, Kept
from tests.stand_ins.streams import MemoryStreams, logged
from tests.stand_ins.values import a_configuration, room_arn


class Ears:
    """A node's part of the bus, until it is dead."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self.dead = False
        self.reset: Renew

    def on(self, kind: type[E], receiver: Callable[[E], None]) -> None:
        def hear(envelope: E) -> None:
            if not self.dead:
                receiver(envelope)

        self._bus.on(kind, hear)

    def on_reset(self, receiver: Renew) -> None:
        self.reset = receiver

    def broadcast(self, envelope: ControlEnvelope) -> None:
        self._bus.broadcast(envelope)


class Node:
    """One of them; it lives until it is killed."""

    def __init__(self, nodes: "Nodes", bounds: Bounds) -> None:
        self._nodes = nodes
        self._bounds = bounds
        self.metrics = Metrics()
        self.log: StreamedChatLog
        self.tried: list[str] = []
        self._ears = Ears(nodes.bus)
        self.living = asyncio.create_task(self._live())

    @property
    def dead(self) -> bool:
        """Whether it was killed."""
        return self._ears.dead

    def reset(self) -> None:
        """Say that news may have been missed."""
        self._ears.reset()

    async def kill(self) -> None:
        """End it wherever it is."""
        self._ears.dead = True
        self.living.cancel()
        await asyncio.wait([self.living])

    async def _live(self) -> None:
        nodes = self._nodes
        shared = Shared(
            journal=nodes.store.journal,
            configurations=nodes.store.logging_configurations,
            streams=nodes.streams,
            control=self._ears,
            nodes=lambda: sum(not node.dead for node in nodes.nodes),
        )
        async with asyncio.TaskGroup() as tasks:
            self.log = StreamedChatLog(
                shared,
                self._destination_for,
                tasks,
                clock=nodes.time.clock,
                random=lambda: 1.0,
                bounds=self._bounds,
                metrics=self.metrics,
                wait=nodes.alarm.wait,
            )
            await self.log.start(nodes.finish)
            await asyncio.Event().wait()

    def _destination_for(self, target: Target) -> Kept:
        self.tried.append(target.name)
        return self._nodes.destination(target.name)

    def value(self, name: str, **labels: str) -> float:
        """Return what the node's metric says, 0 for one that is not there."""
        self.log.observe()
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


class Nodes:
    """All of them, and what they share."""

    def __init__(self) -> None:
        self.time = HandClock()
        self.alarm = Alarm(self.time)
        self.store = MemoryStore()
        self.streams = MemoryStreams(2)
        self.bus = MemoryBus()
        self.destinations: dict[str, Kept] = {}
        self.nodes: list[Node] = []
        self.stored = self.finished = self.finishing = 0

    async def finish(self) -> None:
        """Count a look for what is unfinished; every other one fails."""
        self.finishing += 1
        assert self.finishing == 1
        await asyncio.sleep(0)
        self.finishing -= 1
        self.finished += 1
        if self.finished % 2:
            raise StorageUnavailable("as the test says")

    def destination(self, name: str = "bucket") -> Kept:
        """Return the destination of that name."""
        return self.destinations.setdefault(name, Kept())

    async def configuration(
        self, name: str = "bucket", state: State = State.ACTIVE
    ) -> LoggingConfiguration:
        """Create a configuration with that destination."""
        made = LoggingConfiguration(
            arn=a_configuration().arn,
            destination=DestinationConfiguration(DestinationKind.S3, name),
            state=state,
            create_time=self.time.clock.now_ms(),
            update_time=self.time.clock.now_ms(),
        )
        await self.store.logging_configurations.create(made, 0)
        return made

    def publish(
        self, count: int, *configurations: LoggingConfiguration, stream: int = 0
    ) -> list[bytes]:
        """Store messages to be on record for the configurations; return their payloads."""
        room, arns = room_arn(), [each.arn for each in configurations]
        payloads: list[bytes] = []
        for _ in range(count):
            self.stored += 1
            message = logged(self.stored, arns, self.time.wall_ns)
            self.streams.store(room, message, stream=stream)
            payloads.append(message.payload)
        return payloads

    def start(self, count: int = 1, bounds: Bounds | None = None) -> Sequence[Node]:
        """Start so many nodes."""
        started = [Node(self, bounds or Bounds()) for _ in range(count)]
        self.nodes += started
        return started

    async def advance(self, seconds: float, steps: int = 10) -> None:
        """Let time pass in steps, and let everything happen that it brings."""
        for _ in range(steps):
            await self.settle()
            self.time.advance(seconds / steps)
            self.alarm.ring()
        await self.settle()

    async def settle(self) -> None:
        """Let everything happen that can happen now."""
        for _ in range(100):
            await asyncio.sleep(0)

    def holder(self) -> Node:
        """Return the node that delivers."""
        (found,) = (node for node in self.nodes if node.log.depths())
        return found


@asynccontextmanager
async def nodes(count: int = 3, bounds: Bounds | None = None) -> AsyncIterator[Nodes]:
    """Give nodes that have begun to read, and kill them in the end."""
    made = Nodes()
    await made.bus.start()
    made.start(count, bounds)
    await made.settle()
    try:
        yield made
    finally:
        for node in made.nodes:
            await node.kill()
