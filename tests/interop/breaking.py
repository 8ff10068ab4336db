"""Connections that break again and again under load, and what is then heard in order."""

import asyncio
import random
from collections.abc import Mapping
from urllib.parse import urlsplit

from tests.running.links import Link
from tests.running.messaging_driver import Room, Rooms, Tokens
from tests.running.service import Service

CONFIG = {"maxReconnectAttempts": 10}

WAYS = ("untouched", "since")
"""What brings what was missed: the service by itself, or an application's backend by a token."""


class Since(Tokens):
    """A backend that says in the token what the application saw last."""

    room: Room

    async def __call__(self) -> Mapping[str, str]:
        seen = self.room.seen("message") if hasattr(self, "room") else []
        own = {"greenroom:since": seen[-1]["id"]} if seen else {"greenroom:history": "0"}
        self._options = {**self._options, "attributes": own}
        return await super().__call__()


async def break_off(link: Link, room: Room, chance: random.Random, kills: int) -> None:
    """Break the room's connection again and again, each time once it is back."""
    for _ in range(kills):
        await asyncio.sleep(chance.random() * 0.3)
        link.reset()
        link.mend()
        await room.next("connect")


async def speak(room: Room, until: "asyncio.Task[None]") -> None:
    """Speak as often as a connection may."""
    while not until.done():
        await room.send("message")
        await asyncio.sleep(0.11)


async def heard(room: Room, last: str) -> list[str]:
    """Return the Ids of all messages up to the last one, in their order."""
    ids = [each["id"] for each in room.seen("message")]
    for each in range(len(ids)):
        assert (await room.next("message"))["id"] == ids[each]
    while last not in ids:
        ids.append((await room.next("message"))["id"])
    return ids


async def kill_under_load(
    rooms: Rooms, service: Service, link: Link, arn: str, way: str, *, kills: int, seed: str
) -> None:
    """Break a viewer's connection so often while three speak; he must hear each message once."""
    provider = (Tokens if way == "untouched" else Since)(service, arn, "bob")
    speakers = [await rooms.enter(arn, f"ann{number}") for number in range(3)]
    url = f"{urlsplit(service.websocket_url).scheme}://127.0.0.1:{link.port}"
    viewer = await rooms.begin(provider, url=url, config=CONFIG)
    if isinstance(provider, Since):
        provider.room = viewer
    await viewer.next("connect")
    breaking = asyncio.create_task(break_off(link, viewer, random.Random(seed), kills))
    await asyncio.gather(breaking, *(speak(each, breaking) for each in speakers))
    last = (await speakers[0].send("the end"))["id"]
    assert await heard(viewer, last) == await heard(speakers[1], last)
    assert len(viewer.seen("connect")) == kills + 1


def remembering_room(service: Service) -> str:
    """Return a room that keeps history and resumes."""
    tags = {"greenroom:history-messages": "5000", "greenroom:resume-seconds": "600"}
    created = service.boto3().create_room(maximumMessageRatePerSecond=100, tags=tags)
    return str(created["arn"])
