"""History that the readers of streams keep, with their place in these."""

import asyncio
from unittest import mock

import pytest

from greenroom.bus.base import Deliver, History
from greenroom.bus.streams import Stored
from greenroom.chatlog import streamed_history
from greenroom.chatlog.streamed_history import Marks, StreamedHistory
from greenroom.storage.base import StorageUnavailable
from tests.chatlog.test_tail import Nodes


def said(name: str, history: History = History.KEPT, *deletes: str) -> Deliver:
    """Return a message, or what deletes some."""
    action = "DeleteMessage" if deletes else "SendMessage"
    return Deliver(name.encode(), action, id=name, time_ns=1, history=history, deletes=deletes)


async def _no_time(_seconds: float) -> None:
    await asyncio.sleep(0)


def history_of(nodes: Nodes) -> StreamedHistory:
    """Return what reads what nodes keep."""
    kept = nodes.journal._history
    assert kept is not None
    return StreamedHistory(nodes.streams, nodes.journal, kept, _no_time)


async def test_all_that_was_published_is_there() -> None:
    """Whoever asks waits until the reader has been there; else it cannot be said."""
    nodes = Nodes()
    history, room = history_of(nodes), str(nodes.room)
    assert (await history.older(room)).envelopes == []
    assert await history.catch_up(room), "nothing was published"
    nodes.streams.store(nodes.room, said("a"), said("b"))
    with pytest.raises(StorageUnavailable):
        await history.older(room)
    tail = nodes.start()
    for _ in range(20):
        await asyncio.sleep(0)
    assert [each.id for each in (await history.older(room)).envelopes] == ["a", "b"]
    assert await history.catch_up(room)
    nodes.streams.available = False
    with pytest.raises(StorageUnavailable):
        await history.catch_up(room)
    assert tail.is_reading
    await nodes.kill(0)


async def test_a_stream_that_was_made_anew() -> None:
    """As behind a restore: what is kept is there, and nothing is recovered over what is gone."""
    nodes = Nodes()
    history, room = history_of(nodes), str(nodes.room)
    nodes.streams.store(nodes.room, said("a"))
    nodes.start()
    for _ in range(20):
        await asyncio.sleep(0)
    assert await history.catch_up(room)
    await nodes.kill(0)
    nodes.streams.make_anew()
    assert not await history.catch_up(room)
    found = await history.older(room)
    assert (found.envelopes, [each.id for each in found.before]) == ([], ["a"])


async def test_where_a_stream_ends() -> None:
    """A server that led the others until now may not know of the last ones: who needs them asks."""
    nodes = Nodes()
    history, room = history_of(nodes), str(nodes.room)
    nodes.streams.store(nodes.room, said("a"))
    tail = nodes.start()
    for _ in range(20):
        await asyncio.sleep(0)
    nodes.streams.stale[0] = await nodes.streams.end(0)
    await nodes.kill(0)
    nodes.streams.store(nodes.room, said("b"))
    assert await history.catch_up(room, surely=False)
    with pytest.raises(StorageUnavailable):
        await history.catch_up(room)
    with pytest.raises(StorageUnavailable):
        await history.older(room)
    assert tail.is_reading


async def test_what_is_asked_of_the_store() -> None:
    """Whether a room is ended is found out without any of its frames."""
    nodes, store = Nodes(), mock.Mock()
    store.newest = mock.AsyncMock(return_value=mock.Mock(is_ended=False))
    history = StreamedHistory(nodes.streams, nodes.journal, store, _no_time)
    assert await history.catch_up(str(nodes.room))
    store.newest.assert_awaited_once_with(str(nodes.room), 0)


def test_how_many_rooms_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many whose end was told already; with one more all are forgotten, and told again."""
    monkeypatch.setattr(streamed_history, "MOST_TOLD", 1)
    marks = Marks()

    def end(room: str) -> tuple[str, ...]:
        ends = Stored(1, 1, room, (said("n", History.NONE),))
        shown = marks.shown([ends], is_broken=False)
        marks.learn(shown)
        return tuple(shown.ended)

    assert [end(room) for room in "xyxy"] == [("x",), ("y",), (), ("y",)]


def test_what_the_store_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that are kept; of rooms without history once that they are ended."""
    marks = Marks()

    def stored(room: str, *envelopes: Deliver) -> Stored:
        return Stored(1, 1, room, envelopes)

    none, passing = said("n", History.NONE), said("p", History.PASSING)
    messages = [stored("x", said("a"), passing), stored("y", none), stored("x", none, said("b"))]
    shown = marks.shown(messages, is_broken=False)
    assert [(each.room, each.frame.id, each.begins) for each in shown.kept] == [
        *(("x", "a", False), ("x", "b", True))
    ]
    assert shown.ended == ("y",)
    assert marks.shown(messages, is_broken=True).ended == ("y",)
    marks.learn(shown)
    assert marks.shown(messages, is_broken=False).ended == ()
    assert marks.shown([stored("y", said("c"), none)], is_broken=False).ended == ("y",)
    deletion = said("d", History.NONE, "c")
    shown = marks.shown([stored("y", deletion)], is_broken=False)
    assert [(each.frame.id, each.begins, each.only_if_any) for each in shown.kept] == [
        ("d", True, True)
    ]
    assert shown.ended == ("y",)
    monkeypatch.setattr(streamed_history, "MOST_TOLD", 0)
    marks.learn(shown)
    assert marks.shown([stored("z", none)], is_broken=False).ended == ("z",)
