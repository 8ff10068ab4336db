"""What every adapter of the bus guarantees, of both ports.

Covers: greenroom.bus.base
"""

import contextlib
from collections.abc import Awaitable, Sequence
from functools import partial

import pytest

from greenroom.bus.base import (
    AccountSuspended,
    Arrival,
    Audience,
    Before,
    Bus,
    BusUnavailable,
    ControlEnvelope,
    Deliver,
    Disconnect,
    Grant,
    IdentitiesChanged,
    Position,
    RoomChanged,
    RoomDeleted,
    RoomEnvelope,
    TokenKeysChanged,
)

FRAMES: list[RoomEnvelope] = [
    Deliver(b"{}", "SendMessage"),
    Disconnect(b"{}", "user", "why"),
    *(Deliver(b"[]", "SendEvent", audience, "user") for audience in Audience),
]
NEWS: list[ControlEnvelope] = [
    RoomChanged("room"),
    RoomDeleted("room"),
    TokenKeysChanged("key"),
    IdentitiesChanged("account"),
    AccountSuspended("account", True),
]


class Follower:
    """What arrived in the rooms that a node follows."""

    def __init__(self, bus: Bus, *rooms: str) -> None:
        self.arrivals: list[Arrival] = []
        bus.on_arrival(self.arrivals.append)
        self._bus, self._rooms = bus, rooms

    async def begin(self) -> "Follower":
        """Follow the rooms."""
        for room in self._rooms:
            await follow(self._bus, room)
        return self

    def shown(self, room: str) -> list[RoomEnvelope]:
        """Return what arrived in a room."""
        here = [arrival for arrival in self.arrivals if arrival.room == room]
        return [envelope for arrival in here for envelope in arrival.envelopes]

    def positions(self, room: str) -> list[Position]:
        """Return where it stands, one for each arrival."""
        return [arrival.position for arrival in self.arrivals if arrival.room == room]


async def follow(bus: Bus, room: str) -> None:
    """Follow a room, and wait until that is so."""
    following = bus.follow(room)
    if following is not None:
        await following


async def asked(bus: Bus, room: str, grant: Grant) -> Position:
    """Publish what a grant says; return where it stands, whichever way the adapter tells it."""
    published = bus.publish(room, grant)
    return published if isinstance(published, int) else await published


async def publish(bus: Bus, room: str, envelopes: Sequence[RoomEnvelope]) -> list[Position]:
    """Publish one after another; return where they stand."""
    return [await asked(bus, room, partial(_granted, envelope)) for envelope in envelopes]


def _granted(envelope: RoomEnvelope, _: Before) -> RoomEnvelope:
    return envelope


async def test_the_publisher_receives(bus: Bus) -> None:
    """Every kind of envelope arrives as it was published, at its own publisher too."""
    follower = await Follower(bus, "room").begin()
    await bus.start()
    await publish(bus, "room", FRAMES)
    assert follower.shown("room") == FRAMES


async def test_order(bus: Bus) -> None:
    """What is published in a room arrives in that order, and its positions rise."""
    follower = await Follower(bus, "room", "other").begin()
    await bus.start()
    sent = [Deliver(b"%d" % number, "SendEvent") for number in range(1000)]
    positions = []
    for envelope in sent:
        positions += await publish(bus, "room", [envelope])
        await publish(bus, "other", [envelope])
    assert follower.shown("room") == follower.shown("other") == sent
    assert positions == sorted(set(positions))
    arrived = follower.positions("room")
    assert arrived == sorted(set(arrived))
    assert arrived[-1] == positions[-1]


async def test_rooms_that_are_not_followed(bus: Bus) -> None:
    """Nothing of them arrives, before following and after; what lies between arrives whole."""
    follower = await Follower(bus, "other").begin()
    await bus.start()
    await publish(bus, "room", FRAMES[:1])
    await follow(bus, "room")
    await publish(bus, "room", FRAMES[1:2])
    bus.unfollow("room")
    await publish(bus, "room", FRAMES[2:])
    assert follower.shown("room") == FRAMES[1:2]
    bus.unfollow("never followed")
    await follow(bus, "room")
    await publish(bus, "room", FRAMES[2:])
    assert follower.shown("room") == FRAMES[1:]


async def test_a_refusal_reaches_the_publisher(bus: Bus) -> None:
    """What the grant raises is the publisher's, and nobody sees anything of it."""
    follower = await Follower(bus, "room").begin()
    await bus.start()

    def refuse(_: Before) -> RoomEnvelope:
        raise PermissionError

    with pytest.raises(PermissionError):
        await asked(bus, "room", refuse)
    (position,) = await publish(bus, "room", FRAMES[:1])
    assert follower.shown("room") == FRAMES[:1]
    assert follower.positions("room") == [position]


async def test_the_grant_knows_what_came_before(bus: Bus) -> None:
    """It is asked when everything earlier in the room has arrived here."""
    follower = await Follower(bus, "room").begin()
    await bus.start()
    known: list[int] = []

    def grant(_: Before) -> RoomEnvelope:
        known.append(len(follower.shown("room")))
        return FRAMES[0]

    for number in range(5):
        await asked(bus, "room", grant)
        assert known[-1] == number


async def test_publishing_from_a_receiver(bus: Bus) -> None:
    """A receiver may publish: what it sends arrives after what it was given."""
    follower, published = await Follower(bus, "room").begin(), list[Awaitable[Position]]()

    def receive(arrival: Arrival) -> None:
        if arrival.envelopes[-1] == FRAMES[0]:
            outcome = bus.publish("room", lambda _: FRAMES[1])
            if not isinstance(outcome, int):
                published.append(outcome)

    bus.on_arrival(receive)
    await bus.start()
    await publish(bus, "room", FRAMES[:1])
    for outcome in published:
        await outcome
    assert follower.shown("room") == FRAMES[:2]


async def test_news_reach_those_who_asked_for_their_type(bus: Bus) -> None:
    """Each as it was sent, and nobody else."""
    heard: list[ControlEnvelope] = []
    for kind in (RoomChanged, RoomDeleted, TokenKeysChanged, IdentitiesChanged, AccountSuspended):
        bus.on(kind, heard.append)
    changes: list[RoomChanged] = []
    bus.on(RoomChanged, changes.append)
    await bus.start()
    for envelope in NEWS:
        bus.broadcast(envelope)
    assert heard == NEWS
    assert changes == [RoomChanged("room")]


async def test_news_are_heard_in_turn(bus: Bus) -> None:
    """Receivers of one type hear it in the order in which they subscribed."""
    heard: list[str] = []
    for name in ("first", "second", "third"):
        bus.on(RoomChanged, partial(_hear, heard, name))
    await bus.start()
    bus.broadcast(RoomChanged("room"))
    assert heard == ["first", "second", "third"]


def _hear(heard: list[str], name: str, _: RoomChanged) -> None:
    heard.append(name)


async def test_nothing_is_told_before_the_start_and_after_the_end(bus: Bus) -> None:
    """Telling raises nothing then; a bus that ended may say that it does not publish."""
    follower, heard = await Follower(bus, "room").begin(), list[ControlEnvelope]()
    bus.on(RoomChanged, heard.append)
    bus.on_reset(lambda: None)
    await publish(bus, "room", FRAMES)
    bus.broadcast(RoomChanged("room"))
    await bus.start()
    await bus.close()
    with contextlib.suppress(BusUnavailable):
        await publish(bus, "room", FRAMES)
    assert bus.follow("room") is None
    bus.unfollow("room")
    bus.broadcast(RoomChanged("room"))
    await bus.close()
    assert (follower.arrivals, heard) == ([], [])


async def test_nothing_is_told_to_who_is_about_to_end(bus: Bus) -> None:
    """What is published meanwhile is there all the same."""
    follower, heard = await Follower(bus, "room").begin(), list[ControlEnvelope]()
    resets: list[None] = []
    bus.on(RoomChanged, heard.append)
    bus.on_reset(lambda: resets.append(None))
    await bus.start()
    bus.stop()
    resets.clear()
    position = await publish(bus, "room", FRAMES)
    bus.broadcast(RoomChanged("room"))
    assert await publish(bus, "room", FRAMES) > position
    assert (follower.arrivals, heard, resets) == ([], [], [])


async def test_what_counts_is_debited_first(bus: Bus) -> None:
    """Each is told once, with its rate, before it is shown and before the next is granted."""
    told: list[str] = []
    bus.on_debit(lambda room, rate, ago: told.append(f"{room} {rate} {ago >= 0}"))
    bus.on_arrival(lambda arrival: told.append(f"shown {arrival.room}"))
    await follow(bus, "room")
    await bus.start()

    def grant(before: Before) -> RoomEnvelope:
        told.append(f"asked {before.undebited}")
        return Deliver(b"{}", "SendMessage", rate=7)

    for _ in range(2):
        await asked(bus, "room", grant)
    assert told == ["asked 0", "room 7 True", "shown room"] * 2
    await publish(bus, "room", FRAMES)
    assert told[6:] == ["shown room"] * len(FRAMES)
    await asked(bus, "nobody's", grant)
    assert told[-2:] == ["asked 0", "nobody's 7 True"]


async def test_a_grant_is_told_the_last_send_time(bus: Bus) -> None:
    """Of all that has its place before it, whoever follows."""
    await bus.start()
    times: list[int] = []

    def grant(before: Before) -> RoomEnvelope:
        times.append(before.time_ns)
        return Deliver(b"{}", "SendMessage", time_ns=before.time_ns + 5)

    for _ in range(3):
        await asked(bus, "room", grant)
    assert times == [0, 5, 10]


async def test_everything_is_settled_in_the_end(bus: Bus) -> None:
    """What was published has its outcome when `settled` says so."""
    await bus.start()
    outcomes = [bus.publish("room", lambda _: FRAMES[0]) for _ in range(5)]
    settled = bus.settled()
    if settled is not None:
        await settled
    assert all(isinstance(each, int) or each.done() for each in outcomes)  # type: ignore[attr-defined]
    assert bus.settled() is None
