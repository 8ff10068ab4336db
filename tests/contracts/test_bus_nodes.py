"""What a bus guarantees between several nodes, on every kind of servers.

Covers: greenroom.bus.nats.bus, greenroom.bus.nats.lines, greenroom.bus.nats.line,
greenroom.bus.nats.news, greenroom.bus.nats.stored, greenroom.bus.nats.connection,
greenroom.bus.nats.catching_up, greenroom.bus.figures, greenroom.bus.receivers
"""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest

from greenroom.bus.base import (
    Arrival,
    Before,
    ControlEnvelope,
    Deliver,
    IdentitiesChanged,
    JournalGrew,
    Position,
    RoomChanged,
    RoomEnvelope,
)
from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.subjects import stream_of
from greenroom.chat.rates import Rates
from greenroom.clock import Clock
from greenroom.model.errors import ThrottlingException
from greenroom.model.quotas import Quotas, RateProfile
from tests.running.buses import SERVERS, nats_buses, until
from tests.stand_ins.values import a_room

DEFAULT_RATE = 10

ROOMS = [f"room{number}" for number in range(3)]


@pytest.fixture(params=SERVERS)
def kind(request: pytest.FixtureRequest) -> str:
    """Give each kind of servers."""
    return str(request.param)


@pytest.fixture
async def buses(request: pytest.FixtureRequest, kind: str) -> AsyncIterator[list[NatsBus]]:
    """Give three nodes, started."""
    async with nats_buses(request, kind, 3) as opened:
        for bus in opened:
            await bus.start()
        yield opened


class Viewer:
    """What one node is shown of rooms."""

    def __init__(self, bus: NatsBus) -> None:
        self.bus = bus
        self.shown: dict[str, list[tuple[Position, RoomEnvelope]]] = {}
        bus.on_arrival(self._receive)

    async def follow(self, rooms: Sequence[str]) -> "Viewer":
        """Follow rooms."""
        for room in rooms:
            following = self.bus.follow(room)
            if following is not None:
                await following
        return self

    def payloads(self, room: str) -> list[bytes]:
        """Return the payloads that a room showed."""
        return [envelope.payload for _, envelope in self.shown.get(room, [])]

    def _receive(self, arrival: Arrival) -> None:
        shown = self.shown.setdefault(arrival.room, [])
        shown += [(arrival.position, envelope) for envelope in arrival.envelopes]


def message(payload: bytes, before: Before) -> RoomEnvelope:
    """Grant a message behind all others."""
    return Deliver(payload, "SendMessage", time_ns=max(time.time_ns(), before.time_ns + 1))


async def say(bus: NatsBus, room: str, payload: bytes) -> Position:
    """Publish a message."""
    return await bus.publish(room, partial(message, payload))


async def test_one_order_everywhere(buses: list[NatsBus]) -> None:
    """Racing nodes see one list of each room: whole, each message once, times and places rising."""
    viewers = [await Viewer(bus).follow(ROOMS) for bus in buses]
    draw = random.Random(7)
    sent: dict[str, set[bytes]] = {room: set() for room in ROOMS}

    async def speak(number: int, bus: NatsBus) -> None:
        for count in range(60):
            room = draw.choice(ROOMS)
            payload = b"%d-%d" % (number, count)
            sent[room].add(payload)
            if count % 3:
                await say(bus, room, payload)
            else:
                waiting.append(asyncio.ensure_future(say(bus, room, payload)))

    waiting: list[asyncio.Future[Position]] = []
    await asyncio.gather(*(speak(*each) for each in enumerate(buses)))
    await asyncio.gather(*waiting)
    for room in ROOMS:
        await until(partial(_all_have, viewers, room, len(sent[room])))
        first, *others = (viewer.shown[room] for viewer in viewers)
        assert all(other == first for other in others)
        assert {envelope.payload for _, envelope in first} == sent[room]
        times = [envelope.time_ns for _, envelope in first]
        assert times == sorted(set(times))
        places = [place for place, _ in first]
        assert places == sorted(places)
    assert sum(bus.figures.conflicts for bus in buses) > 0


def _all_have(viewers: list[Viewer], room: str, number: int) -> bool:
    return all(len(viewer.payloads(room)) == number for viewer in viewers)


async def test_who_comes_later_sees_what_comes_later(buses: list[NatsBus]) -> None:
    """All that is published from then on, and nothing of before."""
    first, second, third = buses
    await say(first, "room", b"before")
    viewer = await Viewer(second).follow(["room"])
    for number in range(20):
        await say((first, third)[number % 2], "room", b"%d" % number)
    await until(lambda: len(viewer.payloads("room")) >= 20)
    assert viewer.payloads("room") == [b"%d" % number for number in range(20)]
    second.unfollow("room")
    await say(second, "room", b"unseen")
    await viewer.follow(["room"])
    await say(first, "room", b"seen")
    await until(lambda: viewer.payloads("room")[-1] == b"seen")
    assert len(viewer.payloads("room")) == 21


async def test_rates_are_exact_over_eight_nodes(request: pytest.FixtureRequest, kind: str) -> None:
    """In any second no more than the bucket allows, however many nodes burst at once."""
    room, rate = a_room(), DEFAULT_RATE
    async with nats_buses(request, kind, 8) as buses:
        refused = itertools.count()

        def grant(rates: Rates, before: Before) -> RoomEnvelope:
            counted = rates.check_message(room, "room", before.undebited, time.monotonic())
            return Deliver(b"x", "SendMessage", time_ns=before.time_ns + 1, rate=counted)

        async def speak(bus: NatsBus, rates: Rates) -> None:
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                burst = [bus.publish("room", partial(grant, rates)) for _ in range(10)]
                for each in await asyncio.gather(*burst, return_exceptions=True):
                    if isinstance(each, ThrottlingException):
                        next(refused)
                    elif isinstance(each, BaseException):
                        raise each
                await asyncio.sleep(0.01)

        speakers = []
        for bus in buses:
            await bus.start()
            rates = Rates(Quotas(RateProfile.OFF, {}), Clock())
            bus.on_debit(rates.debit)
            speakers.append(speak(bus, rates))
        await asyncio.gather(*speakers)
        assert next(refused) > 100
        # By the servers' clock: no busy machine moves these times together.
        stored = await buses[0].streams.read(stream_of("room"), 0)
        seen = [each.stamp_ns / 1e9 for each in stored for _ in each.envelopes]
        assert len(seen) > rate
        worst = max(sum(1 for at in seen if start <= at < start + 1) for start in seen)
        assert rate <= worst <= 2 * rate
        for first, start in enumerate(seen):
            for last in range(first, len(seen)):
                assert last - first + 1 <= rate + rate * (seen[last] - start) + 1e-6


async def test_who_comes_in_the_middle_of_a_burst_counts_it(buses: list[NatsBus]) -> None:
    """A node that is new to a room counts what was sent in the last second."""
    told: list[tuple[int, bool]] = []
    first, second, _ = buses

    def grant(before: Before) -> RoomEnvelope:
        return Deliver(b"x", "SendMessage", time_ns=before.time_ns + 1, rate=9)

    for _ in range(5):
        await first.publish("room", grant)
    second.on_debit(lambda _room, rate, ago: told.append((rate, 0 <= ago < 1)))
    await Viewer(second).follow(["room"])
    assert told == [(9, True)] * 5


async def test_clocks_that_differ(request: pytest.FixtureRequest, kind: str) -> None:
    """Send times rise over nodes whose clocks are seconds apart, and nothing is void for that."""
    ahead, behind = 4 * 10**9, -4 * 10**9
    clocks = [Clock(partial(_moved, by), time.monotonic) for by in (0, ahead, behind)]
    async with nats_buses(request, kind, 3, *clocks) as buses:
        viewer = await Viewer(buses[0]).follow(["room"])
        for bus in buses:
            await bus.start()

        def grant(clock: Clock, before: Before) -> RoomEnvelope:
            time_ns = max(clock.wall_ns(), before.time_ns + 1)
            return Deliver(b"x", "SendMessage", time_ns=time_ns)

        for number in range(30):
            clock = clocks[number % 3]
            await buses[number % 3].publish("room", partial(grant, clock))
        await until(lambda: len(viewer.payloads("room")) == 30)
        times = [envelope.time_ns for _, envelope in viewer.shown["room"]]
        assert times == sorted(set(times))
        assert sum(bus.figures.void for bus in buses) == 0


def _moved(by: int) -> int:
    return time.time_ns() + by


async def test_refusals_publish_nothing(buses: list[NatsBus]) -> None:
    """Of a burst that is refused in part, the others alone are published, in their order."""
    viewer = await Viewer(buses[1]).follow(["room"])

    def grant(number: int, before: Before) -> RoomEnvelope:
        if number % 3 == 0:
            raise PermissionError
        return message(b"%d" % number, before)

    burst = [buses[0].publish("room", partial(grant, number)) for number in range(30)]
    outcomes = await asyncio.gather(*burst, return_exceptions=True)
    refused = [number for number, each in enumerate(outcomes) if isinstance(each, PermissionError)]
    assert refused == list(range(0, 30, 3))
    await until(lambda: len(viewer.payloads("room")) == 20)
    assert viewer.payloads("room") == [b"%d" % number for number in range(30) if number % 3]


async def test_who_no_longer_waits(buses: list[NatsBus]) -> None:
    """A cancelled publication leaves the others alone; it is there once, or not."""
    viewer = await Viewer(buses[1]).follow(["room"])
    burst = [asyncio.ensure_future(say(buses[0], "room", b"%d" % each)) for each in range(20)]
    await asyncio.sleep(0)
    for number in range(0, 20, 2):
        burst[number].cancel()
    await asyncio.gather(*burst, return_exceptions=True)
    await say(buses[0], "room", b"last")
    await until(lambda: b"last" in viewer.payloads("room"))
    shown = viewer.payloads("room")
    assert len(shown) == len(set(shown))
    assert {b"%d" % number for number in range(1, 20, 2)} <= set(shown)


async def test_news_reach_every_node(buses: list[NatsBus]) -> None:
    """Each node hears each once; the sender at once, and each sender's in its order."""
    heard: list[list[ControlEnvelope]] = [[] for _ in buses]
    for bus, here in zip(buses, heard, strict=True):
        for kind in (RoomChanged, IdentitiesChanged, JournalGrew):
            bus.on(kind, here.append)
    sent: list[list[ControlEnvelope]] = [
        [RoomChanged(f"{number}"), IdentitiesChanged(f"{number}"), JournalGrew((f"{number}",))] * 5
        for number in range(3)
    ]
    for bus, news in zip(buses, sent, strict=True):
        for envelope in news:
            bus.broadcast(envelope)
    assert [here == there for here, there in zip(heard, sent, strict=True)] == [True] * 3
    await until(lambda: all(len(here) == 45 for here in heard))
    for here in heard:
        for news in sent:
            assert [each for each in here if each in news] == news


async def test_announcements(buses: list[NatsBus]) -> None:
    """They reach the others, of which none can spoil anything."""
    heard: list[bytes] = []
    buses[1].on_announcement(heard.append)
    for number in range(5):
        buses[0].announce(b"%d" % number)
    await until(lambda: len(heard) == 5)
    assert heard == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_new_connection_forgets_before_it_serves(buses: list[NatsBus]) -> None:
    """Caches are forgotten first; then what was missed of rooms is shown, once."""
    first, second, _ = buses
    viewer, order = await Viewer(second).follow(["room"]), list[str]()
    second.on_reset(lambda: order.append("reset"))
    second.on_arrival(lambda _: order.append("shown"))
    await say(first, "room", b"1")
    await until(lambda: order == ["shown"])
    ending = asyncio.ensure_future(second.end_connection())
    for number in range(2, 30):
        await say(first, "room", b"%d" % number)
    await ending
    await until(lambda: len(viewer.payloads("room")) == 29)
    assert viewer.payloads("room") == [b"%d" % number for number in range(1, 30)]
    assert "reset" in order
    assert second.figures.reconnects == 1
    await say(second, "room", b"mine")


async def test_what_is_published_without_a_connection_waits_for_it(buses: list[NatsBus]) -> None:
    """It is published once when there is one again; so is what a new viewer then misses."""
    first, second, third = buses
    viewer = await Viewer(third).follow(["room"])
    closing = asyncio.ensure_future(second.end_connection())
    await until(lambda: not second.figures.connected, pause=0)
    late = Viewer(second)
    following = second.follow("other")
    waiting = [asyncio.ensure_future(say(second, "room", b"%d" % each)) for each in range(5)]
    await say(first, "other", b"meanwhile")
    await closing
    await asyncio.gather(*waiting)
    if following is not None:
        await following
    await until(lambda: len(viewer.payloads("room")) == 5)
    assert viewer.payloads("room") == [b"%d" % number for number in range(5)]
    await until(lambda: late.payloads("other") == [b"meanwhile"])


async def test_a_peer_that_has_seen_more(buses: list[NatsBus]) -> None:
    """A node that is told so reads the room again."""
    first, second, _ = buses
    await Viewer(second).follow(["room"])
    position = await say(first, "room", b"1")
    await until(lambda: second.positions() == {"room": position})
    second.seen_elsewhere("room", position)
    second.seen_elsewhere("nowhere", 5)
    assert second.figures.repairs["behind"] == 0
    second.seen_elsewhere("room", position + 1)
    assert second.figures.repairs["behind"] == 1
    await say(second, "room", b"2")


async def test_streams_are_read(buses: list[NatsBus]) -> None:
    """What is stored is what was published, in the order of the stream."""
    streams = buses[0].streams
    for number in range(10):
        await say(buses[number % 3], ROOMS[number % 3], b"%d" % number)
    found = [
        (stored.room, envelope.payload)
        for stream in range(streams.count)
        for stored in await streams.read(stream, 0)
        for envelope in stored.envelopes
    ]
    assert sorted(found) == sorted((ROOMS[number % 3], b"%d" % number) for number in range(10))
    for stream in range(streams.count):
        state = await streams.state(stream)
        stored = await streams.read(stream, state.first)
        assert len(stored) == state.last - state.first + 1
        if stored:
            assert await streams.read_after(stream, stored[0].stamp_ns) == stored[1:]
            assert await streams.read(stream, state.last + 1) == []
