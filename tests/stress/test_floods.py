"""Floods: whatever peers throw at the process, those who chat go on, and memory has its bound.

What is judged: every message of a healthy client is delivered, nobody healthy is dropped, the
process lives, its memory stays under the bound that the scenario states, and afterwards it is as
before: `KEPT` is what may stay. An innocent client in a process of its own waits for its echo and
for `/health` at most `WORST_RATIO` times as long as before. What the healthy clients wait who share
their process with the flood is reported and not judged.
"""

import asyncio
import contextlib
import functools
import itertools
import random
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import msgspec
import pytest

from tests.conftest import Measured
from tests.running.asked import OVER_TLS
from tests.running.onlooking import WORST_RATIO, looking_on
from tests.running.process import connections_at_stop, descriptors, resident, serving
from tests.running.service import Service
from tests.running.viewers import Crowd, Speaker, Stream, Viewer, at_once, until
from tests.running.wire import PING, TEXT, client_frame, upgrade_bytes
from tests.stress.conftest import Scaled

HEALTHY = 20
MEBIBYTE = 1_048_576
KEPT = 60 * MEBIBYTE
"""What the process may still have more when the attacker has left."""

SECONDS = 1.0
"""How long each flood lasts."""

HANDSHAKE_SECONDS = 5 if OVER_TLS else 1
"""Thousands of handshakes at once take this process a while as well, which has both ends' work."""


class Flood(msgspec.Struct, frozen=True):
    """The service that is flooded, and how much of it there shall be."""

    service: Service
    crowd: Crowd
    room: str
    chance: random.Random
    peers: int

    @property
    def ends(self) -> float:
        """Return when the flood, if it begins now, ends."""
        return time.monotonic() + SECONDS


async def slowloris(flood: Flood) -> None:
    """Peers that send their request a byte at a time."""
    viewers = await at_once(flood.crowd.begin(b"G") for _ in range(flood.peers))
    head, ends = upgrade_bytes(b"X-Slow: yes"), flood.ends
    for index in itertools.cycle(range(1, len(head) - 4)):
        if time.monotonic() > ends:
            break
        for viewer in viewers:
            viewer.send(head[index : index + 1])
        await asyncio.sleep(0.1)
    await until(lambda: all(each.ended for each in viewers), "the slow are let go of")


async def half_open_handshakes(flood: Flood) -> None:
    """Peers that connect, send half a request, and then nothing."""
    half = upgrade_bytes()[:60]
    viewers = await at_once(flood.crowd.begin(half) for _ in range(flood.peers))
    await until(lambda: all(each.ended for each in viewers), "the silent are let go of")


async def connections(flood: Flood) -> None:
    """Peers that connect and leave at once, again and again."""
    ends = flood.ends

    async def come_and_go() -> None:
        while time.monotonic() < ends:
            with contextlib.suppress(OSError):
                viewer = await flood.crowd.begin(flood.chance.choice((b"", b"GET / HT")))
                viewer.transport.abort()
            await asyncio.sleep(0)

    await at_once(come_and_go() for _ in range(50))


async def oversize_frames(flood: Flood) -> None:
    """Clients that announce, or send, more than a frame may hold; refused ones come again."""
    ends = flood.ends
    announced = b"\x81\xff" + (2**62).to_bytes(8, "big") + b"\0\0\0\0"
    sent = client_frame(b"x" * 70_000)

    async def offend(number: int) -> None:
        while time.monotonic() < ends:
            viewer = await flood.crowd.enter(flood.room, f"offender-{number}")
            viewer.send(flood.chance.choice((announced, sent)))
            await until(functools.partial(getattr, viewer, "ended"), "the offender is out")
            assert viewer.close_code == 1009

    await at_once(offend(number) for number in range(50))


async def fragments(flood: Flood) -> None:
    """Clients that begin a message in tiny fragments and never end it."""
    viewers = await flood.crowd.fill(flood.room, flood.peers // 10, "fragmenter")
    begin, more = client_frame(b"x", TEXT & 0x0F), client_frame(b"x", 0) * 50
    for viewer in viewers:
        viewer.send(begin)
    ends = flood.ends
    while time.monotonic() < ends:
        for viewer in viewers:
            viewer.send(more)
        await asyncio.sleep(0.02)
    await leave(viewers)


async def unfinished_messages(flood: Flood) -> None:
    """Clients that hold a message open that is almost as large as it may be."""
    viewers = await flood.crowd.fill(flood.room, flood.peers // 10, "holder")
    for viewer in viewers:
        viewer.send(client_frame(b"x" * 65_000, TEXT & 0x0F))
    await asyncio.sleep(SECONDS)
    await leave(viewers)


async def drip(flood: Flood) -> None:
    """Clients that send their actions a byte at a time."""
    viewers = await flood.crowd.fill(flood.room, flood.peers // 10, "dripper")
    action = client_frame(b'{"Action":"SEND_MESSAGE","Content":"' + b"." * 100 + b'"}')
    ends, streams = flood.ends, itertools.cycle(action)
    while time.monotonic() < ends:
        byte = bytes((next(streams),))
        for viewer in viewers:
            viewer.send(byte)
        await asyncio.sleep(0.01)
    await leave(viewers)


async def pings_unread(flood: Flood) -> None:
    """Clients that ping without end and never read the answers."""
    viewers = await at_once(
        flood.crowd.enter(flood.room, f"pinger-{number}", receive_buffer=4096)
        for number in range(flood.peers // 50)
    )
    for viewer in viewers:
        viewer.transport.pause_reading()
    pings, ends = client_frame(b"p" * 125, PING) * 100, flood.ends
    while time.monotonic() < ends:
        for viewer in viewers:
            if viewer.transport.get_write_buffer_size() < MEBIBYTE:
                viewer.send(pings)
        await asyncio.sleep(0.005)
    for viewer in viewers:
        viewer.transport.abort()


GETS = (
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n",
    b"OPTIONS / HTTP/1.1\r\nHost: h\r\nAccess-Control-Request-Headers: " + b"x" * 999 + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
)


async def pipelined_requests(flood: Flood) -> None:
    """Clients that send requests as fast as they can, and read the answers."""
    streams = [await flood.crowd.stream() for _ in range(20)]
    ends = flood.ends
    while time.monotonic() < ends:
        for stream in streams:
            if stream.ended:
                continue
            request = flood.chance.choice(GETS)
            if stream.transport.get_write_buffer_size() < 65_536:
                stream.transport.write(request * (65_536 // len(request)))
        await asyncio.sleep(0.01)
    await end(streams)


async def pipelined_requests_unread(flood: Flood) -> None:
    """Clients that send as much as has a place, or far more, then nothing, and read no answer."""
    streams = [await flood.crowd.stream(receive_buffer=4096) for _ in range(flood.peers // 10)]
    for number, stream in enumerate(streams):
        request = flood.chance.choice(GETS)
        stream.transport.pause_reading()
        stream.transport.write(request * ((60_000, 4 * MEBIBYTE)[number % 2] // len(request)))
    await asyncio.sleep(SECONDS)
    await end(streams)


async def kept_connections(flood: Flood) -> None:
    """Clients that send a request with a large head, read its answer, and stay."""
    more = b"".join(b"X-%d: %b\r\n" % (number, b"x" * 600) for number in range(100))
    request = b"GET /health HTTP/1.1\r\nHost: h\r\n" + more + b"\r\n"

    async def stay() -> Stream:
        stream = await flood.crowd.stream()
        stream.transport.write(request)
        await until(lambda: stream.received, "it is answered")
        return stream

    streams = await at_once((stay() for _ in range(flood.peers // 2)), limit=20)
    await asyncio.sleep(SECONDS)
    await end(streams)


async def trailers(flood: Flood) -> None:
    """Clients whose bodies end with fields that never end; refused ones come again."""
    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    rests, ends = (b"x" * 65_536, b"x: y\r\n" * 9_000, b"x:" + b"y" * 65_536), flood.ends

    async def offend() -> None:
        rest = flood.chance.choice(rests)
        while time.monotonic() < ends:
            stream = await flood.crowd.stream()
            stream.transport.write(head)
            while not stream.ended and time.monotonic() < ends:
                if stream.transport.get_write_buffer_size() < MEBIBYTE:
                    stream.transport.write(rest)
                await asyncio.sleep(0.005)
            stream.transport.abort()

    await at_once(offend() for _ in range(10))


async def small_chunks(flood: Flood) -> None:
    """Clients whose bodies have chunks of one byte and never end; refused ones come again."""
    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks, ends = b"1\r\nx\r\n" * 40_000, flood.ends

    async def offend() -> None:
        while time.monotonic() < ends:
            stream = await flood.crowd.stream()
            stream.transport.write(head)
            while not stream.ended and time.monotonic() < ends:
                if stream.transport.get_write_buffer_size() < MEBIBYTE:
                    stream.transport.write(chunks)
                await asyncio.sleep(0.005)
            stream.transport.abort()

    await at_once(offend() for _ in range(10))


async def end(streams: list[Stream]) -> None:
    """Let go of streams."""
    for stream in streams:
        stream.transport.abort()
    await until(lambda: all(each.ended for each in streams), "the clients are gone")


async def leave(viewers: list[Viewer]) -> None:
    """Let go of clients."""
    for viewer in viewers:
        viewer.transport.abort()
    await until(lambda: all(each.ended for each in viewers), "the clients are gone")


FLOODS: dict[Callable[[Flood], Coroutine[None, None, None]], int] = {
    slowloris: 40,
    half_open_handshakes: 60,
    connections: 40,
    oversize_frames: 60,
    fragments: 60,
    unfinished_messages: 60,
    drip: 40,
    pings_unread: 60,
    pipelined_requests: 60,
    pipelined_requests_unread: 60,
    kept_connections: 40,
    small_chunks: 60,
    trailers: 60,
}
"""Each flood, and by how many MiB the process may grow at most: at scale 1, with 2,000 peers."""


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: str(flood.__name__))
async def test_flood(
    flood: Callable[[Flood], Coroutine[None, None, None]],
    tmp_path: Path,
    chance: random.Random,
    scaled: Scaled,
    measured: Measured,
) -> None:
    """Those who chat lose nothing, and the process is afterwards as it was before."""
    limits = {"GREENROOM_HANDSHAKE_TIMEOUT_SECONDS": str(HANDSHAKE_SECONDS)}
    async with serving(tmp_path, **limits) as (service, crowd):
        room, flooded, quiet = (str(service.boto3().create_room()["arn"]) for _ in range(3))
        speakers = await crowd.speakers(room, HEALTHY)
        async with looking_on(service, crowd.token(quiet, "onlooker")) as onlooker:
            before = await waits(speakers, lambda: len(speakers[0].echoed) >= 15)
            alone = await onlooker.waits()
            memory, files = resident(service), descriptors(service)
            flooding = asyncio.create_task(
                flood(Flood(service, crowd, flooded, chance, scaled(2000)))
            )
            peak = asyncio.create_task(highest(service, flooding))
            during = await waits(speakers, flooding.done)
            await flooding
            met = await onlooker.waits()
        growth = (await peak - memory) / MEBIBYTE
        measured(f"{flood.__name__}: p99 before, ms", round(before * 1000, 1))
        measured(f"{flood.__name__}: p99 during, ms", round(during * 1000, 1))
        measured(f"{flood.__name__}: innocent before, ms", round(alone.usual * 1000, 1))
        measured(f"{flood.__name__}: innocent during, ms", round(met.usual * 1000, 1))
        measured(f"{flood.__name__}: grown by MiB", round(growth, 1))
        assert not any(each.viewer.ended for each in speakers), "a healthy client was dropped"
        # OpenSSL keeps 12 KB of each connection.
        bound = FLOODS[flood] + (24 if OVER_TLS else 0)
        assert growth < bound * max(1.0, scaled(100) / 100)
        assert met.ratio(alone) <= WORST_RATIO
        await until(lambda: descriptors(service) <= files + 3, "all descriptors are free again")
        await until(lambda: resident(service) < memory + KEPT, "the memory is free again")
        measured(f"{flood.__name__}: kept MiB", round((resident(service) - memory) / MEBIBYTE, 1))
        await waits(speakers, lambda: True)
        assert await asyncio.to_thread(connections_at_stop, service) == HEALTHY


async def waits(speakers: list[Speaker], done: Callable[[], bool]) -> float:
    """Have everybody talk until it is done; return the 99th percentile of the waits in seconds."""
    taken: list[float] = []

    async def talk(speaker: Speaker) -> None:
        while True:
            begun = time.monotonic()
            echo = await speaker.say()
            assert echo is not None, "a healthy client lost its connection"
            assert echo.type == "MESSAGE", echo
            taken.append(time.monotonic() - begun)
            if done():
                return
            await asyncio.sleep(0.02)

    await asyncio.gather(*map(talk, speakers))
    return sorted(taken)[len(taken) * 99 // 100]


async def highest(service: Service, flooding: "asyncio.Task[None]") -> int:
    """Return the most memory that the process has while it is flooded."""
    most = resident(service)
    while not flooding.done():
        most = max(most, resident(service))
        await asyncio.sleep(0.05)
    return most
