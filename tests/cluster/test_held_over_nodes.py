"""Rooms that delay or are paused, over two nodes: each sees the same, once, whoever is killed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import websockets
from websockets.asyncio.client import ClientConnection

from scripts.servers.nats_server import NatsServer
from scripts.servers.postgresql import PostgreSQL
from tests.running.cluster import EVERYTHING, Place, hear, nodes, place, say, viewers
from tests.running.links import Link, links
from tests.running.said import assert_no_faults, samples, until
from tests.running.servers import fresh_account, fresh_database
from tests.running.service import Service
from tests.running.viewers import PATIENCE

TAGS = {"greenroom:history-messages": "500"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def away(
    postgresql_newest: PostgreSQL, nats_r1: list[NatsServer]
) -> AsyncIterator[dict[str, Link]]:
    """Give the links that lead the nodes to PostgreSQL and to NATS."""
    async with links([postgresql_newest.port, nats_r1[0].port]) as (to_store, to_bus):
        yield {"PostgreSQL": to_store, "NATS": to_bus}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(
    tmp_path_factory: pytest.TempPathFactory,
    postgresql_newest: PostgreSQL,
    nats_r1: list[NatsServer],
    away: dict[str, Link],
) -> AsyncIterator[tuple[Place, list[Service]]]:
    """Give two nodes, of which a test may replace the first; in the end nothing has crashed."""
    directory: Path = tmp_path_factory.mktemp("held")
    with fresh_database(postgresql_newest) as database:
        async with fresh_account(nats_r1) as bus:
            store = database.replace(f":{postgresql_newest.port}", f":{away['PostgreSQL'].port}")
            shared = place(
                directory, store, bus.replace(f":{nats_r1[0].port}", f":{away['NATS'].port}")
            )
            with contextlib.ExitStack() as stack:
                # The links are this loop's, which goes on meanwhile.
                services = await asyncio.to_thread(stack.enter_context, nodes(shared, 2))
                yield shared, services
                for service in services:
                    assert_no_faults(service)


@contextlib.asynccontextmanager
async def moderator(service: Service, room: str) -> AsyncIterator[ClientConnection]:
    """Connect somebody who may moderate, and sees events."""
    capabilities = [*EVERYTHING, "greenroom:MODERATE"]
    token = await asyncio.to_thread(service.token, room, "mod", capabilities=capabilities)
    url = f"{service.websocket_url}?events=on"
    async with websockets.connect(url, subprotocols=[token]) as connection:  # type: ignore[list-item]  # a token is one
        yield connection


async def message(connection: ClientConnection) -> tuple[str, str]:
    """Return Id and content of the next message, passing over events."""
    while True:
        frame = await hear(connection)
        if frame.type == "MESSAGE":
            return frame.id, frame.content


async def create(service: Service) -> str:
    """Return the ARN of a new room."""
    made = await asyncio.to_thread(service.boto3().create_room, tags=TAGS)
    return str(made["arn"])


async def update(service: Service, room: str, **members: Any) -> None:
    """Change the room's settings."""
    call = service.greenroom().update_room_settings
    await asyncio.to_thread(call, roomIdentifier=room, **members)


async def silent(connection: ClientConnection, room: str, service: Service) -> None:
    """See that nothing comes before an event that is sent now."""
    await asyncio.to_thread(service.boto3().send_event, roomIdentifier=room, eventName="now")
    frame = await hear(connection)
    assert frame.event_name == "now", frame


async def test_what_waits_is_released_once_in_order(two: tuple[Place, list[Service]]) -> None:
    """Whoever wrote where; its author and moderators on each node see it before, and not again."""
    _, services = two
    first, second = services
    room = await create(first)
    await update(first, room, settings={"paused": True})
    async with viewers(services, room) as (ann, bob), moderator(second, room) as judge:
        sent = []
        for number in range(6):
            writer = (ann, bob)[number % 2]
            await say(writer, str(number))
            sent.append(await message(writer))
            assert await message(judge) == sent[-1]
        deleted = sent.pop(2)
        await asyncio.to_thread(second.boto3().delete_message, roomIdentifier=room, id=deleted[0])
        for each in (ann, bob):
            assert (await hear(each)).event_name == "aws:DELETE_MESSAGE"
        await update(second, room, reset=["paused"])
        shown = [await message(ann) for _ in range(3)]
        assert shown == [each for each in sent if each[1] in "135"]
        assert [await message(bob) for _ in range(2)] == [sent[0], sent[3]]
        for each in (ann, bob):
            await silent(each, room, first)
        listed = await asyncio.to_thread(
            first.greenroom(attempts=5).list_messages, roomIdentifier=room
        )
        kept = [each["id"] for each in reversed(listed["messages"])]
        assert kept == [each for each, _ in sent]


async def test_a_node_that_is_killed(two: tuple[Place, list[Service]]) -> None:
    """What it had accepted is released by another one: once, in order, and not before its time."""
    shared, services = two
    first, second = services
    rooms = [await create(second) for _ in range(4)]
    for room in rooms:
        await update(second, room, settings={"delaySeconds": 4})
    async with contextlib.AsyncExitStack() as stack:
        pairs = [await stack.enter_async_context(viewers(services, room)) for room in rooms]
        sent: list[list[tuple[str, str]]] = []
        for ann, _ in pairs:
            for number in range(5):
                await say(ann, str(number))
            sent.append([await message(ann) for _ in range(5)])
        first.kill()
        for (_, bob), expected in zip(pairs, sent, strict=True):
            async with asyncio.timeout(3 * PATIENCE):
                assert [await message(bob) for _ in range(5)] == expected
        services[0] = await asyncio.to_thread(shared.node, "node-1")
        for (_, bob), room in zip(pairs, rooms, strict=True):
            await silent(bob, room, second)


@pytest.mark.parametrize("server", ["PostgreSQL", "NATS"])
async def test_what_comes_due_while_a_server_is_away(
    two: tuple[Place, list[Service]], away: dict[str, Link], server: str
) -> None:
    """It is released when the server is back: once, in order; until then viewers see nothing."""
    _, services = two
    room = await create(services[0])
    await update(services[0], room, settings={"delaySeconds": 1})
    async with viewers(services, room) as (ann, bob):
        for number in range(5):
            await say(ann, str(number))
        sent = [await message(ann) for _ in range(5)]
        hearing = asyncio.create_task(hear(bob))
        away[server].reset()
        try:
            overdue = "a release that is overdue"
            await asyncio.to_thread(until, lambda: any(map(is_overdue, services)), overdue)
            assert not hearing.done()
        finally:
            away[server].mend()
        first = await hearing
        assert [(first.id, first.content)] == sent[:1]
        assert [await message(bob) for _ in range(4)] == sent[1:]
        for each in (ann, bob):
            await silent(each, room, services[1])
    listed = await asyncio.to_thread(
        services[0].greenroom(attempts=5).list_messages, roomIdentifier=room
    )
    assert [each["id"] for each in reversed(listed["messages"])] == [each for each, _ in sent]


def is_overdue(service: Service) -> bool:
    """Return whether a message was due a while ago."""
    return samples(service)["greenroom_held_overdue_seconds"] > 0.5


async def test_a_discarded_pause(two: tuple[Place, list[Service]]) -> None:
    """What waits is deleted wherever it was written: its author is told, others see nothing."""
    _, services = two
    first, second = services
    room = await create(first)
    await update(second, room, settings={"paused": True}, expiresInSeconds=60)
    async with viewers(services, room) as (ann, bob):
        await say(ann, "1")
        mine, _ = await message(ann)
        await update(second, room, reset=["paused"], discardWaiting=True)
        told = await hear(ann)
        assert told.attributes is not None
        assert told.attributes["MessageId"] == mine
        await say(ann, "2")
        assert (await message(bob))[1] == "2"
