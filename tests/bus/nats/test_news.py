"""What nodes tell each other, step by step; and what becomes of it around a node's start.

Covers: greenroom.bus.nats.news
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from greenroom.bus.base import ControlEnvelope, IdentitiesChanged, JournalGrew
from greenroom.bus.figures import Figures
from greenroom.bus.nats import headers, news, subjects
from greenroom.bus.nats.codec import ForgetAll, News, decode_news, encode
from greenroom.bus.nats.connection import NoAnswer
from greenroom.bus.nats.news import ControlNews
from tests.running.buses import buses_at, until

ONE, TWO = IdentitiesChanged("1" * 12), IdentitiesChanged("2" * 12)


class Wire:
    """In place of a connection: keeps what is sent, and answers what the test says."""

    def __init__(self) -> None:
        self.is_up = True
        self.moves = 0
        """How often another server was to be tried."""
        self.meets = 0
        """How often it was asked for something."""
        self.sent: list[News] = []
        self.answers: list[bytes | None] = []
        """To what is sent next; None is no answer. Behind them everything is stored."""
        self.newest: int | None = 0
        """The number of the stream's last message; None where it has no leader."""
        self.listened: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None
        """What happens while the stream is asked for its last message."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def request(self, subject: str, data: bytes, seconds: float) -> tuple[bytes, bytes]:
        """Answer as NATS does."""
        self.meets += 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if subject != subjects.CONTROL:
            self.meanwhile()
            return b"", self._last()
        self.sent.append(decode_news(data))
        answer = self.answers.pop(0) if self.answers else b"{}"
        if answer is None:
            raise NoAnswer("nobody answers")
        return b"", answer

    def _last(self) -> bytes:
        if self.newest is None:
            raise NoAnswer("there is no leader")
        if not self.newest:
            return b'{"error":{"err_code":10037}}'
        kept = {
            "seq": self.newest,
            "time": "",
            "subject": "",
            "data": base64.b64encode(b"").decode(),
        }
        return json.dumps({"message": kept}).encode()

    async def listen(self, subject: str, listener: Callable[[bytes, bytes, bytes], None]) -> None:
        """Note what is listened to."""
        self.listened.append(subject)

    async def move_on(self) -> None:
        """Note that another server is to be tried."""
        self.moves += 1

    def start(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Do it."""
        task = asyncio.get_running_loop().create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Node:
    """One node, that is told what the test says, and what it made of that."""

    def __init__(self, patience: float = 10.0) -> None:
        self.wire = Wire()
        self.figures = Figures()
        self.told: list[ControlEnvelope] = []
        self.resets = 0
        wire: Any = self.wire
        self.news = ControlNews(wire, "here", self.figures, patience)
        self.news.on(IdentitiesChanged, self.told.append)
        self.news.on_reset(self._reset)
        self.news.tell(told=True)
        self.news._known = True

    def _reset(self) -> None:
        self.resets += 1

    def hear(
        self, sequence: int, previous: int, *envelopes: ControlEnvelope, node: str = "there"
    ) -> None:
        """Have the stream tell of what a node has said."""
        self.hear_bytes(sequence, previous, encode(News(node, envelopes)))

    def hear_bytes(self, sequence: int, previous: int, data: bytes) -> None:
        """Have the stream tell of a message."""
        stamp = headers.written(10**18)
        raw = (
            f"NATS/1.0\r\nNats-Sequence: {sequence}\r\nNats-Last-Sequence: {previous}\r\n"
            f"Nats-Time-Stamp: {stamp}\r\n\r\n"
        )
        self.news._heard(b"", raw.encode(), data)

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send for the length of a `with` block."""
        task = asyncio.create_task(self.news.send())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
def node() -> Node:
    """Return a node that has heard nothing."""
    return Node()


def test_news_of_others_are_told_in_their_order(node: Node) -> None:
    """Those of this node were told when it said them."""
    node.hear(1, 0, ONE, TWO)
    node.hear(2, 1, TWO, node="here")
    node.hear(5, 2, ONE)
    assert (node.told, node.resets) == ([ONE, TWO, ONE], 0)


@pytest.mark.parametrize(
    ("sequence", "previous", "resets"), [(5, 4, 0), (9, 3, 0), (6, 5, 1), (4, 3, 1), (3, 2, 1)]
)
def test_what_may_have_been_missed_is_forgotten(
    node: Node, sequence: int, previous: int, resets: int
) -> None:
    """A gap, and numbers that come again: a stream that lost its end gives them twice."""
    node.hear(4, 0, ONE)
    node.hear(sequence, previous, TWO)
    assert (node.told, node.resets) == ([ONE, TWO], resets)


def test_what_is_missed_twice_is_forgotten_once(node: Node) -> None:
    """A gap, and behind it what is not understood."""
    node.hear(4, 0, ONE)
    node.hear_bytes(6, 5, b"hello")
    assert node.resets == 1


def test_others_can_have_everything_forgotten(node: Node) -> None:
    """Who had too much to tell says so."""
    node.hear_bytes(1, 0, encode(News("there", (ForgetAll(), ONE))))
    assert (node.told, node.resets) == ([ONE], 1)


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        encode(News("there", (ONE, JournalGrew(("one",))))).replace(b"JournalGrew", b"JournalFell"),
    ],
    ids=["other bytes", "a newer version's"],
)
def test_what_is_not_understood_was_missed(node: Node, data: bytes) -> None:
    """It is counted, and has its place in the order; what it told to forget is forgotten."""
    with capture_logs() as lines:
        node.hear_bytes(1, 0, data)
    node.hear(2, 1, ONE)
    assert (node.told, node.resets, node.figures.undecodable) == ([ONE], 1, 1)
    assert [line["event"] for line in lines] == ["news on the bus are not of this service"]


def test_a_receiver_that_crashes_stops_no_other_news(node: Node) -> None:
    """It is logged."""

    def crash(envelope: object) -> None:
        raise RuntimeError

    node.news.on(IdentitiesChanged, crash)
    with capture_logs() as lines:
        node.hear(1, 0, ONE, TWO)
    assert node.told == [ONE, TWO]
    assert [line["event"] for line in lines] == ["who is told of changes crashed"] * 2


def test_who_crashes_forgetting_stops_nobody(node: Node) -> None:
    """Whoever asked later is told, too."""
    later: list[int] = []

    def crash() -> None:
        raise RuntimeError

    node.news.on_reset(crash)
    node.news.on_reset(lambda: later.append(1))
    with capture_logs() as lines:
        node.news.reset()
    assert (node.resets, later) == (1, [1])
    assert [line["event"] for line in lines] == ["who forgets crashed"]


@pytest.mark.parametrize(("newest", "resets"), [(7, 0), (8, 1), (6, 1), (None, 1), (0, 0)])
async def test_a_new_leader(node: Node, newest: int | None, resets: int) -> None:
    """What the one before stored and told nobody is missed; so is perhaps what nobody can say."""
    node.hear(7, 0)
    node.wire.newest = newest
    await node.news.led_anew()
    assert node.resets == resets
    node.hear(9, newest or 7, ONE)
    assert (node.told, node.resets) == ([ONE], resets)


@pytest.mark.parametrize(("newest", "next_one"), [(7, (8, 7)), (0, (1, 0)), (None, (40, 39))])
async def test_a_new_connection(node: Node, newest: int | None, next_one: tuple[int, int]) -> None:
    """Everything is forgotten once; what comes next is news, not a gap."""
    node.hear(3, 0)
    node.wire.newest = newest
    wire: Any = node.wire
    await node.news.prepare(wire)
    assert (node.resets, node.wire.listened) == (1, [subjects.CONTROL_DELIVERED])
    node.hear(*next_one, ONE)
    assert (node.told, node.resets) == ([ONE], 1)


@pytest.mark.parametrize(("newest", "resets"), [(7, 2), (None, 1)])
async def test_a_gap_behind_a_new_connection(node: Node, newest: int | None, resets: int) -> None:
    """It is one where the stream said what its last message was; else nobody knows."""
    node.wire.newest = newest
    wire: Any = node.wire
    await node.news.prepare(wire)
    node.hear(9, 8, ONE)
    assert (node.told, node.resets) == ([ONE], resets)


async def test_what_is_told_while_a_connection_begins(node: Node) -> None:
    """It may be newer than what the stream said was its last message."""
    node.wire.newest = 7
    node.wire.meanwhile = lambda: node.hear(8, 7, ONE)
    wire: Any = node.wire
    await node.news.prepare(wire)
    node.hear(9, 8, TWO)
    assert (node.told, node.resets) == ([ONE, TWO], 1)


async def test_a_new_connection_waits_for_what_is_read_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not for ever: a store that is away holds up nothing."""
    monkeypatch.setattr(news, "READ_SECONDS", 0.05)
    read = list[str]()

    async def quick() -> None:
        await asyncio.sleep(0)
        read.append("quick")

    async def fails() -> None:
        raise RuntimeError

    async def slow() -> None:
        await asyncio.sleep(60)
        read.append("slow")

    for each in (quick, fails, slow):
        node.news.on_reset(each)
    wire: Any = node.wire
    await node.news.prepare(wire)
    assert read == ["quick"]


async def test_what_is_read_again_otherwise_is_not_waited_for(node: Node) -> None:
    """Nor is it lost."""
    read = asyncio.Event()

    async def renew() -> None:
        read.set()

    node.news.on_reset(renew)
    node.news.reset()
    assert not read.is_set()
    async with asyncio.timeout(5):
        await read.wait()


async def test_news_are_sent_again_until_they_are_stored(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a connection or an answer they wait; this node heard them before."""
    monkeypatch.setattr(news, "PAUSE_SECONDS", 0.001)
    node.wire.answers = [None, b'{"error":{}}']
    node.news.broadcast(ONE)
    node.news.broadcast(TWO)
    assert node.told == [ONE, TWO]
    node.wire.is_up = False
    async with node.sending():
        await asyncio.sleep(0.01)
        assert node.wire.sent == []
        node.wire.is_up = True
        await node.news.flush(5)
    assert [each.envelopes for each in node.wire.sent] == [(ONE, TWO)] * 3
    assert {each.node for each in node.wire.sent} == {"here"}
    assert node.figures.storing


async def test_news_are_sent_when_there_are_some(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once; where there are none nothing is sent, but for a question now and then."""
    monkeypatch.setattr(news, "PROBE_SECONDS", 60)
    with capture_logs() as lines:
        await node.news.flush(0.01)
    assert lines == [], "nothing waits at the beginning"
    async with node.sending():
        for each in (ONE, TWO):
            await asyncio.sleep(0.01)
            node.news.broadcast(each)
            await node.news.flush(5)
        await asyncio.sleep(0.01)
    assert [each.envelopes for each in node.wire.sent] == [(ONE,), (TWO,)]


def test_how_many_wait(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more than the bound: instead of one too many all give way to one that says all."""
    monkeypatch.setattr(news, "MOST_WAITING", 2)
    waiting = []
    for _ in range(5):
        node.news.broadcast(ONE)
        waiting.append(list(node.news._waiting))
    assert waiting == [[ONE], [ONE, ONE], [ForgetAll()], [ForgetAll(), ONE], [ForgetAll()]]


def test_what_is_to_be_forgotten_before_the_start_is_forgotten_with_it(node: Node) -> None:
    """Nobody is told before."""
    node.news.tell(told=False)
    node.news.reset()
    assert node.resets == 0
    node.news.tell(told=True)
    assert node.resets == 1


async def test_news_go_in_parts(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, in their order; what comes while some are sent goes with the next."""
    monkeypatch.setattr(news, "MOST_AT_ONCE", 2)
    some = [IdentitiesChanged(f"{number:012}") for number in range(5)]
    for each in some[:3]:
        node.news.broadcast(each)
    async with node.sending():
        await asyncio.sleep(0)
        for each in some[3:]:
            node.news.broadcast(each)
        await node.news.flush(5)
    assert [list(each.envelopes) for each in node.wire.sent] == [some[:2], some[2:4], some[4:]]


async def test_too_much_news_become_one(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others forget everything instead; what is being sent meanwhile is not taken for it."""
    monkeypatch.setattr(news, "MOST_WAITING", 3)
    async with node.sending():
        for number in range(3):
            node.news.broadcast(IdentitiesChanged(f"{number:012}"))
        while not node.wire.meets:  # noqa: ASYNC110 - each turn of the loop counts
            await asyncio.sleep(0)
        node.news.broadcast(ONE)
        await node.news.flush(5)
    assert [len(each.envelopes) for each in node.wire.sent] == [3, 1]
    assert isinstance(node.wire.sent[1].envelopes[0], ForgetAll)
    assert node.told[-1] == ONE


async def test_what_waits_at_the_end_is_told() -> None:
    """The log says how much."""
    node = Node()
    await node.news.flush(0)
    node.news.broadcast(ONE)
    with capture_logs() as lines:
        await node.news.flush(0.01)
    assert [(line["event"], line["waiting"]) for line in lines] == [
        ("news for the other nodes were not sent", 1)
    ]


async def test_whether_anything_is_stored_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """By news of nothing, when there are none; how long it may take is for the node to say."""
    monkeypatch.setattr(news, "PROBE_SECONDS", 0.001)
    hasty, patient = Node(patience=0.0), Node(patience=60.0)
    for node in (hasty, patient):
        node.wire.answers = [None, b'{"error":{}}'] * 3
    with capture_logs() as lines:
        async with hasty.sending(), patient.sending():
            await until(lambda: min(len(hasty.wire.sent), len(patient.wire.sent)) > 7)
    assert patient.figures.storing
    assert (hasty.wire.moves, patient.wire.moves) == (6, 0)
    assert {each.envelopes for each in (*hasty.wire.sent, *patient.wire.sent)} == {()}
    events = [line["event"] for line in lines]
    assert events == ["NATS stores nothing: what is sent gets 503", "NATS stores again"]
    assert lines[0]["reason"] == "nobody answers"


async def test_a_connection_that_is_away_says_nothing_of_what_is_stored() -> None:
    """How long nothing is stored counts from when there is one again."""
    node = Node(patience=0.2)
    node.news._stored_at -= 60
    node.wire.is_up = False
    assert not await node.news._is_stored(b"")
    node.wire.is_up = True
    node.wire.answers = [None]
    assert not await node.news._is_stored(encode(News("here", ())))
    assert node.figures.storing


@pytest.mark.parametrize(("failures", "moves"), [(1, 1), (2, 1), (3, 2), (4, 2), (6, 2), (7, 3)])
async def test_another_server_is_tried_less_and_less_often(
    node: Node, monkeypatch: pytest.MonkeyPatch, failures: int, moves: int
) -> None:
    """Where none stores, each time after twice as long; it begins anew with what is stored."""
    now = 1000.0
    monkeypatch.setattr(news, "time", Mock(monotonic=lambda: now))
    monkeypatch.setattr(news, "MOST_PAUSES", 4)
    node.news._stored_at = now
    for _ in range(2):
        node.wire.moves = 0
        node.wire.answers = [None] * failures
        for _ in range(failures):
            now += 10
            await node.news._is_stored(encode(News("here", ())))
        assert node.wire.moves == moves
        assert not node.figures.storing
        assert await node.news._is_stored(encode(News("here", ())))
        assert node.figures.storing


async def test_how_long_nothing_is_stored_counts_from_the_last_time(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That something was stored, not from the beginning."""
    now = 1000.0
    monkeypatch.setattr(news, "time", Mock(monotonic=lambda: now))
    node.news._stored_at = now
    seen: list[tuple[bool, int]] = []
    for seconds, answer in ((9, b"{}"), (9, None), (1, None)):
        now += seconds
        node.wire.answers = [answer]
        await node.news._is_stored(encode(News("here", ())))
        seen.append((node.figures.storing, node.wire.moves))
    assert seen == [(True, 0), (True, 0), (False, 1)]


def test_what_comes_before_the_start_is_forgotten_with_it(node: Node) -> None:
    """Once: what was read of the store before it came is out of date. Nobody is told before."""
    node.news.tell(told=False)
    node.hear(1, 0, ONE)
    node.news.broadcast(TWO)
    assert (node.told, node.resets) == ([], 0)
    for _ in range(2):
        node.news.tell(told=True)
        assert node.resets == 1
    node.news.tell(told=False)
    node.news.tell(told=True)
    assert node.resets == 1


async def test_news_while_nodes_start(bus_url: str) -> None:
    """What one changes then reaches the others; what it may have missed then, it forgets.

    One applies its identities file before it serves: nobody else may go on with the old ones.
    """
    changed = IdentitiesChanged("123456789012")
    async with buses_at(bus_url, 4) as (running, starting, later, cut_off):
        heard: list[IdentitiesChanged] = []
        resets: list[str] = []
        running.on(IdentitiesChanged, heard.append)
        for name, bus in {"running": running, "later": later, "cut off": cut_off}.items():
            bus.on_reset(lambda name=name: resets.append(name))  # type: ignore[misc]
        await running.start()
        await cut_off.end_connection()
        await until(lambda: cut_off.figures.reconnects)
        # Nothing was told, and who is told nothing yet forgets nothing yet.
        assert resets == []
        await cut_off.start()
        assert resets == ["cut off"]
        starting.broadcast(changed)
        await until(lambda: heard and later._news._last)
        assert heard == [changed]
        assert resets == ["cut off"]
        for _ in range(2):
            await later.start()
            assert resets == ["cut off", "later"]
