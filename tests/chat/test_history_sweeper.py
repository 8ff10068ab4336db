"""What rooms no longer keep goes: by number, by age, and with the room."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest import mock

import pytest

from greenroom.chat.history_sweeper import HistorySweeper
from greenroom.model.arn import Arn
from greenroom.model.kept_frame import KeptFrame
from greenroom.model.room import Room
from greenroom.storage.history import Extent, Kept
from greenroom.storage.memory.store import MemoryStore
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.stage import settle
from tests.stand_ins.values import NOW, room_arn


async def kept(store: MemoryStore, arn: Arn, number: int, time_ns: int, **tags: str) -> str:
    """Keep frames of a room, which has tags; return its ARN."""
    own = {f"greenroom:{name.replace('_', '-')}": value for name, value in tags.items()}
    if own:
        room = Room(arn=arn, tags=own, create_time=NOW, update_time=NOW)
        await store.rooms.create(room, quota=0)
    frame = KeptFrame("id", time_ns, "SendMessage", b"")
    await store.history.append([Kept(str(arn), frame)] * number)
    return str(arn)


async def test_a_sweep() -> None:
    """So many of the newest stay, none that is too old; nothing of a room without history."""
    time, store = HandClock(), MemoryStore()
    now = time.wall_ns
    many = await kept(store, room_arn(), 7_000, now, history_messages="5")
    off = await kept(store, room_arn(), 3, now, history_hours="5")
    gone = await kept(store, room_arn(), 3, now)
    old = await kept(store, room_arn(), 3, now, history_messages="5", history_hours="1")
    async with asyncio.TaskGroup() as tasks:
        sweeper = HistorySweeper(store.history, store.rooms, time.clock, tasks)
        await sweeper.sweep()
        assert len((await store.history.newest(many, 9)).frames) == 5
        assert not (await store.history.newest(off, 9)).frames
        assert not (await store.history.newest(gone, 9)).frames
        assert len((await store.history.newest(old, 9)).frames) == 3
        time.advance(3600)
        await sweeper.sweep()
        assert len((await store.history.newest(old, 9)).frames) == 3
        time.advance(0.001)
        sweeper.tick()
        sweeper.tick()
    assert not (await store.history.newest(old, 9)).frames
    assert len((await store.history.newest(many, 9)).frames) == 5


async def test_one_too_many() -> None:
    """Is removed, and only that one; where there are just so many, nothing is."""
    time, store = HandClock(), MemoryStore()
    rooms = [
        await kept(store, room_arn(), number, time.wall_ns, history_messages="5")
        for number in (5, 6)
    ]
    async with asyncio.TaskGroup() as tasks:
        await HistorySweeper(store.history, store.rooms, time.clock, tasks).sweep()
    numbers = [[each.number for each in (await store.history.newest(r, 9)).frames] for r in rooms]
    assert numbers == [[1, 2, 3, 4, 5], [2, 3, 4, 5, 6]]


class Turn:
    """A turn that this node has or has not; notes how it is taken."""

    def __init__(self) -> None:
        self.held = False
        self.taken = self.ended = 0

    @asynccontextmanager
    async def take(self) -> AsyncIterator["Turn"]:
        self.taken += 1
        yield self
        self.ended += 1


async def test_one_sweep_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this node, and of all of them: the next one begins when the last is over."""
    time, store, turn, gate = HandClock(), MemoryStore(), Turn(), asyncio.Event()
    looked: list[str] = []

    async def extents(after: str, limit: int) -> list[Extent]:
        looked.append(after)
        await gate.wait()
        return []

    monkeypatch.setattr(store.history, "extents", extents)
    async with asyncio.TaskGroup() as tasks:
        sweeper = HistorySweeper(store.history, store.rooms, time.clock, tasks, turn.take)
        sweeper.tick()
        await settle()
        assert (turn.taken, turn.ended, looked) == (1, 1, [])
        turn.held = True
        for _ in range(3):
            sweeper.tick()
            await settle()
        assert (turn.taken, turn.ended, looked) == (2, 1, [""])
        gate.set()
        await settle()
        sweeper.tick()
        await settle()
        assert (turn.taken, turn.ended, looked) == (3, 3, ["", ""])


async def test_deletions_do_not_count() -> None:
    """They push nothing out, and go with what is as old."""
    time, store = HandClock(), MemoryStore()
    now = time.wall_ns
    room = await kept(store, room_arn(), 4, now, history_messages="3")
    gone = KeptFrame("gone", now, "DeleteMessage", b"", deletes=("x",))
    await store.history.append([Kept(room, gone)] * 4)
    async with asyncio.TaskGroup() as tasks:
        sweeper = HistorySweeper(store.history, store.rooms, time.clock, tasks)
        await sweeper.sweep()
        assert [each.number for each in (await store.history.newest(room, 9)).frames] == [
            *range(2, 9)
        ]
        await store.history.append([Kept(room, KeptFrame("id", now, "SendMessage", b""))] * 4)
        await sweeper.sweep()
        assert [each.number for each in (await store.history.newest(room, 9)).frames] == [
            10,
            11,
            12,
        ]


async def test_a_store_that_cannot() -> None:
    """It is tried again at the next time."""
    time, store = HandClock(), MemoryStore()
    await store.close()
    async with asyncio.TaskGroup() as tasks:
        HistorySweeper(store.history, store.rooms, time.clock, tasks).tick()


async def test_a_sweep_that_crashes() -> None:
    """The node goes on, and the next sweep is tried."""
    time, store = HandClock(), MemoryStore()
    with mock.patch.object(store.history, "extents", side_effect=ValueError):
        async with asyncio.TaskGroup() as tasks:
            HistorySweeper(store.history, store.rooms, time.clock, tasks).tick()
