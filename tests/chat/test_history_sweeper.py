"""What rooms no longer keep goes: by number, by age, and with the room."""

import asyncio
from unittest import mock

from greenroom.chat.history_sweeper import HistorySweeper
from greenroom.model.arn import Arn
from greenroom.model.kept_frame import KeptFrame
from greenroom.model.room import Room
from greenroom.storage.history import Kept
from greenroom.storage.memory.store import MemoryStore
from tests.stand_ins.hand_clock import HandClock
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
        time.advance(3601)
        sweeper.tick()
        sweeper.tick()
    assert not (await store.history.newest(old, 9)).frames
    assert len((await store.history.newest(many, 9)).frames) == 5


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
