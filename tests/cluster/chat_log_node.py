"""A node of which there is nothing but its chat log; it may die at any call of the journal.

Run as `python -m tests.cluster.chat_log_node` with one argument, a JSON `Orders`.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from greenroom.bus.memory import MemoryBus
from greenroom.chatlog import leased, streamed, tail
from greenroom.chatlog.base import Record, Target
from greenroom.chatlog.bounds import Bounds
from greenroom.chatlog.files import FilesDestination
from greenroom.clock import Clock
from greenroom.storage.postgres import database
from greenroom.storage.postgres.store import PostgresStore
from greenroom.telemetry.metrics import Metrics
from tests.cluster.kept_streams import KeptStreams

LEASE_SECONDS = 1.5
"""How long a node that stands still keeps its leases here."""

STREAMS = 16
READY = "has begun"


class Orders(msgspec.Struct):
    """What a node is to do; it stands still once, before so many calls of that method."""

    url: str
    streams: str
    files: str
    seed: int
    delivers: bool = True
    death: float = 0.0
    stop_before: str = ""
    stop_after_calls: int = 0


class Fate:
    """What happens at calls: death by chance, or that the process stands still once."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._random = random.Random(orders.seed)
        self._calls = 0

    def meet(self, call: str) -> None:
        """Die, stand still, or do nothing."""
        if self._random.random() < self._orders.death:
            os.kill(os.getpid(), signal.SIGKILL)
        if call == self._orders.stop_before:
            self._calls += 1
            if self._calls == self._orders.stop_after_calls:
                os.kill(os.getpid(), signal.SIGSTOP)


class FatefulJournal:
    """The journal, with fate before and after what changes it."""

    def __init__(self, journal: Any, fate: Fate) -> None:
        self._journal = journal
        self._fate = fate

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._journal, name)
        if name not in ("append_from", "batch", "delivered"):
            return method

        async def call(*arguments: object) -> object:
            self._fate.meet(name)
            result: object = await method(*arguments)
            self._fate.meet(f"after {name}")
            return result

        return call


class FatefulFiles(FilesDestination):
    """Files, with fate before and after a batch is there."""

    fate: Fate

    async def deliver(self, target: Target, records: Sequence[Record]) -> int:
        self.fate.meet("deliver")
        kept = await super().deliver(target, records)
        self.fate.meet("after deliver")
        return kept


def hasten() -> None:
    """Wait for nothing as long as a real node does."""
    streamed.LOOK_SECONDS = 0.2
    leased.ELSEWHERE_SECONDS = 0.2
    tail.LEASE_PAUSE = 0.1


async def run(orders: Orders) -> None:
    """Live until somebody ends it."""
    hasten()
    fate = Fate(orders)
    store = await PostgresStore.open(
        orders.url, bounds=database.Bounds(lease_seconds=LEASE_SECONDS)
    )
    interval, size = (0.3, 20_000) if orders.delivers else (3600.0, 2**40)
    files = FatefulFiles(lambda: Path(orders.files), interval, size, str(os.getpid()))
    files.fate = fate
    bus = MemoryBus()
    await bus.start()
    shared = streamed.Shared(
        journal=FatefulJournal(store.journal, fate),  # type: ignore[arg-type]  # passes all on
        configurations=store.logging_configurations,
        streams=KeptStreams(Path(orders.streams), STREAMS),
        control=bus,
    )
    async with asyncio.TaskGroup() as tasks:
        log = streamed.StreamedChatLog(
            shared,
            lambda _: files,
            tasks,
            clock=Clock(),
            random=random.random,
            bounds=Bounds(),
            metrics=Metrics(),
        )
        await log.start()
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(run(msgspec.json.decode(sys.argv[1], type=Orders)))
