"""What is asked of a room's history and read for it, step by step, without a server.

Covers: greenroom.bus.nats.history
"""

import asyncio
from collections.abc import Awaitable
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from greenroom.bus.base import Deliver, Older, Recovered, RoomEnvelope
from greenroom.bus.nats import headers, history
from greenroom.bus.nats.history import AGAIN_SECONDS, KEPT_NS, StreamHistory
from greenroom.bus.rings import Rings
from greenroom.model.errors import ServiceUnavailableException
from tests.bus.nats.test_history import NOW_NS, ROOM, RoomReader, kept
from tests.running.buses import until


class Rooms:
    """The rooms of a node, of which each has the same line, and a stream that the test fills."""

    def __init__(self) -> None:
        self.figures = Mock()
        self.rings = Rings()
        self.seconds = 100.0
        self.now_ns = NOW_NS
        self.stream = RoomReader()
        self.line: Any = Mock(last=0, stamp=headers.written(NOW_NS).encode(), stream=3)
        self.read: list[str] = []
        """Of which rooms somebody wanted to read."""
        self.gate = asyncio.Event()
        self.gate.set()

    def put(self, *envelopes: RoomEnvelope) -> None:
        """Store a message, which the line has seen."""
        self.stream.put(0, *envelopes)
        self.line.last = self.stream.messages[-1].sequence

    def now(self) -> float:
        return self.seconds

    def position(self, room: str) -> int:
        return 0 if self.line is None else int(self.line.last)

    async def ready(self, room: str) -> Any:
        self.read.append(room)
        await self.gate.wait()
        return self.line

    def reader(self, line: object) -> RoomReader:
        assert line is self.line
        return self.stream

    def server_ns(self, stream: int) -> int:
        assert stream == 3
        return self.now_ns


class Node:
    """A history, and what it is asked."""

    def __init__(self) -> None:
        self.rooms = Rooms()
        rooms: Any = self.rooms
        loop = asyncio.get_running_loop()
        self.history = StreamHistory(rooms, lambda work: loop.create_task(work()))

    async def since(self, number: int, room: str = ROOM) -> Recovered:
        """Return what is behind an id, which has to be read."""
        found = self.history.since(room, f"{number}")
        assert isinstance(found, Awaitable)
        return await found

    def at_once(self, number: int) -> Recovered:
        """Return what is behind an id, for which nothing is to be read."""
        found = self.history.since(ROOM, f"{number}")
        assert isinstance(found, Recovered)
        return found


@pytest.fixture
async def node() -> Node:
    """Give a node."""
    return Node()


def ids(found: Recovered) -> list[str]:
    """Return the ids of what was found."""
    return [each.id for each in found.envelopes]


async def test_a_room_is_read_once_for_all_who_ask(node: Node) -> None:
    """Who goes away meanwhile ends it for nobody; afterwards it is in memory."""
    for number in range(3):
        node.rooms.put(kept(number))
    node.rooms.gate.clear()
    asking = [asyncio.create_task(node.since(0)) for _ in range(3)]
    await until(lambda: node.rooms.read)
    asking.pop().cancel()
    await asyncio.sleep(0)
    node.rooms.gate.set()
    for found in await asyncio.gather(*asking):
        assert (ids(found), found.position) == (["1", "2"], 9)
        assert (found.complete, found.is_unread) == (True, False)
    assert node.rooms.read == [ROOM]
    assert node.history._filling == {}
    assert ids(node.at_once(1)) == ["2"]
    assert not node.at_once(77).complete
    recent = node.history.recent(ROOM, 500)
    assert isinstance(recent, Recovered)
    assert (ids(recent), recent.complete) == (["0", "1", "2"], False)
    assert node.rooms.rings.here(ROOM).more, "a stream has nothing of what is older than an hour"
    node.rooms.figures.tell.assert_not_called()


async def test_what_is_in_memory_is_not_read(node: Node) -> None:
    """An id that is there, or as many as are asked for; the newest is never read."""
    assert node.history.newest(ROOM) is None
    node.rooms.put(kept(0))
    node.rooms.put(kept(1), kept(2))
    node.rooms.rings.take(ROOM, 6, (kept(1), kept(2)))
    assert ids(node.at_once(1)) == ["2"]
    two = node.history.recent(ROOM, 2)
    assert isinstance(two, Recovered)
    assert (ids(two), two.complete, two.position) == (["1", "2"], True, 6)
    assert (node.history.newest(ROOM), node.rooms.read) == (kept(2), [])
    three = node.history.recent(ROOM, 3)
    assert isinstance(three, Awaitable)
    found = await three
    assert (ids(found), found.complete) == (["0", "1", "2"], True)
    assert node.rooms.read == [ROOM]


async def test_what_is_kept_for_longer_is_tried_again_after_a_while(node: Node) -> None:
    """Until then there is what the stream has, and it is said that there may be more."""
    node.rooms.put(kept(1))
    keeper = node.history.keeper = AsyncMock(side_effect=ServiceUnavailableException("not now"))
    for seconds, calls in ((0, 1), (AGAIN_SECONDS - 0.5, 1), (0.5, 2), (1, 2)):
        node.rooms.seconds += seconds
        found = await node.since(-1)
        assert (ids(found), found.complete, found.is_unread) == (["1"], False, True)
        assert (found.position, keeper.await_count) == (3, calls)
    keeper.assert_awaited_with(ROOM)
    node.rooms.figures.tell.assert_called_with("kept history cannot be read now", reason="not now")
    node.rooms.seconds += AGAIN_SECONDS
    keeper.side_effect, keeper.return_value = None, Older((kept(-1), kept(0)))
    found = await node.since(-1)
    assert (ids(found), found.complete, found.is_unread) == (["0", "1"], True, False)
    assert ids(node.at_once(0)) == ["1"]
    assert not node.rooms.rings.here(ROOM).more


async def test_what_is_being_read_is_waited_for(node: Node) -> None:
    """By whoever asks then, too; what the stream has is there meanwhile for who needs no more."""
    node.rooms.put(kept(1))
    node.rooms.put(kept(2))
    asked, answers = asyncio.Event(), asyncio.Event()

    async def keep(room: str) -> Older:
        asked.set()
        await answers.wait()
        return Older((kept(0),))

    node.history.keeper = keep
    first = asyncio.create_task(node.since(0))
    await asked.wait()
    second = asyncio.create_task(node.since(0))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not second.done()
    assert ids(node.at_once(1)) == ["2"]
    answers.set()
    assert [ids(each) for each in await asyncio.gather(first, second)] == [["1", "2"]] * 2


@pytest.mark.parametrize(
    ("number", "deletions", "is_asked"), [(1, 1, True), (2, 0, False), (0, 2, False)]
)
async def test_who_keeps_more_is_not_asked_for_what_has_no_place(
    node: Node, monkeypatch: pytest.MonkeyPatch, number: int, deletions: int, is_asked: bool
) -> None:
    """The stream had enough, of what counts or of what deletes."""
    monkeypatch.setattr(history, "MOST_KEPT", 2)
    monkeypatch.setattr(history, "MOST_DELETIONS", 2)
    for each in range(number):
        node.rooms.put(kept(each))
    for each in range(deletions):
        deletes = (f"x{each}",)
        node.rooms.put(
            Deliver(b"{}", "DeleteMessage", id=f"d{each}", history=kept(0).history, deletes=deletes)
        )
    keeper = node.history.keeper = AsyncMock(return_value=Older())
    assert len((await node.since(-1)).envelopes) == number + deletions
    assert keeper.called is is_asked


async def test_a_room_that_cannot_be_read(node: Node) -> None:
    """It is told why, and nothing is said to be complete."""
    node.rooms.line = None
    found = await node.since(1)
    assert found == Recovered((), 0, complete=False, is_unread=True)
    node.rooms.figures.tell.assert_called_once_with(
        "a room's history cannot be read now", reason="there is no connection"
    )


@pytest.mark.parametrize(("ago_ns", "is_read"), [(KEPT_NS - 1, True), (KEPT_NS, False)])
async def test_what_the_stream_has_no_more_is_not_looked_for(
    node: Node, ago_ns: int, is_read: bool
) -> None:
    """Its last message is too old."""
    node.rooms.put(kept(1))
    node.rooms.now_ns += ago_ns
    found = await node.since(1)
    assert (bool(node.rooms.stream.reads), found.complete) == (is_read, is_read)
    assert not found.is_unread


async def test_a_room_in_which_nothing_was_said(node: Node) -> None:
    """Nothing is looked for, and nothing is there."""
    node.rooms.line.stamp = b""
    assert await node.since(1) == Recovered((), 0, complete=False)
    assert node.rooms.stream.reads == []


async def test_so_many_rooms_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others when one of these was read."""
    monkeypatch.setattr(history, "READ_AT_ONCE", 2)
    node = Node()
    node.rooms.put(kept(1))
    node.rooms.gate.clear()
    asking = [asyncio.create_task(node.since(1, room)) for room in "abc"]
    await until(lambda: node.rooms.read)
    for _ in range(5):
        await asyncio.sleep(0)
    assert node.rooms.read == ["a", "b"]
    node.rooms.gate.set()
    assert all(each.complete for each in await asyncio.gather(*asking))
    assert node.rooms.read == ["a", "b", "c"]
