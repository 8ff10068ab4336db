"""Nothing is missed and nothing comes twice: the unmodified SDK, whose connections break.

`HISTORY_KILLS=50` breaks them so often; a seed, `HISTORY_SEED`, says when.
"""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.interop.breaking import WAYS, kill_under_load, remembering_room
from tests.running.links import Link
from tests.running.messaging_driver import Rooms
from tests.running.service import Service

KILLS = int(os.environ.get("HISTORY_KILLS", "8"))
SEED = os.environ.get("HISTORY_SEED", "1")

pytestmark = pytest.mark.parametrize("sdk", ["javascript"], indirect=True, scope="module")


@pytest.fixture
def remembering(service: Service) -> str:
    """Return a room that keeps history and resumes."""
    return remembering_room(service)


@pytest_asyncio.fixture(loop_scope="module")
async def link(service: Service) -> AsyncIterator[Link]:
    """Give a way to the service that a test can break."""
    port = int(service.websocket_url.rpartition(":")[2].partition("/")[0])
    async with Link(port).open() as opened:
        yield opened


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.asyncio(loop_scope="module")
async def test_killed_under_load(
    rooms: Rooms, service: Service, link: Link, remembering: str, way: str
) -> None:
    """Every message exactly once, in its order, however often its connection broke."""
    await kill_under_load(rooms, service, link, remembering, way, kills=KILLS, seed=SEED)


@pytest.mark.asyncio(loop_scope="module")
async def test_who_comes_sees_the_last_messages(rooms: Rooms, remembering: str) -> None:
    """Through the URL that the constructor is given; an application's lines do not change."""
    ann = await rooms.enter(remembering, "ann")
    sent = [await ann.send(f"message {number}") for number in range(5)]
    url = f"{rooms.service.websocket_url}/?history=3"
    bob = await rooms.enter(remembering, "bob", url=url)
    assert [await bob.next("message") for _ in range(3)] == sent[2:]
