"""What nodes tell of themselves, and what each knows of the others' versions."""

import asyncio
import os
import socket
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from unittest import mock

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom import __version__
from greenroom.bus.base import About
from greenroom.chatlog.measures import Depth
from greenroom.model.arn import Arn
from greenroom.server import node_states
from greenroom.server.node_states import (
    ANSWER_SECONDS,
    MOST_DELIVERIES,
    SILENT_SECONDS,
    Delivering,
    NodeState,
    NodeStates,
    decode,
    encode,
    name_of_process,
    of_this_process,
    reader,
)
from tests.stand_ins.hand_clock import HandClock


class Peers:
    """A double of the bus: what was announced, and who hears it."""

    def __init__(self) -> None:
        self.told: list[NodeState] = []
        self.asked: list[bytes] = []
        self.receivers: dict[About, list[Callable[[bytes], None]]] = defaultdict(list)

    def announce(self, payload: bytes, about: About = About.PRESENCE) -> None:
        if about is About.ASKED:
            self.asked.append(payload)
            return
        assert about is About.STATE
        self.told.append(decode(payload))

    def on_announcement(
        self, receiver: Callable[[bytes], None], about: About = About.PRESENCE
    ) -> None:
        self.receivers[about].append(receiver)

    def hear(self, about: About, payload: bytes) -> None:
        """Have the node hear something."""
        for receiver in self.receivers[about]:
            receiver(payload)


async def test_what_a_node_tells() -> None:
    """Unasked without a look at its health; asked with it, and with the question."""
    peers, clock = Peers(), HandClock()
    async with asyncio.TaskGroup() as tasks:
        states = NodeStates(peers, clock.clock, tasks, lambda: NodeState(node="me", connections=3))
        states.failing = mock.AsyncMock(return_value=["store"])
        states.tick()
        peers.hear(About.ASKED, b"question")
        # One answer at a time: whoever asks very often gets no more.
        peers.hear(About.ASKED, b"another")
    assert peers.told == [
        NodeState(node="me", connections=3),
        NodeState(node="me", connections=3, failing=["store"], answers="question"),
    ]


async def test_a_health_that_cannot_be_looked_at() -> None:
    """It is told, and ends nothing; before there is a health nothing fails."""
    peers, clock = Peers(), HandClock()
    async with asyncio.TaskGroup() as tasks:
        states = NodeStates(peers, clock.clock, tasks, lambda: NodeState(node="me"))
        peers.hear(About.ASKED, b"one")
        await asyncio.sleep(0)
        states.failing = mock.AsyncMock(side_effect=ValueError)
        with capture_logs() as logs:
            peers.hear(About.ASKED, b"two")
            await asyncio.sleep(0)
    assert [(each.answers, list(each.failing)) for each in peers.told] == [("one", []), ("two", [])]
    assert [line["event"] for line in logs] == ["a health could not be looked at"]


def test_versions() -> None:
    """Of those that are there: who is silent for long is forgotten; what is none is passed over."""
    peers, clock = Peers(), HandClock()
    tasks: Any = mock.Mock()
    states = NodeStates(peers, clock.clock, tasks, lambda: NodeState(node="me"))
    assert states.versions == 1
    peers.hear(About.STATE, encode(NodeState(node="a", version=__version__)))
    peers.hear(About.STATE, encode(NodeState(node="b", version="9.9.9")))
    peers.hear(About.STATE, b"nothing of the kind")
    peers.hear(About.STATE, encode(NodeState(node="c")).replace(b"c", b"\xff"))
    assert states.versions == 2
    clock.advance(SILENT_SECONDS - 1)
    peers.hear(About.STATE, encode(NodeState(node="a", version=__version__)))
    states.tick()
    assert states.versions == 2
    clock.advance(1)
    states.tick()
    assert states.versions == 1


def test_what_is_read_of_a_node() -> None:
    """Its numbers now, and of its deliveries those that are the latest."""
    clock, arn = HandClock(), "arn:aws:ivschat:us-east-1:123456789012:logging-configuration/c"
    depths = [Depth(Arn.parse(arn), each, 0, float(each), 0) for each in range(30)]
    chat_log: Any = mock.Mock(depths=lambda: depths, lags=lambda: {3: 0.5})
    hub: Any = mock.Mock(connections=7, rooms=2)
    read = reader("node", clock.clock, hub, chat_log, 4)
    began = clock.wall_ns
    clock.advance(5)
    state = read()
    assert (state.started_ns, state.sent_ns) == (began, clock.wall_ns)
    assert (state.connections, state.rooms, state.process, state.lags) == (7, 2, 4, {3: 0.5})
    assert len(state.deliveries) == MOST_DELIVERIES
    assert state.deliveries[0] == Delivering(arn, 29, 29.0)
    assert decode(encode(state)) == state
    assert reader("node", clock.clock, hub, chat_log)().process == 0
    assert (state.node, state.version, state.pid) == ("node", __version__, os.getpid())
    assert state.holds, "others may let messages wait"


def test_what_people_know_a_process_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its machine and its process id; of a machine's name that is too long the beginning."""
    monkeypatch.setattr(socket, "gethostname", lambda: "chat-1")
    assert name_of_process() == f"chat-1 ({os.getpid()})"
    monkeypatch.setattr(socket, "gethostname", lambda: "h" * 300)
    assert of_this_process("node", HandClock().clock, 0).host == "h" * 255


def test_fields_that_a_later_version_adds_are_passed_over() -> None:
    """And those that an earlier one does not know have defaults."""
    payload = msgspec.msgpack.encode({"node": "n", "later": 1})
    assert decode(payload) == NodeState(node="n")


def test_of_how_many_others_something_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of so many; those that are known are heard all the same."""
    monkeypatch.setattr(node_states, "MOST_NODES", 2)
    peers, tasks = Peers(), mock.Mock()
    states = NodeStates(peers, HandClock().clock, tasks, lambda: NodeState(node="me"))
    for node, version in (("a", "1"), ("b", "2"), ("c", "3"), ("a", "4")):
        peers.hear(About.STATE, encode(NodeState(node=node, version=version)))
    assert {node: version for node, (version, _) in states._others.items()} == {"a": "4", "b": "2"}


def test_whether_all_nodes_know_of_messages_that_wait() -> None:
    """Until one of a version that does not is heard; when that is gone they do again."""
    peers, clock, there = Peers(), HandClock(), set[str]()
    states = NodeStates(
        peers, clock.clock, mock.Mock(), lambda: NodeState(node="me"), lambda: there
    )
    peers.hear(About.STATE, encode(NodeState(node="new", holds=True)))
    seen = [states.all_hold]
    peers.hear(About.STATE, encode(NodeState(node="old")))
    seen.append(states.all_hold)
    clock.advance(SILENT_SECONDS)
    states.tick()
    assert [*seen, states.all_hold] == [True, False, True]
    there.add("old")
    assert states.all_hold
    clock.advance(ANSWER_SECONDS)
    assert not states.all_hold, "it may be there again, and nothing is known of it"


def test_who_said_that_he_knows_is_remembered_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nodes come and go: of those that are remembered the first are forgotten, and asked again."""
    monkeypatch.setattr(node_states, "MOST_NODES", 2)
    peers, clock, there = Peers(), HandClock(), set[str]()
    states = NodeStates(
        peers, clock.clock, mock.Mock(), lambda: NodeState(node="me"), lambda: there
    )
    for node in ("a", "b", "c"):
        peers.hear(About.STATE, encode(NodeState(node=node, holds=True)))
        clock.advance(SILENT_SECONDS)
        states.tick()
    seen = []
    for node in ("a", "b", "c"):
        there.clear()
        there.add(node)
        assert states.all_hold
        clock.advance(ANSWER_SECONDS)
        seen.append(states.all_hold)
    assert seen == [False, True, True]


async def test_a_node_of_which_nothing_is_known_may_not_know_of_messages_that_wait() -> None:
    """It is asked, and has time to answer; who has said that he does need not say it again."""
    peers, clock, there = Peers(), HandClock(), set[str]()
    states = NodeStates(
        peers, clock.clock, mock.Mock(), lambda: NodeState(node="me", holds=True), lambda: there
    )

    def all_hold() -> bool:
        return states.all_hold

    states.start()
    assert (len(peers.told), peers.asked) == (1, [b""])
    peers.hear(About.ASKED, b"")
    assert len(peers.told) == 2
    assert all_hold()
    there.add("new")
    clock.advance(1)
    assert all_hold()
    assert all_hold()
    assert peers.asked == [b"", b""]
    clock.advance(ANSWER_SECONDS - 0.5)
    assert all_hold()
    there.add("newer")
    clock.advance(0.5)
    assert not all_hold()
    there.remove("new")
    assert all_hold(), "the other one has time yet"
    clock.advance(ANSWER_SECONDS - 0.1)
    peers.hear(About.STATE, encode(NodeState(node="newer", holds=True)))
    clock.advance(SILENT_SECONDS)
    states.tick()
    assert all_hold()
    there.add("new")
    assert all_hold(), "it was away, and has as much time as any"


async def test_who_comes_has_no_time_beside_a_node_that_does_not_know() -> None:
    """It may be one more of these."""
    peers, clock, there = Peers(), HandClock(), {"old", "new"}
    states = NodeStates(
        peers, clock.clock, mock.Mock(), lambda: NodeState(node="me", holds=True), lambda: there
    )
    peers.hear(About.STATE, encode(NodeState(node="old")))
    assert not states.all_hold


async def test_a_question_is_short() -> None:
    """Of a longer one the beginning comes back; so does what is no text."""
    peers, clock = Peers(), HandClock()
    async with asyncio.TaskGroup() as tasks:
        NodeStates(peers, clock.clock, tasks, lambda: NodeState(node="me"))
        peers.hear(About.ASKED, b"\xff" + b"q" * 100)
    assert [each.answers for each in peers.told] == ["\ufffd" + "q" * 63]
