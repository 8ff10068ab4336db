"""Scheduled announcements over two nodes that die in the middle, against what must hold.

Whenever somebody writes, nodes look, time passes, and nodes end before or behind what they were
about to do: no announcement follows another one without somebody's message between, or sooner than
its rhythm allows; and where nothing goes wrong for a while, each message has one behind it.

Covers: greenroom.chat.schedules, greenroom.model.schedule
"""

import asyncio
from collections.abc import Awaitable
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from greenroom.bus.base import Deliver
from greenroom.chat.outcome import Post
from greenroom.model.schedule import CLAIMED_MS, LATE_MS
from tests.chat.test_schedules import Node, Scene

NODES = st.sampled_from([0, 1])
EVERY = 60


class Death(Exception):
    """The node ends here."""


class TwoTellers(RuleBasedStateMachine):
    """Two nodes and a room that is told something each minute."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.scene = Scene()
        self.run(self.scene.begin(EVERY))

    def teardown(self) -> None:
        self.runner.close()

    def run(self, doing: Awaitable[Any]) -> Any:
        async def whole() -> Any:
            return await doing

        return self.runner.run(whole())

    def replace(self, node: int) -> None:
        """Have another node in the place of one that ended: it knows nothing."""
        self.scene.nodes[node] = Node(self.scene)

    @rule(node=NODES)
    def somebody_writes(self, node: int) -> None:
        self.scene.time.advance(0.2)  # the room takes ten a second
        self.run(self.scene.write(node))

    @rule(node=NODES, seconds=st.sampled_from([0, 1, 2, 5, 30, 90]))
    def a_node_looks(self, node: int, seconds: int) -> None:
        self.scene.time.advance(seconds)
        self.run(self.scene.look(node))

    @rule(seconds=st.sampled_from([1, 5, 60]))
    def both_look(self, seconds: int) -> None:
        self.scene.time.advance(seconds)
        self.run(self.scene.look())

    @rule(node=NODES)
    def a_node_is_stopped(self, node: int) -> None:
        self.run(self.scene.nodes[node].schedules.close())
        self.replace(node)

    @rule(node=NODES)
    def a_node_is_killed(self, node: int) -> None:
        self.replace(node)

    @rule(node=NODES, seconds=st.sampled_from([5, 60]), is_told=st.booleans())
    def a_node_dies_if_it_tells(self, node: int, seconds: int, *, is_told: bool) -> None:
        """Before the message has its place, or when it has."""
        posting = self.scene.nodes[node].posting
        announce = posting.announce

        async def die(*arguments: Any) -> Post:
            if is_told:
                await announce(*arguments)
            raise Death

        posting.announce = die  # type: ignore[method-assign,assignment] # dies
        self.scene.time.advance(seconds)
        try:
            self.run(self.scene.look(node))
            posting.announce = announce  # type: ignore[method-assign] # as it was
        except Death:
            self.replace(node)

    @rule(node=NODES)
    def all_goes_well(self, node: int) -> None:
        """Whoever writes then is followed by one announcement, and by no more."""
        before = len(self.shown())
        self.somebody_writes(node)
        self.run(self.scene.pass_time(CLAIMED_MS / 1000 + 2 * EVERY + 30))
        behind = [is_announcement for is_announcement, _ in self.shown()[before + 1 :]]
        assert behind == [True]

    def shown(self) -> list[tuple[bool, int]]:
        """Return whether each is an announcement, and when it was sent, in milliseconds."""
        return [
            (bool(msgspec.json.decode(each.payload)["Attributes"]), each.time_ns // 1_000_000)
            for each in self.scene.bus.published
            if isinstance(each, Deliver)
        ]

    @invariant()
    def none_follows_another_one(self) -> None:
        """Between two of them is a message, and nearly a minute at least."""
        last: int | None = None
        is_answered = False
        for is_announcement, at in self.shown():
            if not is_announcement:
                is_answered = True
                continue
            assert is_answered
            assert last is None or at - last >= EVERY * 1000 - LATE_MS
            last, is_answered = at, False


TwoTellers.TestCase.settings = settings(
    max_examples=30, stateful_step_count=20, deadline=None, derandomize=True, database=None
)
TestTwoTellers = TwoTellers.TestCase
