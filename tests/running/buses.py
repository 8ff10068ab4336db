"""Buses over NATS for tests, several nodes of one deployment."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import nats
import pytest

from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.connection import Options
from greenroom.bus.nats.lines import Patience
from greenroom.clock import Clock
from scripts.servers.nats_server import NatsServer, bus_of
from tests.running.servers import new_account

SMALL = 8 << 20
"""Bytes of a stream: there are many tests."""

SERVERS = {"nats": "nats_r1", "nats-oldest": "nats_oldest", "nats-cluster": "nats_r3"}
"""The fixture of the servers of each kind of bus."""


@contextlib.asynccontextmanager
async def nats_buses(
    request: pytest.FixtureRequest, kind: str, number: int, *clocks: Clock
) -> AsyncIterator[list[NatsBus]]:
    """Give opened buses of as many nodes, which share an account of one kind of servers."""
    servers: list[NatsServer] = request.getfixturevalue(SERVERS[kind])
    async with buses_at(await _empty_account(servers), number, *clocks) as buses:
        yield buses


_kept: dict[str, str] = {}


async def _empty_account(servers: list[NatsServer]) -> str:
    """Return the setting `bus` of these servers' account for buses, whose streams are emptied.

    They are made once for all tests: that takes longer than most of them.
    """
    key = bus_of(servers)
    if key not in _kept:
        _kept[key] = new_account(servers)
        return _kept[key]
    client = await nats.connect(_kept[key].split(","))
    for stream in await client.jetstream().streams_info():
        if stream.state.messages:
            await client.jetstream().purge_stream(str(stream.config.name))
    await client.close()
    return _kept[key]


@contextlib.asynccontextmanager
async def buses_at(
    url: str, number: int, *clocks: Clock, patience: Patience | None = None
) -> AsyncIterator[list[NatsBus]]:
    """Give opened buses of as many nodes at some servers."""
    options = Options(servers=url.split(","), stream_bytes=SMALL)
    clocks = clocks or (Clock(),) * number
    async with contextlib.AsyncExitStack() as stack:
        buses = []
        for clock in clocks:
            bus = await NatsBus.open(options, clock, patience)
            stack.push_async_callback(bus.close)
            buses.append(bus)
        yield buses


async def until(holds: Callable[[], object], seconds: float = 20, *, pause: float = 0.01) -> None:
    """Return when something holds; fail when it does not in that time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        if holds():
            return
        assert asyncio.get_running_loop().time() < deadline, "it never came to be"
        await asyncio.sleep(pause)
