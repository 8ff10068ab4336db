"""What is left of a room that is forgotten; all else of histories is in the contracts."""

from greenroom.model.kept_frame import KeptFrame
from greenroom.storage.history import Kept
from greenroom.storage.postgres.session import Connection
from tests.stand_ins.values import room_arn
from tests.storage.postgres.conftest import Open


async def _rows(connection: Connection) -> tuple[int, int]:
    found = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM history), (SELECT count(*) FROM history_rooms)"
    )
    assert found is not None
    return found[0], found[1]


async def test_nothing_is_left_of_a_room_that_is_forgotten(a_node: Open) -> None:
    """Neither its frames, which nobody would find any more; other rooms keep theirs."""
    store = await a_node()
    room, other = str(room_arn()), str(room_arn())
    frames = [KeptFrame(name, 1, "SendMessage", b"{}", author="ann") for name in "ab"]
    await store.history.append([Kept(each, frame) for each in (room, other) for frame in frames])
    assert await store._database.read(_rows) == (4, 2)
    await store.history.forget(room)
    assert await store._database.read(_rows) == (2, 1)
