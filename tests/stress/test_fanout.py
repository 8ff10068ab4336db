"""Everybody sees everything once, in one order."""

import asyncio
import json
import random
import time
from pathlib import Path

import pytest

from tests.conftest import Measured
from tests.running.process import serving
from tests.running.said import ends
from tests.running.viewers import (
    Speaker,
    Viewer,
    assert_same_streams,
    at_once,
    percentile,
    until,
)
from tests.running.wire import client_frame
from tests.stress.conftest import Scaled

ROOMS, VIEWERS, SPEAKERS, MESSAGES = 12, 40, 3, 60
LARGE_ROOM = 1300
"""Connections: more than are written to in one slice."""

both_ways = pytest.mark.parametrize("way", ["auto", "off"])
"""With io_uring where the system allows it, and without."""

BIG = {"pad": "\x01" * 900}
"""Attributes of 900 bytes that take 5 KB as JSON."""


async def talk(speaker: Speaker, messages: int, chance: random.Random) -> None:
    """Send messages of every size, one by one and in bursts, and see each come back."""
    left = messages
    while left:
        burst = min(left, chance.choice((1, 1, 2, 5, 20)))
        contents = [chance.choice("aé漢😀") * chance.randint(1, 120) for _ in range(burst)]
        answers = await asyncio.gather(*(speaker.say(content) for content in contents))
        for answer, content in zip(answers, contents, strict=True):
            assert answer is not None
            assert (answer.type, answer.content) == ("MESSAGE", content)
        await asyncio.sleep(chance.choice((0, 0, 0.001, 0.03)))
        left -= burst


def assert_exact(viewers: list[Viewer], speakers: list[Speaker], events: int = 0) -> None:
    """Check that all saw each message and event once, in one order, which keeps every sender's."""
    frames = assert_same_streams([*viewers, *(each.viewer for each in speakers)])
    assert len(frames) == sum(len(each.sent) for each in speakers) + events
    for speaker in speakers:
        theirs = [each.request_id for each in frames if each.request_id in set(speaker.sent)]
        assert theirs == speaker.sent, f"{speaker.name}'s messages"


async def test_many_rooms(
    tmp_path: Path, chance: random.Random, scaled: Scaled, measured: Measured
) -> None:
    """Every viewer sees every message of its room once, and no other room's, in the room's order.

    The order is the same for all viewers of a room, and each sender's messages keep theirs.
    """
    async with serving(tmp_path) as (service, crowd):
        api = service.boto3()
        rooms = [str(api.create_room()["arn"]) for _ in range(scaled(ROOMS))]
        viewers = [await crowd.fill(room, VIEWERS) for room in rooms]
        speakers = [
            await crowd.speakers(room, SPEAKERS, f"room-{number}")
            for number, room in enumerate(rooms)
        ]
        begun = time.monotonic()
        await asyncio.gather(
            *(talk(each, MESSAGES, chance) for group in speakers for each in group)
        )
        total = MESSAGES * SPEAKERS
        await until(
            lambda: all(len(each.texts) >= total for group in viewers for each in group),
            "every viewer has seen every message",
        )
        for group, senders in zip(viewers, speakers, strict=True):
            assert_exact(group, senders)
        delivered = len(rooms) * total * (VIEWERS + SPEAKERS)
        measured("stress_deliveries_per_second", round(delivered / (time.monotonic() - begun)))


@both_ways
async def test_large_room(way: str, tmp_path: Path, chance: random.Random, scaled: Scaled) -> None:
    """In a room that is written to in slices all see one stream, those who come and go included.

    Who joins late sees the end of the stream without a gap, all that was sent after its 101
    included; who leaves early saw the beginning of it without a gap.
    """
    async with serving(tmp_path, GREENROOM_IO_URING=way) as (service, crowd):
        room = str(service.boto3().create_room()["arn"])
        viewers = await crowd.fill(room, scaled(LARGE_ROOM))
        leaving = [viewers.pop(chance.randrange(len(viewers))) for _ in range(50)]
        speakers = await crowd.speakers(room, SPEAKERS)
        late: list[tuple[Viewer, set[str]]] = []
        kick = {"Action": "DISCONNECT_USER", "UserId": "nobody"}

        async def come_and_go() -> None:
            for viewer in leaving:
                await asyncio.sleep(chance.uniform(0, 0.03))
                newcomer = await crowd.enter(room, "late")
                before = {request_id for each in speakers for request_id in each.sent}
                late.append((newcomer, before))
                viewer.leave()
                # Its event is written at once, whatever is being written.
                speakers[0].viewer.send(client_frame(json.dumps(kick).encode()))

        await asyncio.gather(come_and_go(), *(talk(each, 40, chance) for each in speakers))
        await asyncio.gather(*(talk(each, 1, chance) for each in speakers))
        total = sum(len(each.sent) for each in speakers) + len(leaving)
        await until(
            lambda: (
                all(len(each.texts) >= total for each in viewers)
                and all(each.texts[-1:] == viewers[0].texts[-1:] for each, _ in late)
            ),
            "everybody has seen the last message",
        )
        assert_exact(viewers, speakers, len(leaving))
        stream = viewers[0].texts
        assert_suffixes(late, stream, viewers[0])
        await until(lambda: all(each.ended for each in leaving), "who leaves is gone")
        for viewer in leaving:
            assert viewer.texts == stream[: len(viewer.texts)]


def assert_suffixes(late: list[tuple[Viewer, set[str]]], stream: list[bytes], one: Viewer) -> None:
    """Check that latecomers saw the end of the stream, with all that was sent after their 101."""
    order = [frame.request_id for frame in one.seen()]
    for viewer, before in late:
        begin = len(stream) - len(viewer.texts)
        assert begin >= 0
        assert viewer.texts == stream[begin:]
        assert set(order[:begin]) - {""} <= before


@both_ways
async def test_slow_readers(
    way: str, tmp_path: Path, chance: random.Random, scaled: Scaled, measured: Measured
) -> None:
    """Readers that stop reading are dropped, by name; the others see everything in order.

    Nobody else is dropped, and a reader that is only late for a moment is not.
    """
    variables = {"GREENROOM_OUTBOUND_QUEUE_BYTES": "65536", "GREENROOM_IO_URING": way}
    async with serving(tmp_path, **variables) as (service, crowd):
        room = str(service.boto3().create_room()["arn"])
        viewers = await crowd.fill(room, scaled(150))
        (speaker,) = await crowd.speakers(room, 1)
        arrivals: list[float] = []
        sent = [0.0]
        for viewer in viewers:
            viewer.on_text = lambda _: arrivals.append(time.monotonic() - sent[0])

        async def say() -> None:
            sent[0] = time.monotonic()
            assert await speaker.say(attributes=BIG) is not None

        async def speak(count: int) -> float:
            arrivals.clear()
            for _ in range(count):
                await say()
            await until(lambda: len(arrivals) == count * len(viewers), "all have seen them")
            return round(percentile(arrivals, 0.99) * 1000, 1)

        measured(f"stress_p99_ms_without_slow_readers_{way}", await speak(50))
        slow = await at_once(
            crowd.enter(room, f"slow-{number}", receive_buffer=4096) for number in range(scaled(30))
        )
        for each in slow:
            each.transport.pause_reading()
        late = chance.sample(viewers, 5)
        for each in late:
            each.transport.pause_reading()
            asyncio.get_running_loop().call_later(0.05, each.transport.resume_reading)
        measured(f"stress_p99_ms_with_slow_readers_{way}", await speak(100))
        while ends(service)["slow_reader"] < len(slow):
            assert len(speaker.sent) < 5000, "the slow readers were not dropped"
            await speak(50)
        assert_exact(viewers, [speaker])
        assert ends(service) == {"slow_reader": len(slow)}
        assert not any(each.ended for each in viewers)
