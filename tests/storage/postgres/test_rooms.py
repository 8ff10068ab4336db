"""What listings may still ask for is kept, and no more."""

from greenroom.model.room import RoomChange
from greenroom.storage.postgres.session import Connection
from greenroom.storage.rooms import LIST_LIFETIME_MS
from tests.stand_ins.values import NOW, PLENTY, a_room, room_arn
from tests.storage.postgres.conftest import Open


async def _positions(connection: Connection) -> int:
    found: int = await connection.fetchval("SELECT count(*) FROM room_positions")
    return found


async def test_old_positions_are_removed(a_node: Open) -> None:
    """Two of those that no listing may ask for go with each that is added, in their region."""
    store = await a_node()
    room = await store.rooms.create(a_room(now=NOW), PLENTY)
    elsewhere = await store.rooms.create(a_room(now=NOW, arn=room_arn(region="eu-west-1")), PLENTY)
    await store.rooms.update(elsewhere.arn, RoomChange(), NOW)
    for _ in range(5):
        await store.rooms.update(room.arn, RoomChange(), NOW)
    kept = []
    for later in (LIST_LIFETIME_MS, LIST_LIFETIME_MS + 1, LIST_LIFETIME_MS + 1):
        await store.rooms.update(room.arn, RoomChange(), NOW + later)
        kept.append(await store._database.read(_positions))
    assert kept == [7, 6, 5]
