"""What the store in memory keeps of the past."""

from greenroom.model.room import RoomChange
from greenroom.storage.memory.region import KeptRoom, Position
from greenroom.storage.memory.store import MemoryStore
from greenroom.storage.rooms import LIST_LIFETIME_MS
from tests.stand_ins.values import ACCOUNT, NOW, PLENTY, REGION, a_room


async def test_old_positions_are_removed() -> None:
    """However often rooms are updated, positions older than a listing's lifetime do not pile up."""
    store = MemoryStore()
    room = await store.rooms.create(a_room(), PLENTY)
    for number in range(10_000):
        await store.rooms.update(room.arn, RoomChange(), NOW + number * LIST_LIFETIME_MS // 10)
    assert len(store.rooms._regions.of(ACCOUNT, REGION)._positions) < 1_100


async def test_positions_of_deleted_rooms_are_removed() -> None:
    """Rooms that come and go leave nothing."""
    store = MemoryStore()
    for _ in range(5_000):
        room = await store.rooms.create(a_room(), PLENTY)
        await store.rooms.delete(room.arn)
    assert len(store.rooms._regions.of(ACCOUNT, REGION)._positions) < 1_100


async def test_how_long_a_superseded_position_is_needed() -> None:
    """From the update that superseded it on: a listing may have begun just before."""
    store = MemoryStore()
    room = await store.rooms.create(a_room(), PLENTY)
    (position,) = store.rooms._regions.of(ACCOUNT, REGION)._positions
    await store.rooms.update(room.arn, RoomChange(), NOW + 5)
    assert position.is_needed(NOW + 5 + LIST_LIFETIME_MS)
    assert not position.is_needed(NOW + 6 + LIST_LIFETIME_MS)


def test_which_positions_listings_need() -> None:
    """The present one, and what an update superseded for as long as a listing may go on."""
    kept = KeptRoom(a_room())
    position = Position(kept, 1, NOW)
    assert position.is_needed(NOW + 10 * LIST_LIFETIME_MS)
    assert position.stands_at(1)
    position.superseded_sequence, position.superseded_at = 5, NOW
    assert [position.stands_at(snapshot) for snapshot in (4, 5, 6)] == [True, False, False]
    assert position.is_needed(NOW + LIST_LIFETIME_MS)
    assert not position.is_needed(NOW + LIST_LIFETIME_MS + 1)
    kept.deleted = True
    assert not position.is_needed(NOW)
