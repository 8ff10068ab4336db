"""What is decided while a node is cut off from the others holds there before it serves again.

A partition is a proxy in the node's links that carries nothing, and says nothing.
"""

import asyncio
import contextlib
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from tests.cluster.killing.clients import Clients
from tests.cluster.killing.cluster import Cluster, killable
from tests.cluster.killing.history import History
from tests.running.said import assert_no_faults, samples
from tests.running.service import environment
from tests.running.viewers import Speaker, Viewer, until
from tests.running.wire import PATIENCE

SILENT_SECONDS = 3.0
"""After which a node that says nothing counts no more."""

TICK_SECONDS = 1.0
SLACK_SECONDS = 8.0
"""A busy machine is no failure."""


@contextlib.asynccontextmanager
async def started(directory: Path, **settings: str) -> AsyncIterator[tuple[Cluster, Clients]]:
    """Run three nodes, and give them with their clients; in the end nothing has crashed."""
    async with killable(directory, (0.0, 0.0, 0.0), **settings) as cluster:
        for node in cluster.nodes:
            node.node.start(wait=False)
        for node in cluster.nodes:
            await asyncio.to_thread(node.node.until_ready)
        yield cluster, Clients(cluster, History(), random.Random(0))
        for node in cluster.nodes:
            assert_no_faults(cluster.service(node))


async def speaker(clients: Clients, room: str, user: str, node: int) -> Speaker:
    """Return a connection that sends, on a node."""
    return Speaker(user, await viewer(clients, room, user, node))


async def viewer(clients: Clients, room: str, user: str, node: int) -> Viewer:
    """Return a connection on a node."""
    async with asyncio.timeout(PATIENCE):
        # The token may be asked of a node that is away.
        while (entered := await clients.enter(room, user, clients.doors[node])) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return entered[1]


async def code(speaker: Speaker, content: str = "hello") -> int:
    """Send a message; return 200, or the code of its error."""
    answer = await speaker.say(content)
    assert answer is not None
    return 200 if answer.type == "MESSAGE" else answer.error_code


async def until_it_serves(speaker: Speaker, refusal: int, content: str = "hello") -> None:
    """Send until something else than 503 comes, which must be a refusal."""
    while (answer := await code(speaker, content)) == 503:
        pass
    assert answer == refusal


async def admin(cluster: Cluster, node: int, *words: str) -> str:
    """Return what `greenroom admin` prints for a node."""
    there = cluster.nodes[node]
    key, secret = there.credentials
    variables = {
        "AWS_ENDPOINT_URL": there.api_url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "greenroom", "admin", *words],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done
    return done.stdout


async def _has_noticed(cluster: Cluster, node: int) -> None:
    """Wait until a node knows that it is cut off: what it sent before may be on its way yet."""
    service = cluster.service(cluster.nodes[node])
    while (await asyncio.to_thread(samples, service))["greenroom_bus_connected"]:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def test_what_was_decided_meanwhile(tmp_path: Path) -> None:
    """A kick, a deleted room, a changed limit, a killed key, a suspension: none is missed.

    Neither is anything that was sent during the partition judged by what held before.
    """
    async with started(tmp_path) as (cluster, clients):
        api, cut_off = cluster.nodes[0].api, cluster.nodes[1]
        rooms = [(await api.create_room()).arn for _ in range(3)]
        kicked, deleted, limited = [
            await speaker(clients, room, f"user-{number}", 1) for number, room in enumerate(rooms)
        ]
        for each in (kicked, deleted, limited):
            assert await code(each) == 200
        for link in cut_off.bus:
            link.cut()
        await api.disconnect_user(room_identifier=rooms[0], user_id="user-0")
        await api.delete_room(identifier=rooms[1])
        await api.update_room(identifier=rooms[2], maximum_message_length=3)
        await _has_noticed(cluster, 1)
        early = asyncio.create_task(code(limited))
        await asyncio.sleep(0.5)
        for link in cut_off.bus:
            link.mend()
        assert await early in (413, 503)
        await until_it_serves(limited, 413)
        await until_it_serves(deleted, 404)
        await until(lambda: kicked.viewer.ended, "the kick arrives")
        assert await code(limited, "yes") == 200

        for link in cut_off.bus:
            link.reset()
        await _has_noticed(cluster, 1)
        keys = (await admin(cluster, 0, "token-keys", "list")).splitlines()[1].split()
        # Of a key that it has not heard of it reads, for a token that it is shown.
        await admin(cluster, 0, "token-keys", "rotate")
        given = await api.create_chat_token(room_identifier=rooms[2], user_id="late")
        assert await clients.redeem(given.token, clients.doors[1]) is not None
        await admin(cluster, 0, "account", "suspend")
        for link in cut_off.bus:
            link.mend()
        await until_it_serves(limited, 403, "yes")
        await admin(cluster, 0, "account", "resume")
        await admin(cluster, 0, "token-keys", "kill", keys[0])
        await until(lambda: limited.viewer.ended, "the key's connection ends")


async def ask_in(clients: Clients, room: str, node: int) -> Viewer | None:
    """Return a connection of the user on a node, None when it is refused because of the others."""
    api = clients.cluster.nodes[node].api
    given = await api.create_chat_token(room_identifier=room, user_id="user")
    asked = await clients.redeem(given.token, clients.doors[node])
    assert clients.history.redeems[-1].status == (429 if asked is None else 101)
    return asked


async def until_let_in(clients: Clients, room: str, node: int) -> None:
    """Ask until the user is let in: others are told of once a second."""
    async with asyncio.timeout(PATIENCE):
        while await ask_in(clients, room, node) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def until_refused(clients: Clients, room: str, node: int) -> None:
    """Ask until the user is refused, and leave again otherwise."""
    async with asyncio.timeout(PATIENCE):
        while (entered := await ask_in(clients, room, node)) is not None:
            entered.leave()
            await asyncio.sleep(0.1)


async def test_counts_after_a_death(tmp_path: Path) -> None:
    """A user's places on a node that is killed are free 3 s later, and bounds are exact in calm."""
    async with started(tmp_path, connections_per_user="3") as (cluster, clients):
        room = (await cluster.nodes[0].api.create_room()).arn
        for node in (0, 0, 1):
            assert await ask_in(clients, room, node) is not None
        await until_refused(clients, room, 2)
        cluster.nodes[0].node.kill()
        killed = time.monotonic()
        await until_let_in(clients, room, 2)
        assert time.monotonic() - killed < SILENT_SECONDS + TICK_SECONDS + SLACK_SECONDS
        await until_let_in(clients, room, 1)
        await until_refused(clients, room, 2)
        cluster.nodes[0].node.start(wait=False)
        await asyncio.to_thread(cluster.nodes[0].node.until_ready)
