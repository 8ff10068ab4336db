"""Users of a node that died are known to the others, and go on from about where they stood.

Covers: greenroom.messaging.shared_places
"""

import asyncio
from collections.abc import Callable
from unittest import mock

import pytest

from greenroom.bus.base import About
from greenroom.chat.presence import Presence
from greenroom.messaging import lost_nodes
from greenroom.messaging.lost_nodes import BEFORE_SECONDS, MOST_LOST, LostNodes
from greenroom.messaging.resumes import Resumes
from greenroom.messaging.shared_places import LONGEST, SharedPlaces
from tests.messaging.test_resumes import least
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.values import room_arn

ROOM, OTHER = str(room_arn()), str(room_arn(account="2" * 12))


class Air:
    """Carries what nodes announce to all that live, at once."""

    def __init__(self) -> None:
        self.time = HandClock()
        self.nodes: list[Node] = []
        self.questions = 0

    def node(self) -> "Node":
        """Return a new node, that all know of."""
        self.nodes.append(Node(self))
        self.tick()
        self.tick()
        return self.nodes[-1]

    def tick(self) -> None:
        """Have a second pass, with what is told in it."""
        self.time.advance(1)
        for each in self.nodes:
            each.presence.tick()

    def seconds_before(self, told_ns: int) -> float:
        """Return how long ago a time is."""
        return (self.time.clock.wall_ns() - told_ns) / 1e9


class Node:
    """A node, and the port that it stands on."""

    def __init__(self, air: Air) -> None:
        self.air, self.hears, self.lives = air, True, True
        self.receivers: dict[About, list[Callable[[bytes], None]]] = {each: [] for each in About}
        self.presence = Presence(self, mock.Mock(), air.time.clock, b"k" * 32, mock.Mock())
        shared = SharedPlaces(self, self.presence.node, Resumes(air.time.clock, least))
        self.lost = LostNodes(shared, self.presence, air.time.clock, lambda: self.hears)

    def announce(self, payload: bytes, about: About = About.PRESENCE) -> None:
        if self.lives:
            self.air.questions += about is About.PLACES
            for each in self.air.nodes:
                if each.lives:
                    for receiver in each.receivers[about]:
                        receiver(payload)

    def on_announcement(
        self, receiver: Callable[[bytes], None], about: About = About.PRESENCE
    ) -> None:
        self.receivers[about].append(receiver)

    async def comes(self, user: str = "bob", room: str = ROOM, seconds: float = 60) -> int:
        """Have a user come to this node; return up to when he was shown all."""
        for each in self.lost.look(room, user):
            await each
        return self.lost.take(room, user, seconds)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no answer be waited for for long."""
    monkeypatch.setattr(lost_nodes, "ANSWER_SECONDS", 0.01)


async def three() -> tuple[Air, Node, Node, Node]:
    """Return three nodes; bob is on the first one, twice, and ann."""
    air = Air()
    first, second, third = (air.node() for _ in range(3))
    for user in ("bob", "bob", "ann"):
        first.presence.joined(ROOM, user)
    air.tick()
    return air, first, second, third


async def test_who_was_on_a_node_that_was_killed() -> None:
    """Each of his connections goes on once, from some seconds before the node was heard last."""
    air, first, second, _ = await three()
    air.tick()
    first.lives = False
    air.time.advance(0.5)
    told = await second.comes()
    assert air.seconds_before(told) == pytest.approx(0.5 + BEFORE_SECONDS)
    asked = air.questions
    assert await second.comes() == told
    assert await second.comes() == 0
    assert await second.comes("eve") == 0
    assert await second.comes(room=OTHER) == 0
    assert air.questions == asked, "a node that is lost is not asked again"


async def test_many_who_come_at_once() -> None:
    """The node that they were on is asked once; they need not wait for long."""
    air, first, second, _ = await three()
    first.lives = False
    before = air.questions
    told = await asyncio.gather(second.comes(), second.comes(), second.comes("ann"))
    assert all(told)
    assert air.questions - before == 1


async def test_who_was_on_a_node_that_everybody_knows_is_dead() -> None:
    """He may come minutes later, within the room's time, also to another node than others did."""
    air, first, second, third = await three()
    first.lives = False
    for _ in range(5):
        air.tick()
    assert first.presence.node not in second.presence.other_nodes()
    assert air.seconds_before(await second.comes()) == pytest.approx(5 + BEFORE_SECONDS)
    air.time.advance(55)
    assert air.seconds_before(await third.comes("ann")) == pytest.approx(60 + BEFORE_SECONDS)
    air.time.advance(0.01)
    assert await third.comes() == 0


async def test_a_second_device() -> None:
    """The other node lives: it says so, and he just begins; what is known of him stays."""
    air, first, second, _ = await three()
    assert await second.comes() == 0
    first.lives = False
    assert await second.comes() > 0
    assert air.questions


async def test_a_node_that_was_slow() -> None:
    """It was not lost when it is heard again, by whatever it says."""
    _, first, second, _ = air_and_nodes = await three()
    air = air_and_nodes[0]
    first.lives = False
    assert await second.comes() > 0
    first.lives = True
    air.tick()
    assert await second.comes() == 0
    first.lives = False
    for _ in range(5):
        air.tick()
    told = await second.comes("ann")
    assert air.seconds_before(told) == pytest.approx(5 + BEFORE_SECONDS), "from its last word"
    first.lives = True
    air.tick()
    assert await second.comes("bob") == 0


async def test_a_node_that_was_slow_and_dies() -> None:
    """It is asked again, and who was on it goes on."""
    air, first, second, _ = await three()
    first.lives = False
    assert await second.comes() > 0
    first.lives = True
    air.tick()
    first.lives = False
    assert await second.comes() > 0


async def test_each_goes_on_once_however_it_becomes_known() -> None:
    """That a node does not answer, and later that it is silent, is one loss."""
    air, first, second, _ = await three()
    first.lives = False
    assert await second.comes() > 0
    for _ in range(5):
        air.tick()
    assert await second.comes() > 0
    assert await second.comes() == 0


async def test_a_node_whose_answer_to_another_is_heard() -> None:
    """It lives: from then on nobody is taken for somebody who was cut off with it."""
    _, first, second, third = await three()
    first.lives = False
    assert await second.comes() > 0
    first.lives = True
    assert await third.comes() == 0
    assert await second.comes() == 0


async def test_who_was_on_two_nodes_that_died() -> None:
    """One that died too long ago does not hide the other."""
    air, first, second, third = await three()
    third.presence.joined(ROOM, "bob")
    air.tick()
    first.lives = False
    for _ in range(30):
        air.tick()
    third.lives = False
    for _ in range(5):
        air.tick()
    told = await second.comes(seconds=20)
    assert air.seconds_before(told) == pytest.approx(5 + BEFORE_SECONDS)
    assert await second.comes(seconds=20) == 0


async def test_a_node_that_leaves() -> None:
    """It has told where its connections stood: nothing is guessed."""
    _, first, second, _ = await three()
    first.presence.stop()
    assert await second.comes() == 0


@pytest.mark.parametrize("asks", [True, False])
async def test_a_node_that_hears_nobody(asks: bool) -> None:
    """It takes nobody for lost: it is the one that is cut off."""
    air, first, second, _ = await three()
    first.lives = second.lives = second.hears = False
    if asks:
        assert second.lost.look(ROOM, "bob") == [], "nobody is waited for"
        assert await second.comes() == 0
    for _ in range(5):
        air.tick()
    second.hears = True
    assert await second.comes() == 0


async def test_so_many_are_known() -> None:
    """Nodes beyond the bound, and those of long ago, are forgotten."""
    air = Air()
    second = air.node()
    for number in range(MOST_LOST + 1):
        node = air.node()
        node.presence.joined(ROOM, f"user{number}")
        air.tick()
        node.lives = False
        for _ in range(4):
            air.tick()
    assert await second.comes("user0", seconds=LONGEST) == 0
    assert await second.comes("user1", seconds=LONGEST) > 0
    air.time.advance(LONGEST + 1)
    node = air.node()
    node.presence.joined(ROOM, "last")
    air.tick()
    node.lives = False
    assert await second.comes("last") > 0
    assert len(second.lost._lost) == 1
