"""A disk without space at NATS: what nodes make of it, and that they go on when there is space.

nats-server itself does not: it stores nothing any more until it is started again.
"""

import asyncio
from pathlib import Path

from greenroom.bus.nats.lines import Patience
from scripts.servers.nats_server import NatsServer, bus_of, nats_cluster, nats_server
from tests.running.buses import buses_at, until
from tests.running.disks import fill, free, small_disk
from tests.running.speakers import Speaker, agree, speakers, stored, until_said

LIMIT_SECONDS = 100
"""Below what the whole run gives a test: the failure shows what was waited for."""

SHORT = Patience(outcome=1.0, answer=0.2, arrival=0.2)

MEGABYTES = 320
"""Somewhat more than all streams may take: a server promises them no more than there is."""


async def test_a_full_disk(tmp_path: Path) -> None:
    """What is sent is refused in time, and nothing that was told is lost or doubled."""
    with small_disk(tmp_path / "disk", MEGABYTES) as disk, nats_server(disk / "nats") as server:
        async with (
            asyncio.timeout(LIMIT_SECONDS),
            speakers(server.url, 2, SHORT) as (first, second),
        ):
            await agree([first, second])
            fill(disk)
            while not first.unknown:
                await first.say()
            await until(lambda: not second.bus.figures.serving)
            assert second.bus.figures.connected
            free(disk)
            await _restart(server)
            await until(lambda: first.bus.figures.serving and second.bus.figures.serving)
            await agree([first, second])
            assert await stored(first.bus) == first.shown


async def test_a_full_disk_of_one_of_three(tmp_path: Path) -> None:
    """Others go on, and so does who is connected to that server; later it has what it missed."""
    with (
        small_disk(tmp_path / "nats-1", MEGABYTES) as disk,
        nats_cluster(tmp_path) as servers,
    ):
        full, *others = (server.url for server in servers)
        async with (
            asyncio.timeout(LIMIT_SECONDS),
            buses_at(bus_of(servers), 1, patience=SHORT) as (at_it,),
            buses_at(",".join([*others, full]), 1, patience=SHORT) as (elsewhere,),
        ):
            near, far = [
                await Speaker(name, bus).begin()
                for name, bus in (("near", at_it), ("far", elsewhere))
            ]
            await agree([near, far])
            fill(disk)
            while "no space left" not in servers[0].log.read_text():
                await asyncio.gather(near.say(), far.say())
            await until_said(near)
            await until_said(far)
            free(disk)
            await _restart(servers[0])
            await agree([near, far])
            assert await stored(far.bus) == far.shown


async def _restart(server: NatsServer) -> None:
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
