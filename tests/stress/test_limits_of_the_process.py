"""The process at its own limits: told to stop under load, out of descriptors, out of memory."""

import asyncio
import contextlib
import random
import resource
import signal
from collections import Counter
from pathlib import Path

from tests.conftest import Measured
from tests.running.asked import OVER_TLS
from tests.running.process import UNTHROTTLED, cpu_share, descriptors, resident, serving
from tests.running.said import ends, entries
from tests.running.service import Service, running
from tests.running.viewers import PATIENCE, Crowd, Speaker, Viewer, assert_same_streams, until
from tests.running.wire import TEXT, client_frame
from tests.stress.conftest import Scaled

DRAIN_ROOMS, DRAIN_VIEWERS = 5, 150

FREE, TOO_MANY = 60, 200
"""Descriptors that are left, and clients that then come."""

IN_TIME = 8 if OVER_TLS else 2
"""Seconds to get in. Those who gave up are accepted first: in clear by uvloop, which closes them at
once, over TLS by ours, which waits half a second each time that no descriptor is left."""

GENEROUS = 0.6
"""The share of a core that a process without descriptors may use; one that spins uses all of it."""

BIG = {"pad": "\x01" * 900}
"""Attributes of 900 bytes that take 5 KB as JSON."""


async def talk_to_the_end(speaker: Speaker, chance: random.Random) -> None:
    """Send messages, several at a time, until the connection ends."""
    while not speaker.viewer.ended:
        burst = chance.choice((1, 1, 3, 8))
        await asyncio.gather(*(speaker.say(attributes=BIG) for _ in range(burst)))
        await asyncio.sleep(chance.choice((0, 0.005, 0.02)))


async def test_drain_under_load(
    tmp_path: Path, chance: random.Random, scaled: Scaled, measured: Measured
) -> None:
    """Every message whose sender saw it come back was received by all who stayed to the end.

    Those who read late get it too. No connection gets a close frame, so that the official SDKs
    connect again, and the exit is clean.
    """
    async with serving(tmp_path) as (service, crowd):
        api = service.boto3()
        rooms = [str(api.create_room()["arn"]) for _ in range(DRAIN_ROOMS)]
        viewers = [await crowd.fill(room, scaled(DRAIN_VIEWERS) // DRAIN_ROOMS) for room in rooms]
        speakers = [await crowd.speakers(room, 2, f"{n}") for n, room in enumerate(rooms)]
        talking = [
            asyncio.create_task(talk_to_the_end(each, chance))
            for group in speakers
            for each in group
        ]
        await asyncio.sleep(chance.uniform(0.3, 0.6))
        late = [await crowd.enter(room, "late", receive_buffer=131_072) for room in rooms]
        for each in late:
            each.transport.pause_reading()
        await asyncio.sleep(0.3)
        service.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.7)
        for each in late:
            each.transport.resume_reading()
        await asyncio.gather(*talking)
        exit_code = await asyncio.to_thread(service.process.wait, PATIENCE)
        assert exit_code == 0
        await until(lambda: not crowd.viewers, "all connections have ended")
        for group, senders, one in zip(viewers, speakers, late, strict=True):
            assert_nothing_lost(group, senders, one)
        measured(
            "stress_messages_echoed_before_drain",
            sum(len(each.echoed) for group in speakers for each in group),
        )


SPREAD_VIEWERS, SPREAD_SECONDS = 1_500, 3


async def test_a_large_drain_is_spread(tmp_path: Path, measured: Measured) -> None:
    """Many connections end over time, none with a close frame; who is still there chats on.

    Every message whose sender saw it come back was received by all who were there until the end,
    and whoever left before has seen everything up to then.
    """
    async with serving(
        tmp_path, GREENROOM_DRAIN_SPREAD_SECONDS=str(SPREAD_SECONDS), GREENROOM_LOG_LEVEL="debug"
    ) as (service, crowd):
        room = str(service.boto3().create_room()["arn"])
        viewers = await crowd.fill(room, SPREAD_VIEWERS)
        (speaker,) = await crowd.speakers(room, 1)
        talking = asyncio.create_task(talk_to_the_end(speaker, random.Random(1)))
        token = crowd.token(room, "late")
        service.process.send_signal(signal.SIGTERM)
        await until(lambda: any(each.ended for each in viewers), "the first have ended")
        assert sum(each.ended for each in viewers) < SPREAD_VIEWERS // 2
        with contextlib.suppress(OSError):
            assert (await crowd.attempt(token)).status != 101
        assert not speaker.viewer.ended
        await talking
        assert await asyncio.to_thread(service.process.wait, PATIENCE) == 0
        await until(lambda: not crowd.viewers, "all connections have ended")
        last = speaker.viewer.texts
        for each in viewers:
            assert each.close_frame is None
            assert each.texts == last[: len(each.texts)]
        received = Counter(frame.request_id for frame in speaker.viewer.seen())
        assert set(speaker.echoed) <= set(received)
        assert len({len(each.texts) for each in viewers}) > 1
        measured("stress_messages_during_a_spread_drain", len(speaker.echoed))
    assert ends(service) == {"drain": SPREAD_VIEWERS + 1}


def assert_nothing_lost(viewers: list[Viewer], speakers: list[Speaker], late: Viewer) -> None:
    """Check that all streams of a room are the same, with every message that came back."""
    everybody = [*viewers, *(each.viewer for each in speakers)]
    frames = assert_same_streams(everybody)
    received = Counter(frame.request_id for frame in frames)
    echoed = {request_id for each in speakers for request_id in each.echoed}
    assert received == Counter(echoed)
    stream = viewers[0].texts
    assert late.texts == stream[len(stream) - len(late.texts) :], "who read late missed the end"
    assert late.texts, "who read late saw nothing"
    assert [each.close_frame for each in (*everybody, late) if each.close_frame] == []


def leave_free(service: Service, count: int) -> None:
    """Let the process open so many files more, and none beyond."""
    limit = descriptors(service) + count
    _, most = resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (limit, most))


async def come(crowd: Crowd, room: str, number: int) -> Viewer | None:
    """Connect while there may be no place; return the connection if there was one in time."""
    try:
        async with asyncio.timeout(IN_TIME):
            viewer = await crowd.attempt(crowd.token(room, f"user-{number}"))
    except (OSError, TimeoutError):
        return None
    return viewer if viewer.status == 101 else None


async def test_descriptors_exhausted(tmp_path: Path, scaled: Scaled, measured: Measured) -> None:
    """Without free descriptors new connections are refused or wait, and the old ones chat on.

    When some have left there is place again. The process never spins.
    """
    async with serving(tmp_path) as (service, crowd):
        room = str(service.boto3().create_room()["arn"])
        old = await crowd.fill(room, scaled(50), "old")
        (speaker,) = await crowd.speakers(room, 1)
        assert await speaker.say() is not None
        leave_free(service, FREE)
        came = await asyncio.gather(*(come(crowd, room, n) for n in range(TOO_MANY)))
        inside = [viewer for viewer in came if viewer is not None and not viewer.ended]
        measured("stress_let_in_of_60_descriptors", len(inside))
        assert 0 < len(inside) <= FREE
        for _ in range(50):
            assert await speaker.say() is not None
        share = await asyncio.to_thread(cpu_share, service, 1)
        measured("stress_cpu_share_without_descriptors", round(share, 3))
        assert share < GENEROUS
        await until(lambda: all(len(each.texts) == 51 for each in old), "the old ones see all")
        assert_same_streams([*old, speaker.viewer])
        for viewer in inside[: len(inside) // 2]:
            viewer.leave()
        await until(lambda: sum(each.ended for each in inside) >= len(inside) // 2, "half left")
        again = await asyncio.gather(*(come(crowd, room, n) for n in range(len(inside) // 2 - 5)))
        assert all(again), "there is place, but nobody gets in"
        assert await speaker.say() is not None


HOLDERS = 400
"""Clients that each hold a message of 65 KB open: 26 MB."""

MEBIBYTE = 1_048_576

PRESSED = "memory pressure: new connections are refused"


async def test_memory_pressure(tmp_path: Path, measured: Measured) -> None:
    """Above its memory's bound the process refuses new clients and keeps the old ones.

    The token of a refused client stays good. When memory is free again, it is let in.
    """
    with running(tmp_path / "probe", **UNTHROTTLED) as probe:
        bound = max(resident(probe) + 20 * MEBIBYTE, 64 * MEBIBYTE)
    async with serving(tmp_path, GREENROOM_MEMORY_BYTES=str(bound)) as (service, crowd):
        room = str(service.boto3().create_room()["arn"])
        viewers = await crowd.fill(room, 50)
        (speaker,) = await crowd.speakers(room, 1)
        holders = await crowd.fill(room, HOLDERS, "holder")
        for holder in holders:
            holder.send(client_frame(b"x" * 65_000, TEXT & 0x0F))
        await until(lambda: entries(service, PRESSED), "the process notices")
        measured("stress_memory_over_its_bound_by", resident(service) - bound)
        token = crowd.token(room, "late")
        assert (await crowd.attempt(token)).status == 503
        echoes = [await speaker.say() for _ in range(20)]
        assert all(echo is not None and echo.type == "MESSAGE" for echo in echoes)
        for holder in holders:
            holder.transport.abort()
        await until(lambda: entries(service, "memory pressure is over"), "it has memory again")
        assert (await crowd.attempt(token)).status == 101
        await until(lambda: all(len(each.texts) == 20 for each in viewers), "the old ones saw all")
        assert_same_streams([*viewers, speaker.viewer])
