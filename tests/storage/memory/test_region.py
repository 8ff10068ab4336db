"""What the store in memory keeps of the past."""

from greenroom.model.room import RoomChange
from greenroom.storage.base import LIST_LIFETIME_MS
from greenroom.storage.memory.store import MemoryStore
from tests.redeeming import redeem
from tests.storage.values import ACCOUNT, NOW, PLENTY, REGION, a_room


async def test_old_positions_are_removed() -> None:
    """However often rooms are updated, positions older than a listing's lifetime do not pile up."""
    store = MemoryStore()
    room = await store.create_room(a_room(), PLENTY)
    for number in range(10_000):
        await store.update_room(room.arn, RoomChange(), NOW + number * LIST_LIFETIME_MS // 10)
    assert len(store._region(ACCOUNT, REGION)._positions) < 1_100


async def test_positions_of_deleted_rooms_are_removed() -> None:
    """Rooms that come and go leave nothing."""
    store = MemoryStore()
    for _ in range(5_000):
        room = await store.create_room(a_room(), PLENTY)
        await store.delete_room(room.arn)
    assert len(store._region(ACCOUNT, REGION)._positions) < 1_100


async def test_old_marks_are_removed() -> None:
    """Marks of tokens that expired over an hour ago do not pile up."""
    store = MemoryStore()
    for number in range(10_000):
        await redeem(store, f"{number}", NOW + number * 60_000, NOW + number * 60_000)
    assert len(store._redeemed) == len(store._redeemed_by_expiry) < 70
