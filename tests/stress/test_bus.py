"""Nodes speak in several rooms over three servers, of which some die, hang, or are restarted.

What was told as published is in everybody's list of its room, once, in one order, and in the
stream; what was not is there or not, but the same for all. Nobody need do anything.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

from scripts.servers.nats_server import NatsServer, bus_of, nats_cluster
from tests.running.buses import buses_at
from tests.running.speakers import Speaker, agree, speaking, stored
from tests.stress.conftest import Scaled

NODES, ROOMS = 4, 3


async def _kill(servers: list[NatsServer], chance: random.Random) -> None:
    victim = chance.choice(servers)
    await asyncio.to_thread(victim.kill)
    await asyncio.sleep(chance.uniform(0.1, 3))
    await asyncio.to_thread(partial(victim.start, wait=False))


async def _stop(servers: list[NatsServer], chance: random.Random) -> None:
    victim = chance.choice(servers)
    await asyncio.to_thread(victim.stop)
    await asyncio.sleep(chance.uniform(0.1, 2))
    await asyncio.to_thread(partial(victim.start, wait=False))


async def _pause(servers: list[NatsServer], chance: random.Random) -> None:
    victim = chance.choice(servers)
    await asyncio.to_thread(victim.pause)
    await asyncio.sleep(chance.uniform(0.1, 5))
    await asyncio.to_thread(victim.resume)


async def _kill_all(servers: list[NatsServer], chance: random.Random) -> None:
    for server in servers:
        await asyncio.to_thread(server.kill)
    await asyncio.sleep(chance.uniform(0, 1))
    for server in servers:
        await asyncio.to_thread(partial(server.start, wait=False))


FAULTS: list[Callable[[list[NatsServer], random.Random], Awaitable[None]]] = [
    *(_kill, _stop, _pause, _kill_all),
]


@contextlib.asynccontextmanager
async def _everybody(url: str) -> AsyncIterator[list[list[Speaker]]]:
    """Give the nodes, as speakers of each room."""
    async with buses_at(url, NODES) as buses:
        yield [
            [
                await Speaker(f"{number}", bus, f"room{room}").begin()
                for number, bus in enumerate(buses)
            ]
            for room in range(ROOMS)
        ]


async def test_servers_that_come_and_go(
    tmp_path: Path, chance: random.Random, scaled: Scaled
) -> None:
    """Whatever happens to them, in whatever order."""
    with nats_cluster(tmp_path) as servers:
        async with _everybody(bus_of(servers)) as rooms:
            async with speaking([speaker for room in rooms for speaker in room]):
                for _ in range(scaled(2)):
                    await asyncio.sleep(chance.uniform(0.2, 2))
                    await chance.choice(FAULTS)(servers, chance)
            for server in servers:
                await asyncio.to_thread(server.until_ready)
            for room in rooms:
                await agree(room)
                assert await stored(room[0].bus, room[0].room) == room[0].shown
