"""What can happen in a room, on several nodes: the rules of the chat over every kind of servers."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec
import pytest

from greenroom.bus.base import Arrival, Disconnect, RoomChanged
from greenroom.bus.nats.bus import NatsBus
from greenroom.chat.account_rates import AccountRates
from greenroom.chat.chat import Chat
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.errors import ThrottlingException
from greenroom.model.quotas import Quotas, RateProfile
from greenroom.model.room import RoomChange
from greenroom.protocol.actions import DeleteMessage, SendMessage
from greenroom.protocol.errors import ActionError
from greenroom.storage.memory.store import MemoryStore
from tests.running.buses import SERVERS, nats_buses, until
from tests.stand_ins.loose_tasks import LooseTasks
from tests.stand_ins.stage import claims_of
from tests.stand_ins.values import NOW, a_room


class Node:
    """A chat on a bus, and what its viewers see."""

    def __init__(self, bus: NatsBus, store: MemoryStore, clock: Clock, **quotas: int) -> None:
        self.bus = bus
        self.rooms = RoomsCache(store.rooms, bus, LooseTasks())
        self.chat = Chat(self.rooms, bus, Quotas(RateProfile.OFF, quotas), clock)
        self.accounts = AccountRates(bus, bus.node, clock)
        self.chat.rates.share(self.accounts)
        self.shown: list[dict[str, Any]] = []
        self.kicked: list[str] = []
        bus.on_arrival(self._receive)

    def _receive(self, arrival: Arrival) -> None:
        for envelope in arrival.envelopes:
            self.shown.append(msgspec.json.decode(envelope.payload))
            if isinstance(envelope, Disconnect):
                self.kicked.append(envelope.user_id)

    async def say(self, arn: str, content: str) -> None:
        """Send a message."""
        sender = claims_of(room_arn=arn)
        waiting = self.chat.send_message(sender, SendMessage(content), lambda: "192.0.2.7")
        if waiting is not None:
            await waiting


class Cluster:
    """Nodes that share a store and a room, which all of them follow."""

    def __init__(self, nodes: list[Node], store: MemoryStore, arn: str) -> None:
        self.nodes, self.store, self.arn = nodes, store, arn

    async def agree(self) -> None:
        """Wait until all were shown the same."""
        event = await self.nodes[0].chat.send_event(self.arn, "end", None)
        await until(lambda: all(each.shown[-1:] == self._end(event) for each in self.nodes))

    def _end(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.nodes[0].shown if each.get("Id") == event]

    async def burst(self, number: int) -> int:
        """Have every node send so many at once; return how many were accepted."""
        burst = [node.say(self.arn, "x") for node in self.nodes for _ in range(number)]
        outcomes = await asyncio.gather(*burst, return_exceptions=True)
        errors = [each for each in outcomes if each is not None]
        assert all(isinstance(each, ThrottlingException) for each in errors), errors
        return len(outcomes) - len(errors)


@pytest.fixture(params=SERVERS)
async def cluster(request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """Give three nodes whose clocks are seconds apart."""
    store = MemoryStore()
    room = await store.rooms.create(a_room(), 0)
    clock = Clock()
    clocks = [Clock(partial(_moved, clock, by), clock.monotonic) for by in (0, 3, -3)]
    async with nats_buses(request, request.param, 3, *clocks) as buses:
        nodes = [
            Node(bus, store, each, send_message_rate=50, delete_message_rate=5)
            for bus, each in zip(buses, clocks, strict=True)
        ]
        for node in nodes:
            await node.bus.start()
            await node.rooms.get(str(room.arn))
            following = node.bus.follow(str(room.arn))
            if following is not None:
                await following
        yield Cluster(nodes, store, str(room.arn))


def _moved(clock: Clock, seconds: int) -> int:
    return clock.wall_ns() + seconds * 10**9


async def test_the_rate_of_a_room(cluster: Cluster) -> None:
    """A burst on all nodes at once gets what one node would give, and refusals count nowhere."""
    begun = asyncio.get_running_loop().time()
    accepted = await cluster.burst(20)
    took = asyncio.get_running_loop().time() - begun
    assert 10 <= accepted <= 10 + 10 * took + 1
    await until(lambda: all(len(node.shown) == accepted for node in cluster.nodes))
    assert [node.shown for node in cluster.nodes] == [cluster.nodes[0].shown] * 3
    assert sum(node.chat.requests["SendMessage"] for node in cluster.nodes) == accepted
    for node in cluster.nodes:
        (account,) = node.chat.rates._accounts._buckets.values()
        assert account.has(0.0, 50 - node.chat.requests["SendMessage"])


async def test_nobody_hears_from_a_user_after_his_kick(cluster: Cluster) -> None:
    """What he had sent, on any node, is before it in the room's order, or nowhere."""
    kicked = claims_of().user_id
    first, *_ = cluster.nodes
    for _ in range(3):
        sent = [node.say(cluster.arn, "x") for node in cluster.nodes for _ in range(2)]
        sent.insert(2, first.chat.disconnect_user(cluster.arn, kicked, None))
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        refused = [each for each in outcomes if each is not None]
        assert all(isinstance(each, ActionError | ThrottlingException) for each in refused), refused
        await until(lambda: all(node.kicked for node in cluster.nodes))
        await cluster.agree()
        names = [each.get("EventName", each["Type"]) for each in first.shown]
        assert "MESSAGE" not in names[names.index("aws:DISCONNECT_USER") :], names
        for node in cluster.nodes:
            node.shown.clear()
            node.kicked.clear()
        await asyncio.sleep(0.3)


async def test_the_rate_of_an_account(cluster: Cluster) -> None:
    """What was done on one node counts on the others as soon as it was told, and is owed there."""
    first, *others = cluster.nodes
    for number in range(5):
        await first.chat.delete_message(cluster.arn, f"{number}" * 12, None)
    key = (DeleteMessage.quota, *_owner(cluster.arn))
    assert not any(node.chat.rates._accounts.get(key) for node in others)
    first.accounts.tick()
    await until(lambda: all(node.chat.rates._accounts.get(key) for node in others))
    now = asyncio.get_running_loop().time()
    for node in others:
        bucket = node.chat.rates._accounts.get(key)
        assert bucket is not None
        assert not bucket.has(bucket._last)
        assert bucket.has(now + 2)


def _owner(arn: str) -> tuple[str, str]:
    room = Arn.parse(arn)
    return room.account, room.region


async def test_send_times(cluster: Cluster) -> None:
    """They rise in the room's order, though the clocks are seconds apart."""
    for number in range(9):
        await cluster.nodes[number % 3].say(cluster.arn, f"{number}")
    await until(lambda: all(len(node.shown) == 9 for node in cluster.nodes))
    shown = cluster.nodes[0].shown
    assert [each["Content"] for each in shown] == [f"{number}" for number in range(9)]
    times = [each["SendTime"].rstrip("Z").partition(".") for each in shown]
    padded = [(second, fraction.ljust(9, "0")) for second, _, fraction in times]
    assert padded == sorted(set(padded))


async def test_what_a_moderator_does(cluster: Cluster) -> None:
    """An event reaches the viewers of every node; who is to go goes everywhere."""
    first, *_ = cluster.nodes
    await first.chat.delete_message(cluster.arn, "m" * 12, "spam")
    await first.chat.disconnect_user(cluster.arn, "bob", None)
    await first.chat.send_event(cluster.arn, "app:poll", {"a": "b"})
    await until(lambda: all(len(node.shown) == 3 for node in cluster.nodes))
    for node in cluster.nodes:
        names = [each["EventName"] for each in node.shown]
        assert names == ["aws:DELETE_MESSAGE", "aws:DISCONNECT_USER", "app:poll"]
        assert node.kicked == ["bob"]


async def test_a_changed_limit(cluster: Cluster) -> None:
    """It holds on every node as soon as the change is heard of."""
    first, second, _ = cluster.nodes
    arn = (await first.rooms.get(cluster.arn)).arn
    await cluster.store.rooms.update(arn, RoomChange(maximum_message_rate_per_second=1), NOW)
    first.bus.broadcast(RoomChanged(cluster.arn))
    await until(lambda: not second.rooms._rooms)
    for node in cluster.nodes:
        assert (await node.rooms.get(cluster.arn)).maximum_message_rate_per_second == 1
    accepted = await cluster.burst(5)
    assert 1 <= accepted <= 3
