"""History over two nodes: wherever something was said, nobody misses it and nothing comes twice."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import websockets
from websockets.asyncio.client import ClientConnection

from scripts.servers.nats_server import NatsServer
from scripts.servers.postgresql import PostgreSQL
from tests.running import messaging_driver
from tests.running.cluster import Place, hear, nodes, place, say, viewers
from tests.running.links import Link
from tests.running.messaging_driver import Room, Rooms, Tokens
from tests.running.said import assert_no_faults, samples, until
from tests.running.servers import fresh_account, fresh_database
from tests.running.service import Service
from tests.running.viewers import PATIENCE

TAGS = {"greenroom:history-messages": "5000", "greenroom:resume-seconds": "600"}
CONFIG = {"maxReconnectAttempts": 10}
BREAKS = 4

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(
    tmp_path_factory: pytest.TempPathFactory,
    postgresql_newest: PostgreSQL,
    nats_r1: list[NatsServer],
) -> AsyncIterator[Place]:
    """Give the place of a cluster."""
    directory: Path = tmp_path_factory.mktemp("history")
    with fresh_database(postgresql_newest) as database:
        async with fresh_account(nats_r1) as bus:
            yield place(directory, database, bus)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(shared: Place) -> AsyncIterator[list[Service]]:
    """Give two nodes, of which a test may replace the first; in the end nothing has crashed."""
    with nodes(shared, 2) as services:
        yield services
        for service in services:
            assert_no_faults(service)


@asynccontextmanager
async def came(
    service: Service, room: str, query: str, user: str = "eve"
) -> AsyncIterator[ClientConnection]:
    """Connect with wishes."""
    token = await asyncio.to_thread(service.token, room, user)
    url = f"{service.websocket_url}?{query}"
    async with websockets.connect(url, subprotocols=[token]) as connection:  # type: ignore[list-item]  # a token is one
        yield connection


async def shown(connection: ClientConnection, number: int) -> list[str]:
    """Return the Ids of the messages of history, so many, of which all have to come."""
    return [(await hear(connection)).id for _ in range(number)]


async def event(connection: ClientConnection, name: str) -> dict[str, str]:
    """Return the attributes of the next event of that name; others are passed over."""
    async with asyncio.timeout(PATIENCE):
        while True:
            frame = json.loads(await connection.recv())
            if frame.get("EventName") == name:
                return frame["Attributes"] or {}


async def test_it_is_one_over_nodes(two: list[Service]) -> None:
    """What was said on one is history on the other, recovered and deleted there, for all."""
    first, second = two
    room = str(first.boto3().create_room(tags=TAGS)["arn"])
    async with viewers(two, room) as (ann, bob):
        for number in range(5):
            await say(ann, str(number))
        ids = await shown(bob, 5)
        async with came(second, room, "history=3&events=on") as eve:
            assert (await event(eve, "greenroom:HISTORY"))["Count"] == "3"
            assert await shown(eve, 3) == ids[2:]
            second.boto3().delete_message(roomIdentifier=room, id=ids[3])
            assert (await event(eve, "aws:DELETE_MESSAGE"))["MessageId"] == ids[3]
            for service in two:
                async with came(service, room, f"since={ids[0]}&events=on", "zoe") as zoe:
                    told = await event(zoe, "greenroom:HISTORY")
                    assert told == {"Count": "4", "More": "false", "Recovered": "true"}
                    assert (await shown(zoe, 4))[:3] == [ids[1], ids[2], ids[4]]
            deleted = await asyncio.to_thread(
                second.greenroom().delete_user_messages, roomIdentifier=room, userId="user-0"
            )
            assert deleted["messageIds"] == [ids[0], ids[1], ids[2], ids[4]]
            told = await event(eve, "greenroom:DELETE_MESSAGES")
            assert json.loads(told["MessageIds"]) == deleted["messageIds"]
        assert (await event(ann, "aws:DELETE_MESSAGE"))["MessageId"] == ids[3]
        for each in deleted["messageIds"]:
            assert (await event(ann, "aws:DELETE_MESSAGE"))["MessageId"] == each
        for service in two:
            async with came(service, room, "history=9&events=on", "zoe") as zoe:
                assert (await event(zoe, "greenroom:HISTORY"))["Count"] == "0"
                first.boto3().send_event(roomIdentifier=room, eventName="poll")
                await event(zoe, "poll")
        async with (
            came(first, room, "events=on", "zoe") as zoe,
            came(second, room, "events=on", "eve") as eve,
        ):
            first.boto3().delete_room(identifier=room)
            for each in (zoe, eve):
                await event(each, "greenroom:ROOM_DELETED")


def is_on(service: Service) -> bool:
    """Return whether a node has a connection; one that is away has none."""
    try:
        return samples(service)["ivschat_concurrent_chat_connections"] > 0
    except OSError:
        return False


class Untouched(Tokens):
    """A backend that knows nothing of history.

    It is asked for a token when a connection broke: it waits until the nodes know that, too, as
    over a real network they would long before.
    """

    def __init__(self, services: list[Service], room: str, user: str) -> None:
        super().__init__(services[1], room, user)
        self._services = services

    async def __call__(self) -> Mapping[str, str]:
        await asyncio.to_thread(until, self._is_known, "the nodes know of the end")
        return await super().__call__()

    def _is_known(self) -> bool:
        return not any(map(is_on, self._services))


class Since(Tokens):
    """A backend that says in the token what the application saw last."""

    room: Room

    async def __call__(self) -> Mapping[str, str]:
        seen = self.room.seen("message") if hasattr(self, "room") else []
        own = {"greenroom:since": seen[-1]["id"]} if seen else {"greenroom:history": "0"}
        self._options = {**self._options, "attributes": own}
        return await super().__call__()


class Bot:
    """Says something again and again through the second node, and knows what was said."""

    def __init__(self, service: Service, room: str) -> None:
        self._send = service.greenroom().send_message
        self._room = room
        self.ids: list[str] = []
        self._end = asyncio.Event()

    async def talk(self) -> None:
        """Talk until told to end."""
        while not self._end.is_set():
            await self._say()

    async def end(self, talking: "asyncio.Task[None]") -> str:
        """Say the last thing; return its Id."""
        self._end.set()
        await talking
        await self._say()
        return self.ids[-1]

    async def _say(self) -> None:
        asked: dict[str, Any] = {"roomIdentifier": self._room, "userId": "bot", "content": "x"}
        self.ids.append((await asyncio.to_thread(self._send, **asked))["id"])
        await asyncio.sleep(0.02)


async def heard(room: Room, last: str) -> list[str]:
    """Return the Ids of all messages that a room was shown, up to the last one."""
    async with asyncio.timeout(PATIENCE):
        while not any(each["id"] == last for each in room.seen("message")):
            await room.next("message")
    return [each["id"] for each in room.seen("message")]


async def _broken(link: Link, viewer: Room) -> None:
    """Break the connection, and wait for the next one, which is to the other node."""
    link.reset()
    link.mend()
    await viewer.next("connect")


def _hears_of_one(service: Service, room: str) -> bool:
    """Return whether a node that has no connection counts one."""
    states = service.greenroom().list_room_states()["roomStates"]
    counts = {each["roomIdentifier"]: each["connections"] for each in states}
    return not is_on(service) and counts.get(room) == 1


@pytest.mark.parametrize("way", ["untouched", "since"])
async def test_over_nodes_and_their_ends(shared: Place, two: list[Service], way: str) -> None:
    """Every message once, in its order: over broken links, a node's restart, and a kill.

    Of a node that is killed the others know who was on it, and when it was heard last.
    """
    made = two[1].boto3().create_room(maximumMessageRatePerSecond=100, tags=TAGS)
    room = str(made["arn"])
    port = two[0].api_url.rpartition(":")[2]
    ports = [int(each.api_url.rpartition(":")[2]) for each in two]
    provider = Since(two[1], room, "bob") if way == "since" else Untouched(two, room, "bob")
    bot = Bot(two[1], room)
    async with (
        Link(*ports, turns=True).open() as link,
        messaging_driver.running("messaging_node.mjs") as sdk,
    ):
        rooms = Rooms(sdk, two[1])
        viewer = await rooms.begin(provider, url=f"ws://127.0.0.1:{link.port}", config=CONFIG)
        if isinstance(provider, Since):
            provider.room = viewer
        await viewer.next("connect")
        talking = asyncio.create_task(bot.talk())
        for _ in range(BREAKS):
            await viewer.next("message")
            await _broken(link, viewer)
        if not is_on(two[0]):
            await _broken(link, viewer)
        assert await asyncio.to_thread(two[0].stop) == 0
        await viewer.next("connect")
        two[0] = await asyncio.to_thread(shared.node, "node-1", "--port", port)
        if not is_on(two[0]):
            await _broken(link, viewer)
        assert is_on(two[0])
        await asyncio.to_thread(until, lambda: _hears_of_one(two[1], room), "the other one knows")
        await asyncio.to_thread(two[0].kill)
        await viewer.next("connect")
        two[0] = await asyncio.to_thread(shared.node, "node-1", "--port", port)
        last = await bot.end(talking)
        assert await heard(viewer, last) == bot.ids
        await rooms.leave()
