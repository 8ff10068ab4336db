"""Where users stand whose connections broke is known on every node, and used once."""

import asyncio

import pytest

from greenroom.bus.base import About
from greenroom.messaging import shared_places
from greenroom.messaging.resumes import Place, Resumes
from greenroom.messaging.shared_places import SharedPlaces
from tests.messaging.test_resumes import least
from tests.stand_ins.hand_clock import HandClock


class Air:
    """Carries what nodes announce to all of them, at once."""

    def __init__(self) -> None:
        self.nodes: list[SharedPlaces] = []
        self.sent: list[bytes] = []

    def announce(self, payload: bytes, about: About = About.PRESENCE) -> None:
        assert about is About.PLACES
        self.sent.append(payload)
        for each in self.nodes:
            each.receive(payload)

    def on_announcement(self, receiver: object, about: About = About.PRESENCE) -> None:
        assert about is About.PLACES

    def node(self, time: HandClock) -> tuple[SharedPlaces, Resumes]:
        """Return a new node, and the places that it knows."""
        places = Resumes(time.clock, least)
        shared = SharedPlaces(self, f"n{len(self.nodes)}", places)
        self.nodes.append(shared)
        return shared, places


async def test_a_user_comes_back_to_another_node() -> None:
    """Once, on whichever, from where he stood; his time runs there, too."""
    time, air = HandClock(), Air()
    (_, one), (_, two), (_, three) = (air.node(time) for _ in range(3))
    one.leave("room", "bob", Place("here", 60))
    assert two.take("room", "bob") == ""
    await asyncio.sleep(0)
    assert two.take("room", "bob") == "here"
    await asyncio.sleep(0)
    assert [each.take("room", "bob") for each in (one, two, three)] == [""] * 3
    one.leave("room", "bob", Place("here", 60))
    await asyncio.sleep(0)
    time.advance(61)
    assert three.take("room", "bob") == ""


@pytest.mark.parametrize("order", [("1 older", "2 newer"), ("2 newer", "1 older")])
async def test_two_devices_of_two_nodes(order: tuple[str, str]) -> None:
    """Wherever both come back to, each goes on from the older place, once."""
    time, air = HandClock(), Air()
    nodes = [air.node(time)[1] for _ in range(3)]
    for back in nodes:
        nodes[0].leave("room", "bob", Place(order[0], 60))
        nodes[1].leave("room", "bob", Place(order[1], 60))
        await asyncio.sleep(0)
        assert [back.take("room", "bob") for _ in range(3)] == ["1 older", "1 older", ""]
        await asyncio.sleep(0)
        assert [each.take("room", "bob") for each in nodes] == [""] * 3


async def test_nothing_is_told_of_who_stood_nowhere() -> None:
    """The other nodes would take it for somebody who came back."""
    time, air = HandClock(), Air()
    (_, one), (_, two) = (air.node(time) for _ in range(2))
    one.leave("room", "bob", Place("here", 60))
    one.leave("room", "bob", Place("", 60))
    await asyncio.sleep(0)
    assert two.take("room", "bob") == "here"


async def test_who_stood_before_everything() -> None:
    """He does so on all nodes, though each has its own word for it; nothing else is told."""
    time, air = HandClock(), Air()
    (_, one), (_, two) = (air.node(time) for _ in range(2))
    one.take("room", "eve")
    await asyncio.sleep(0)
    assert air.sent == []
    one.leave("room", "bob", Place("-7", 60))
    await asyncio.sleep(0)
    assert (one.take("room", "bob"), two.take("room", "bob")) == ("-7", "-")


async def test_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """They travel together, so many in each announcement."""
    monkeypatch.setattr(shared_places, "AT_ONCE", 2)
    time, air = HandClock(), Air()
    (_, one), (_, two) = (air.node(time) for _ in range(2))
    for number in range(5):
        one.leave("room", f"user{number}", Place("here", 60))
    await asyncio.sleep(0)
    assert len(air.sent) == 3
    assert [two.take("room", f"user{number}") for number in range(5)] == ["here"] * 5


async def test_what_strangers_say() -> None:
    """It is passed over: no places come of it. The longest time is none too long."""
    time, air = HandClock(), Air()
    shared, places = air.node(time)
    shared.receive(b"\xff")
    assert shared.unreadable == 1
    for seconds in (-1, shared_places.LONGEST + 1):
        told = shared_places.Told("other", [shared_places.Change("room", "bob", "x", seconds)])
        shared.receive(shared_places._encode(told))
    assert places.take("room", "bob") == ""
    told = shared_places.Told("other", [shared_places.Change("room", "bob", "x", 3_600)])
    shared.receive(shared_places._encode(told))
    assert places.take("room", "bob") == "x"
