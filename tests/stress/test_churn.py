"""Connections that come and go by the thousand leave nothing behind; storms let everybody in."""

import asyncio
import functools
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.conftest import Measured
from tests.running.asked import OVER_TLS
from tests.running.process import UNTHROTTLED, descriptors, resident, serving
from tests.running.said import assert_no_faults, entries
from tests.running.service import running
from tests.running.viewers import (
    PATIENCE,
    Crowd,
    Viewer,
    assert_same_streams,
    at_once,
    until,
)
from tests.running.wire import api_of, token_line, upgrade_bytes
from tests.stress.conftest import Scaled

CYCLES = 15_000
WARM_UP = 2_500
GROWTH = 8 << 20
"""Bytes of memory that may be kept after any number of cycles, beside SQLite's cache of the used
tokens: 550 bytes a cycle would be seen."""

CACHE = 32 << 20
"""Bytes of the database that SQLite keeps in memory."""

STORM, STORM_ROOMS = 2_500, 50

Cycle = Callable[[Crowd, str], Awaitable[None]]


def reset(viewer: Viewer) -> None:
    """End a connection as a peer does whose process is gone."""
    connection = viewer.transport.get_extra_info("socket")
    if not viewer.ended and connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        viewer.transport.abort()


async def ended(viewer: Viewer) -> None:
    """Wait for the end of a connection."""
    if not viewer.ended:
        over = asyncio.get_running_loop().create_future()
        viewer.on_end = functools.partial(over.set_result, None)
        async with asyncio.timeout(PATIENCE):
            await over


def database_size(directory: Path) -> int:
    """Return the bytes of the service's database, its log of changes aside."""
    return (directory / "data" / "greenroom.db").stat().st_size


async def come_and_go(crowd: Crowd, room: str) -> None:
    """Connect, and close as a browser does."""
    viewer = await crowd.enter(room)
    viewer.leave()
    await ended(viewer)
    assert viewer.close_code == 1000


async def vanish(crowd: Crowd, room: str) -> None:
    """Connect, and reset the connection."""
    reset(await crowd.enter(room))


async def vanish_in_handshake(crowd: Crowd, room: str) -> None:
    """Reset the connection while the token is being redeemed."""
    reset(await crowd.begin(upgrade_bytes(token_line(crowd.token(room, "gone")))))


async def vanish_in_head(crowd: Crowd, room: str) -> None:
    """Reset the connection in the middle of the request."""
    reset(await crowd.begin(upgrade_bytes(token_line(crowd.token(room, "gone")))[:-9]))


async def be_refused(crowd: Crowd, room: str) -> None:
    """Come with a token that is not one."""
    viewer = await crowd.attempt("not-a-token")
    assert viewer.status == 400
    await ended(viewer)


CYCLE: dict[Cycle, int] = {
    come_and_go: 10,
    vanish: 5,
    vanish_in_handshake: 2,
    vanish_in_head: 1,
    be_refused: 2,
}
"""How clients come and go, and how many of twenty do so."""


async def test_churn(
    tmp_path: Path, chance: random.Random, scaled: Scaled, measured: Measured
) -> None:
    """After any number of connections that came and went, by every way out, all is as before.

    Descriptors are back at the baseline after the warm-up, memory within `GROWTH` of it, the hub
    counts no connection but the one that stayed, and that one saw nothing but pings.
    """
    async with serving(tmp_path, GREENROOM_LOG_LEVEL="info") as (service, crowd):
        # uvloop opens /dev/null with its first stream: in clear that is what it listens with.
        start = descriptors(service) + OVER_TLS
        with api_of(service) as api:
            rooms = [api.room() for _ in range(10)]
        stays = await crowd.enter(rooms[0], "stays")

        async def churn(cycles: int) -> None:
            ways = chance.choices(list(CYCLE), list(CYCLE.values()), k=cycles)
            await at_once(way(crowd, chance.choice(rooms)) for way in ways)

        await churn(WARM_UP)
        await until(lambda: descriptors(service) == start + 1, "the warm-up left nothing")
        memory, stored = resident(service), database_size(tmp_path)
        begun = time.monotonic()
        await churn(scaled(CYCLES))
        measured("stress_cycles_per_second", round(scaled(CYCLES) / (time.monotonic() - begun)))
        await until(lambda: descriptors(service) == start + 1, "all descriptors are closed")
        grown = resident(service) - memory
        measured("stress_bytes_kept_after_churn", grown)
        cached = min(database_size(tmp_path) - stored, CACHE)
        measured("stress_bytes_of_them_cached_by_sqlite", cached)
        assert grown < GROWTH + cached
        assert (stays.ended, stays.texts) == (False, [])
        await asyncio.to_thread(service.stop)
    (stopping,) = entries(service, "stopping")
    assert stopping["connections"] == 1


class Returning:
    """One client of the storm, as the official SDKs are: it tries until it is let in."""

    def __init__(self, crowd: Crowd, room: str, user: str) -> None:
        self.crowd = crowd
        self.room = room
        self.user = user
        self.refusals: list[int] = []

    async def come_back(self, chance: random.Random, up: asyncio.Event) -> Viewer:
        """Connect with a new token, again and again; only a service that is down refuses."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            was_up = up.is_set()
            try:
                viewer = await self.crowd.attempt(self.crowd.token(self.room, self.user))
            except OSError:
                assert not was_up, "a service that is up refused the connection"
                await asyncio.sleep(chance.uniform(0, 0.2))
                continue
            assert viewer.status == 101, viewer.status
            return viewer
        raise AssertionError(f"{self.user} never came back")


async def test_reconnect_storm(
    tmp_path: Path, chance: random.Random, scaled: Scaled, measured: Measured
) -> None:
    """After `kill -9` and a restart every client gets in again with a new token, at the first try.

    The clients begin to come back while the service is down. None that reaches it is refused, all
    tokens that were used before the kill stay used, and each room's stream is exact again.
    """
    async with serving(tmp_path) as (service, crowd):
        api = service.boto3()
        rooms = [str(api.create_room()["arn"]) for _ in range(STORM_ROOMS)]
        homes = [rooms[number % len(rooms)] for number in range(scaled(STORM))]
        used = [crowd.token(room, "early") for room in homes]
        first = await at_once(map(crowd.attempt, used))
        assert Counter(each.status for each in first) == {101: len(homes)}
        port = service.api_url.rpartition(":")[2]
        service.kill()
        await until(lambda: not crowd.viewers, "all have seen the end")
        assert not any(each.close_frame for each in first)
        clients = [Returning(crowd, room, f"user-{n}") for n, room in enumerate(homes)]
        up = asyncio.Event()
        storm = asyncio.gather(*(each.come_back(chance, up) for each in clients))
        restarting = asyncio.to_thread(running, tmp_path / "data", "--port", port, **UNTHROTTLED)
        with await restarting as again:
            up.set()
            begun = time.monotonic()
            back = await storm
            measured("stress_storm_clients", len(back))
            measured("stress_storm_last_one_back_seconds", round(time.monotonic() - begun, 2))
            await check_after_storm(crowd, homes, back)
            refused = await at_once(crowd.attempt(token) for token in chance.sample(used, 200))
            assert Counter(each.status for each in refused) == {409: len(refused)}
            assert_no_faults(again)
            assert await asyncio.to_thread(again.stop) == 0


async def check_after_storm(crowd: Crowd, homes: list[str], back: list[Viewer]) -> None:
    """Check that each room has its viewers, and none of another room."""
    rooms: dict[str, list[Viewer]] = {}
    for room, viewer in zip(homes, back, strict=True):
        rooms.setdefault(room, []).append(viewer)
    for number, room in enumerate(rooms):
        (speaker,) = await crowd.speakers(room, 1, f"room-{number}")
        assert await speaker.say(room) is not None
    await until(lambda: all(each.texts for each in back), "all see their room")
    for room, viewers in rooms.items():
        assert [frame.content for frame in assert_same_streams(viewers)] == [room]
