"""The cache of rooms: what is kept, what is shared, and what a change takes away."""

import asyncio
from unittest.mock import create_autospec

import pytest

from greenroom.bus.base import RoomChanged, RoomDeleted
from greenroom.bus.memory import MemoryBus
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.model.chat_token import LONGEST_SESSION_SECONDS
from greenroom.model.errors import ResourceNotFoundException
from greenroom.model.room import Room, RoomChange
from greenroom.storage.base import StorageUnavailable
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.loose_tasks import LooseTasks
from tests.stand_ins.stage import GatedStore, settle
from tests.stand_ins.values import NOW, a_room


@pytest.fixture
async def store() -> GatedStore:
    """Give a store that answers when it is told to."""
    return GatedStore()


def knows(cache: RoomsCache, arn: str) -> bool:
    """Return whether the cache can answer for a room at once."""
    try:
        cache.peek(arn)
    except KeyError:
        return False
    except ResourceNotFoundException:
        return True
    return True


async def known(store: GatedStore, name: str = "before") -> Room:
    """Return a room of the store."""
    return await store.rooms.create(a_room(name=name), 0)


async def test_a_room_is_loaded_once(store: GatedStore) -> None:
    """The second call costs no trip to the store, and can be answered without waiting."""
    room = await known(store)
    cache, arn = RoomsCache(store.rooms, MemoryBus(), LooseTasks()), str(room.arn)
    assert not knows(cache, arn)
    with pytest.raises(KeyError):
        cache.peek(arn)
    assert await cache.get(arn) == await cache.get(arn) == cache.peek(arn) == room
    assert (knows(cache, arn), store.asked) == (True, 1)


async def test_absence_is_remembered(store: GatedStore) -> None:
    """A room that does not exist is asked for once, and named in every error."""
    cache, arn = RoomsCache(store.rooms, MemoryBus(), LooseTasks()), str(a_room().arn)
    for _ in range(2):
        with pytest.raises(ResourceNotFoundException, match=arn):
            await cache.get(arn)
    with pytest.raises(ResourceNotFoundException):
        cache.peek(arn)
    assert store.asked == 1


async def test_concurrent_calls_share_one_load(store: GatedStore) -> None:
    """A thousand senders in a room that is not cached cost one trip."""
    room = await known(store)
    cache = RoomsCache(store.rooms, MemoryBus(), LooseTasks())
    store.gate.clear()
    gets = [asyncio.create_task(cache.get(str(room.arn))) for _ in range(1000)]
    await settle()
    store.gate.set()
    assert await asyncio.gather(*gets) == [room] * 1000
    assert store.asked == 1


async def test_a_cancelled_caller_breaks_nobody(store: GatedStore) -> None:
    """The load goes on for the others, and for the cache when it was the only one."""
    room = await known(store)
    cache, arn = RoomsCache(store.rooms, MemoryBus(), LooseTasks()), str(room.arn)
    store.gate.clear()
    first, second = (asyncio.create_task(cache.get(arn)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    store.gate.set()
    assert await second == room
    assert first.cancelled()
    cache.forget(arn)
    store.gate.clear()
    alone = asyncio.create_task(cache.get(arn))
    await settle()
    alone.cancel()
    store.gate.set()
    await settle()
    assert (knows(cache, arn), store.asked) == (True, 2)


@pytest.mark.parametrize("error", [StorageUnavailable("full"), ValueError("broken")])
async def test_failures_are_not_remembered(store: GatedStore, error: Exception) -> None:
    """Everybody who waited gets the error; the next call asks again."""
    room = await known(store)
    cache, arn = RoomsCache(store.rooms, MemoryBus(), LooseTasks()), str(room.arn)
    store.error = error
    outcomes = await asyncio.gather(*(cache.get(arn) for _ in range(3)), return_exceptions=True)
    assert outcomes == [error] * 3
    assert (store.asked, len(cache)) == (1, 0)
    store.error = None
    assert await cache.get(arn) == room


@pytest.mark.parametrize("newer_first", [True, False])
async def test_a_load_under_way_at_a_change_is_not_kept(
    store: GatedStore, newer_first: bool
) -> None:
    """What was read before the change answers those who asked before it, and nobody after."""
    room = await known(store)
    cache, arn = RoomsCache(store.rooms, MemoryBus(), LooseTasks()), str(room.arn)
    store.gate.clear()
    early = asyncio.create_task(cache.get(arn))
    await settle()
    changed = await store.rooms.update(room.arn, RoomChange(name="after"), NOW)
    cache.forget(arn)
    first, store.gate = store.gate, asyncio.Event()
    late = asyncio.create_task(cache.get(arn))
    await settle()
    for gate in (store.gate, first) if newer_first else (first, store.gate):
        gate.set()
        await settle()
    assert (await early, await late) == (room, changed)
    assert cache.peek(arn) == changed
    assert store.asked == 2


async def test_a_failed_old_load_does_not_take_the_new_one_along(store: GatedStore) -> None:
    """A load that fails after a change leaves the newer load in its place."""
    room = await known(store)
    cache, arn = RoomsCache(store.rooms, MemoryBus(), LooseTasks()), str(room.arn)
    store.gate.clear()
    early = asyncio.create_task(cache.get(arn))
    await settle()
    cache.forget(arn)
    late = asyncio.create_task(cache.get(arn))
    await settle()
    store.error = StorageUnavailable("full")
    store.gate.set()
    for waiting in (early, late):
        with pytest.raises(StorageUnavailable):
            await waiting
    assert not cache._loads
    store.error = None
    assert await cache.get(arn) == room


async def test_bound(store: GatedStore) -> None:
    """At the bound the least recently loaded room goes, absent ones counted."""
    rooms = [await known(store) for _ in range(3)]
    cache = RoomsCache(store.rooms, MemoryBus(), LooseTasks(), maximum=3)
    arns = [str(room.arn) for room in rooms]
    for arn in arns:
        await cache.get(arn)
    with pytest.raises(ResourceNotFoundException):
        await cache.get(str(a_room().arn))
    assert [knows(cache, arn) for arn in arns] == [False, True, True]
    assert (len(cache), cache.evicted) == (3, 1)


async def test_what_is_forgotten_is_not_held_on_to(store: GatedStore) -> None:
    """Nothing stays of rooms that went, at the bound or by a change."""
    cache = RoomsCache(
        store.rooms,
        MemoryBus(),
        LooseTasks(),
        maximum=2,
        clock=HandClock().clock,
        backstop_seconds=9,
    )
    arns = [str((await known(store)).arn) for _ in range(3)]
    for arn in arns:
        await cache.get(arn)
    assert cache._loaded.keys() == set(arns[1:])
    cache.forget(arns[1])
    assert cache._loaded.keys() == set(arns[2:])


async def test_what_is_read_ahead(store: GatedStore) -> None:
    """Once: not while it is read, nor when it is known."""
    room = await known(store)
    cache, arn = RoomsCache(store.rooms, MemoryBus(), LooseTasks()), str(room.arn)
    for _ in range(3):
        cache.read_ahead(arn)
    await settle()
    assert cache.peek(arn) == room
    cache.read_ahead(arn)
    await settle()
    assert store.asked == 1


async def test_forgetting_is_about_one_room(store: GatedStore) -> None:
    """Other rooms stay, and forgetting what is not known is no error."""
    one, other = await known(store), await known(store)
    cache = RoomsCache(store.rooms, MemoryBus(), LooseTasks())
    await cache.get(str(one.arn))
    await cache.get(str(other.arn))
    cache.forget(str(one.arn))
    cache.forget(str(one.arn))
    assert (knows(cache, str(one.arn)), knows(cache, str(other.arn))) == (False, True)


async def test_deleted_rooms_are_remembered(store: GatedStore) -> None:
    """For as long as a session may last; at the bound the first is forgotten, and counted."""
    time = HandClock()
    cache = RoomsCache(store.rooms, MemoryBus(), LooseTasks(), maximum=2, clock=time.clock)
    cache.note_deleted("a")
    time.advance(LONGEST_SESSION_SECONDS - 1)
    assert cache.may_have_connections("a")
    assert not cache.may_have_connections("b")
    time.advance(1)
    assert not cache.may_have_connections("a")
    for name in "bc":
        cache.note_deleted(name)
    assert cache.evicted_deleted == 0
    cache.note_deleted("d")
    assert cache.evicted_deleted == 1
    assert [each for each in "abcd" if cache.may_have_connections(each)] == ["c", "d"]


async def test_a_deleted_room_is_no_longer_known(store: GatedStore) -> None:
    """What was cached of it, and what a load under way is about to learn, is dropped."""
    room = await known(store)
    cache, arn = RoomsCache(store.rooms, MemoryBus(), LooseTasks()), str(room.arn)
    await cache.get(arn)
    await store.rooms.delete(room.arn)
    cache.note_deleted(arn)
    with pytest.raises(ResourceNotFoundException):
        await cache.get(arn)


async def test_the_bus_says_what_to_forget(store: GatedStore) -> None:
    """An updated room, a deleted one, of which it remembers that there was one, and no other."""
    changed, deleted, other = [str((await known(store)).arn) for _ in range(3)]
    bus = MemoryBus()
    cache = RoomsCache(store.rooms, bus, LooseTasks())
    await bus.start()
    for arn in (changed, deleted, other):
        await cache.get(arn)
    bus.broadcast(RoomChanged(changed))
    bus.broadcast(RoomDeleted(deleted))
    assert [knows(cache, arn) for arn in (changed, deleted, other)] == [False, False, True]
    assert [cache.may_have_connections(arn) for arn in (changed, deleted)] == [False, True]


async def test_after_a_reset_nothing_is_known(store: GatedStore) -> None:
    """Neither what is cached, nor what a load under way is about to learn."""
    bus = create_autospec(MemoryBus, instance=True)
    cache = RoomsCache(store.rooms, bus, LooseTasks())
    (reset,) = [call.args[0] for call in bus.on_reset.mock_calls]
    cached, loading = [str((await known(store)).arn) for _ in range(2)]
    await cache.get(cached)
    store.gate.clear()
    late = asyncio.create_task(cache.get(loading))
    await settle()
    reset()
    store.gate.set()
    await late
    assert len(cache) == 0


async def test_rooms_that_are_held_are_read_again(store: GatedStore) -> None:
    """After a reset they are known when what the reset gave is done; others are not."""
    bus = create_autospec(MemoryBus, instance=True)
    cache = RoomsCache(store.rooms, bus, LooseTasks())
    (reset,) = [call.args[0] for call in bus.on_reset.mock_calls]
    held, other = [str((await known(store)).arn) for _ in range(2)]
    await cache.get(other)
    with cache.held(held), cache.held(held):
        await reset()
    assert [knows(cache, arn) for arn in (held, other)] == [True, False]
    assert reset() is None
    assert cache.resets == 2


async def test_who_gives_up_waiting_for_a_reset_ends_no_load(
    store: GatedStore,
) -> None:
    """The store may take longer than a reset waits: requests that wait for the same room go on."""
    bus = create_autospec(MemoryBus, instance=True)
    cache = RoomsCache(store.rooms, bus, LooseTasks())
    (reset,) = [call.args[0] for call in bus.on_reset.mock_calls]
    held = str((await known(store)).arn)
    store.gate.clear()
    with cache.held(held):
        waiting = asyncio.ensure_future(reset())
        request = asyncio.create_task(cache.get(held))
        await settle()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        store.gate.set()
        assert str((await request).arn) == held


async def test_loads_have_an_owner(store: GatedStore) -> None:
    """The group waits for a load that nobody waits for; one that fails ends no other task of it."""
    room = await known(store)
    store.gate.clear()
    store.error = StorageUnavailable("full")
    async with asyncio.TaskGroup() as tasks:
        cache = RoomsCache(store.rooms, MemoryBus(), tasks)
        get = asyncio.ensure_future(cache.get(str(room.arn)))
        await settle()
        get.cancel()
        other = tasks.create_task(asyncio.sleep(0.01, "done"))
        store.gate.set()
    assert other.result() == "done"
    assert not cache._loads


async def test_a_backstop(store: GatedStore) -> None:
    """What was known long ago is loaded again as it is used, and holds until that is done."""
    room, time = await known(store), HandClock()
    cache = RoomsCache(
        store.rooms, MemoryBus(), LooseTasks(), clock=time.clock, backstop_seconds=60
    )
    arn = str(room.arn)
    await cache.get(arn)
    await store.rooms.update(room.arn, RoomChange(name="after"), NOW)
    time.advance(59)
    assert cache.peek(arn).name == "before"
    await settle()
    assert store.asked == 1
    time.advance(1)
    store.gate.clear()
    for _ in range(3):
        assert cache.peek(arn).name == "before"
        assert (await cache.get(arn)).name == "before"
    store.gate.set()
    await settle()
    assert (cache.peek(arn).name, store.asked) == ("after", 2)


async def test_without_a_backstop_nothing_is_loaded_again(store: GatedStore) -> None:
    """Where nobody else changes a room, what is known of it holds."""
    room, time = await known(store), HandClock()
    cache = RoomsCache(store.rooms, MemoryBus(), LooseTasks(), clock=time.clock)
    await cache.get(str(room.arn))
    time.advance(1_000_000)
    assert cache.peek(str(room.arn)) == room
    await settle()
    assert store.asked == 1


async def test_what_was_loaded_again_stays_longer(store: GatedStore) -> None:
    """At the bound the one goes whose load is the longest ago, not the one that came first."""
    used, left, new = [str((await store.rooms.create(a_room(), 0)).arn) for _ in range(3)]
    time = HandClock()
    cache = RoomsCache(
        store.rooms, MemoryBus(), LooseTasks(), maximum=2, clock=time.clock, backstop_seconds=60
    )
    await cache.get(used)
    await cache.get(left)
    time.advance(60)
    cache.peek(used)
    await settle()
    await cache.get(new)
    assert [knows(cache, each) for each in (used, left, new)] == [True, False, True]


async def test_a_backstop_without_a_store(store: GatedStore) -> None:
    """While the store is away what is known holds, and it is asked seldom."""
    room, time = await known(store), HandClock()
    rooms = create_autospec(type(store.rooms), instance=True)
    rooms.get.return_value = room
    cache = RoomsCache(
        rooms, MemoryBus(), LooseTasks(), maximum=1, clock=time.clock, backstop_seconds=60
    )
    arn = str(room.arn)
    await cache.get(arn)
    rooms.get.side_effect = StorageUnavailable("away")
    for number in range(1, 4):
        time.advance(60)
        for _ in range(5):
            assert cache.peek(arn) == room
            await settle()
        assert rooms.get.call_count == 1 + number
    cache.forget(arn)
    assert not knows(cache, arn)
    rooms.get.side_effect = None
    rooms.get.return_value = other = a_room()
    await cache.get(arn)
    await cache.get(str(other.arn))
    cache.clear()
    assert cache._loaded == {}
