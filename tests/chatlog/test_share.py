"""How many leases a node has and gives back, by hand."""

import pytest

from greenroom.chatlog.share import KEPT_SECONDS, STEADY_SECONDS, Share
from tests.stand_ins.hand_clock import HandClock


class Scene:
    """A node among as many as the test says, and its share of ten leases."""

    def __init__(self, nodes: int, held: int) -> None:
        self.nodes, self.time = nodes, HandClock()
        self.share = Share[int](lambda: self.nodes, self.time.clock)
        for number in range(held):
            self.share.take(number)

    def given_back(self, *held: int) -> list[int]:
        """Return which of those are to be given back now."""
        return [each for each in held if self.share.gives_back(each, 10)]

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.time.advance(seconds)


@pytest.mark.parametrize(
    ("nodes", "held", "too_many"),
    [(0, 10, 0), (1, 10, 0), (2, 10, 5), (2, 5, 0), (3, 10, 6), (3, 4, 0), (3, 5, 1), (20, 2, 1)],
)
def test_what_is_too_many(nodes: int, held: int, too_many: int) -> None:
    """More than its part, rounded up; each holder that is asked lets go until it is no more."""
    scene = Scene(nodes, held)
    assert scene.given_back(*range(held)) == []
    scene.later(STEADY_SECONDS)
    assert scene.given_back(*range(held)) == list(range(too_many))
    assert scene.given_back(*range(too_many, held)) == []


def test_not_for_a_moment() -> None:
    """A node that is replaced counts twice for some seconds: nothing is given back for that."""
    scene = Scene(2, 6)
    assert scene.given_back(1) == []
    scene.later(STEADY_SECONDS - 0.1)
    assert scene.given_back(1) == []
    scene.nodes = 1
    assert scene.given_back(1) == []
    scene.nodes = 2
    scene.later(1)
    assert scene.given_back(1) == []
    scene.later(STEADY_SECONDS)
    assert scene.given_back(1) == [1]


def test_when_it_has_its_part() -> None:
    """Then it takes no more; what it lost or gave back it has not."""
    scene = Scene(2, 4)
    assert not scene.share.is_full(10)
    scene.share.take(4)
    assert scene.share.is_full(10)
    assert not scene.share.is_full(11)
    scene.share.leave(4)
    scene.share.leave(4)
    assert not scene.share.is_full(10)
    scene.nodes = 100
    assert scene.share.is_full(10)


def test_what_nobody_else_can_have() -> None:
    """It comes back, and stays for a while."""
    scene = Scene(2, 6)
    scene.given_back(0)
    scene.later(STEADY_SECONDS)
    assert scene.given_back(0) == [0]
    scene.share.leave(0)
    scene.later(KEPT_SECONDS - 1)
    scene.share.take(0)
    assert scene.given_back(0) == []
    scene.later(STEADY_SECONDS)
    assert scene.given_back(0, 1) == [1]
    scene.share.take(6)
    assert scene.given_back(0) == []
    scene.later(KEPT_SECONDS)
    assert scene.given_back(0) == [0]


def test_what_is_over_is_forgotten() -> None:
    """Of what was given back and came again nothing is kept longer than it counts."""
    scene = Scene(2, 6)
    scene.given_back(0)
    scene.later(STEADY_SECONDS)
    assert scene.given_back(0) == [0]
    scene.share.take(0)
    assert scene.share._kept
    scene.later(KEPT_SECONDS)
    scene.share.take(9)
    assert (scene.share._kept, scene.share._given) == ({}, {})
