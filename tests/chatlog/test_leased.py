"""Leases of deliveries: which are held, when they are tried again, and what is left of them.

`tests/cluster/test_chat_logs.py` has several nodes deliver.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from greenroom.chatlog import leased
from greenroom.chatlog.leased import ELSEWHERE_SECONDS, LeasedDeliveries
from greenroom.model.arn import Arn
from greenroom.storage.base import StorageUnavailable
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.values import configuration_arn

ARN = configuration_arn()


class Lease:
    """A double of a lease."""

    def __init__(self, held: bool) -> None:
        self.held = held

    async def run(self, doing: Awaitable[None]) -> None:
        await doing


class Journal:
    """A double of a journal: gives leases, or fails."""

    def __init__(self) -> None:
        self.held = True
        self.failure: Exception | None = None
        self.asked: list[str] = []
        self.some: set[Arn] = set()

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[Lease]:
        self.asked.append(name)
        if self.failure is not None:
            raise self.failure
        yield Lease(self.held)

    async def waiting(self) -> set[Arn]:
        return self.some


class Delivery:
    """A double of a delivery: runs until the test ends it, and notes what it is told."""

    def __init__(self, configuration: Arn, _around: object, held: Any) -> None:
        self.arn, self.held = configuration, held
        self.over = asyncio.Event()
        self.told: list[str] = []

    def grew(self) -> None:
        self.told.append("grew")

    def changed(self) -> None:
        self.told.append("changed")

    def hurry(self) -> None:
        self.told.append("hurry")
        self.over.set()

    async def run(self) -> None:
        await self.over.wait()


class Node:
    """A node's leases, with doubles around them."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.time, self.journal = HandClock(), Journal()
        self.nodes = 1
        journal: Any = self.journal
        around: Any = Mock(clock=self.time.clock)
        self.deliveries = LeasedDeliveries(journal, around, tasks, lambda: self.nodes)

    @property
    def held(self) -> list[Any]:
        """What is delivered here."""
        return list(self.deliveries.deliveries())


@pytest.fixture
async def node(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    """Give a node."""
    monkeypatch.setattr(leased, "Delivery", Delivery)
    async with asyncio.TaskGroup() as tasks:
        made = Node(tasks)
        yield made
        await made.deliveries.stop(5)


async def settle() -> None:
    """Let everything happen that can happen now."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_lease_is_held_until_the_delivery_ends(node: Node) -> None:
    """Whoever hears meanwhile that it grew has it look; then nothing is left of it."""
    node.deliveries.consider(ARN)
    node.deliveries.consider(ARN)
    await settle()
    (delivery,) = node.held
    assert delivery.arn == ARN
    assert delivery.held()
    node.deliveries.consider(ARN)
    node.deliveries.changed(ARN)
    node.deliveries.all_changed()
    node.deliveries.changed(configuration_arn())
    assert delivery.told == ["grew", "changed", "changed"]
    assert node.journal.asked == [f"delivery of {ARN}"]
    delivery.over.set()
    await settle()
    assert node.held == []
    assert node.deliveries._share._held == set()
    node.deliveries.consider(ARN)
    await settle()
    assert len(node.held) == 1


async def test_a_lease_that_another_node_holds(node: Node) -> None:
    """It is not tried again for a while."""
    node.journal.held = False
    node.deliveries.consider(ARN)
    await settle()
    assert node.held == []
    node.time.advance(ELSEWHERE_SECONDS - 0.1)
    node.deliveries.consider(ARN)
    await settle()
    assert len(node.journal.asked) == 1
    node.time.advance(0.1)
    node.journal.held = True
    node.deliveries.consider(ARN)
    await settle()
    assert (len(node.journal.asked), len(node.held)) == (2, 1)


@pytest.mark.parametrize(
    ("failure", "level"), [(StorageUnavailable(""), "debug"), (RuntimeError(), "error")]
)
async def test_a_lease_that_cannot_be_had(node: Node, failure: Exception, level: str) -> None:
    """It is tried again when somebody hears of it; the node goes on."""
    node.journal.failure = failure
    with capture_logs() as lines:
        node.deliveries.consider(ARN)
        await settle()
    assert [line["log_level"] for line in lines] == [level]
    node.journal.failure = None
    node.deliveries.consider(ARN)
    await settle()
    assert len(node.held) == 1


async def test_all_that_waits_is_looked_at(node: Node) -> None:
    """What another node holds is forgotten when its time is over."""
    node.journal.some = {ARN, other := configuration_arn()}
    await node.deliveries.look()
    await settle()
    assert {each.arn for each in node.held} == {ARN, other}
    node.deliveries._elsewhere = {ARN: node.time.clock.monotonic()}
    await node.deliveries.look()
    assert node.deliveries._elsewhere == {}


async def test_a_node_with_too_many_gives_back(node: Node) -> None:
    """One of them, which it does not try again soon; another node has it by then."""
    node.journal.some = {ARN, other := configuration_arn()}
    await node.deliveries.look()
    await settle()
    node.nodes = 2
    first, second = node.held
    assert first.held()
    assert second.held()
    node.time.advance(5)
    assert [first.held(), second.held()] == [False, True]
    assert not first.held()
    first.over.set()
    await settle()
    assert [each.arn for each in node.held] == [second.arn]
    node.time.advance(3 * ELSEWHERE_SECONDS - 0.1)
    for each in (ARN, other):
        node.deliveries.consider(each)
    await settle()
    assert len(node.held) == 1
    node.time.advance(0.1)
    node.deliveries.consider(first.arn)
    await settle()
    assert len(node.held) == 2


async def test_a_stop(node: Node) -> None:
    """Whoever delivers is hurried, and nothing is begun any more."""
    node.deliveries.consider(ARN)
    await settle()
    (delivery,) = node.held
    await node.deliveries.stop(5)
    assert delivery.told == ["hurry"]
    assert not delivery.held()
    node.deliveries.consider(ARN)
    await settle()
    assert (node.held, len(node.journal.asked)) == ([], 1)


async def test_a_stop_that_takes_too_long(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not end is ended."""
    monkeypatch.setattr(Delivery, "hurry", lambda _: None)
    node.deliveries.consider(ARN)
    await settle()
    async with asyncio.timeout(10):
        await node.deliveries.stop(0.01)
    assert node.held == []
