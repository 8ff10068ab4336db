"""Nothing is missed and nothing comes twice: the unmodified SDK, whose connections break.

`HISTORY_KILLS=50` breaks them so often; a seed, `HISTORY_SEED`, says when.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from tests.running.links import Link
from tests.running.messaging_driver import Room, Rooms, Tokens
from tests.running.service import Service

KILLS = int(os.environ.get("HISTORY_KILLS", "8"))
SEED = os.environ.get("HISTORY_SEED", "1")

pytestmark = pytest.mark.parametrize("sdk", ["javascript"], indirect=True, scope="module")

CONFIG = {"maxReconnectAttempts": 10}


@pytest.fixture
def remembering(service: Service) -> str:
    """Return a room that keeps history and resumes."""
    tags = {"greenroom:history-messages": "5000", "greenroom:resume-seconds": "600"}
    created = service.boto3().create_room(maximumMessageRatePerSecond=100, tags=tags)
    return str(created["arn"])


@pytest_asyncio.fixture(loop_scope="module")
async def link(service: Service) -> AsyncIterator[Link]:
    """Give a way to the service that a test can break."""
    port = int(service.websocket_url.rpartition(":")[2].partition("/")[0])
    async with Link(port).open() as opened:
        yield opened


class Since(Tokens):
    """A backend that says in the token what the application saw last."""

    room: Room

    async def __call__(self) -> Mapping[str, str]:
        seen = self.room.seen("message") if hasattr(self, "room") else []
        own = {"greenroom:since": seen[-1]["id"]} if seen else {"greenroom:history": "0"}
        self._options = {**self._options, "attributes": own}
        return await super().__call__()


async def _break(link: Link, room: Room, chance: random.Random) -> None:
    """Break the room's connection again and again, each time once it is back."""
    for _ in range(KILLS):
        await asyncio.sleep(chance.random() * 0.3)
        link.reset()
        link.mend()
        await room.next("connect")


async def _speak(room: Room, until: "asyncio.Task[None]") -> None:
    """Speak as often as a connection may."""
    while not until.done():
        await room.send("message")
        await asyncio.sleep(0.11)


async def _heard(room: Room, last: str) -> list[str]:
    """Return the Ids of all messages up to the last one, in their order."""
    ids = [each["id"] for each in room.seen("message")]
    for each in range(len(ids)):
        assert (await room.next("message"))["id"] == ids[each]
    while last not in ids:
        ids.append((await room.next("message"))["id"])
    return ids


@pytest.mark.parametrize("way", ["untouched", "since"])
@pytest.mark.asyncio(loop_scope="module")
async def test_killed_under_load(
    rooms: Rooms, service: Service, link: Link, remembering: str, way: str
) -> None:
    """Every message exactly once, in its order, however often its connection broke."""
    if way == "untouched" and os.environ.get("CLUSTER_NODES", "1") != "1":
        pytest.skip("the place of a connection is known to the node on which it broke")
    provider = (Tokens if way == "untouched" else Since)(service, remembering, "bob")
    speakers = [await rooms.enter(remembering, f"ann{number}") for number in range(3)]
    url = f"ws://127.0.0.1:{link.port}"
    viewer = await rooms.begin(provider, url=url, config=CONFIG)
    if isinstance(provider, Since):
        provider.room = viewer
    await viewer.next("connect")
    breaking = asyncio.create_task(_break(link, viewer, random.Random(SEED)))
    await asyncio.gather(breaking, *(_speak(each, breaking) for each in speakers))
    last = (await speakers[0].send("the end"))["id"]
    assert await _heard(viewer, last) == await _heard(speakers[1], last)
    assert len(viewer.seen("connect")) == KILLS + 1


@pytest.mark.asyncio(loop_scope="module")
async def test_who_comes_sees_the_last_messages(rooms: Rooms, remembering: str) -> None:
    """Through the URL that the constructor is given; an application's lines do not change."""
    ann = await rooms.enter(remembering, "ann")
    sent = [await ann.send(f"message {number}") for number in range(5)]
    url = f"{rooms.service.websocket_url}/?history=3"
    bob = await rooms.enter(remembering, "bob", url=url)
    assert [await bob.next("message") for _ in range(3)] == sent[2:]
