"""History that the readers of streams keep, with their place in these."""

import asyncio
from unittest import mock

import pytest

from greenroom.bus.base import Audience, Deliver, History, Stage
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


def test_messages_that_viewers_see_later() -> None:
    """They are held while they wait, and no more when they are released or deleted."""

    def staged(name: str, stage: Stage) -> Deliver:
        history = History.KEPT if stage is Stage.RELEASED else History.PASSING
        return Deliver(
            name.encode(), "SendMessage", Audience.SHADOWED, id=name, history=history, stage=stage
        )

    waiting = [staged("w", Stage.WAITS), staged("s", Stage.APART)]
    others = [said("d", History.KEPT, "x", "y"), staged("r", Stage.RELEASED), said("a")]
    shown = Marks().shown([Stored(1, 1, "room", (*waiting, *others))], is_broken=False)
    assert [(each.room, each.id, each.is_shadowed) for each in shown.held] == [
        *(("room", "w", False), ("room", "s", True))
    ]
    assert shown.released == [("room", "x"), ("room", "y"), ("room", "r")]
    assert [each.frame.id for each in shown.kept] == ["d", "r", "a"]


def test_a_room_that_is_ended_again() -> None:
    """The store is told again when something was kept since; else it knows."""
    marks = Marks()
    told: list[tuple[str, ...]] = []
    ends, goes_on = said("n", History.NONE), said("a")
    for envelope in (ends, ends, goes_on, ends, ends):
        shown = marks.shown([Stored(1, 1, "room", (envelope,))], is_broken=False)
        marks.learn(shown)
        told.append(tuple(shown.ended))
    assert told == [("room",), (), (), ("room",), ()]
