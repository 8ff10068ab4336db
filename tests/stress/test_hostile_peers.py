"""Peers that are silent, broken or hostile, next to healthy ones who must not notice."""

import asyncio
import json
import random
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.conftest import Measured
from tests.running.process import resident, serving
from tests.running.said import ends
from tests.running.viewers import Crowd, Speaker, Viewer, assert_same_streams, at_once, until
from tests.running.wire import CLOSE, PING, TEXT, client_frame
from tests.stress.conftest import Scaled

HEALTHY, SILENT, HOSTILE = 100, 100, 1_000
GROWTH = 16 << 20
"""Bytes of memory that any number of hostile peers, so many at a time, may cost."""

LIMIT = 65_536
"""The default of the setting frame_bytes."""

START, MIDDLE, END = 0x01, 0x00, 0x80
"""First bytes of a text message's fragments."""


@asynccontextmanager
async def neighbours(crowd: Crowd, room: str, count: int) -> AsyncIterator[Speaker]:
    """Keep a room talking; in the end all healthy viewers must have seen all of it, once."""
    viewers = await crowd.fill(room, count, "healthy")
    (speaker,) = await crowd.speakers(room, 1, "steady")
    over = asyncio.Event()

    async def talk() -> None:
        while not over.is_set():
            assert await speaker.say() is not None
            await asyncio.sleep(0.005)

    talking = asyncio.create_task(talk())
    try:
        yield speaker
    finally:
        over.set()
        await talking
    await until(
        lambda: all(speaker.sent[-1].encode() in each.texts[-1] for each in viewers),
        "all healthy viewers have seen the last message",
    )
    frames = assert_same_streams([*viewers, speaker.viewer])
    assert [each.request_id for each in frames if each.request_id] == speaker.sent
    assert not any(each.ended for each in viewers)


async def test_half_open_peers(tmp_path: Path, scaled: Scaled) -> None:
    """Peers that never answer a ping are dropped, by name and without a close frame.

    Those who answer stay, and see everything.
    """
    variables = {"GREENROOM_PING_INTERVAL_SECONDS": "1"}
    async with serving(tmp_path, **variables) as (service, crowd):
        room = str(service.boto3().create_room()["arn"])
        async with neighbours(crowd, room, scaled(HEALTHY)):
            silent = await crowd.fill(room, scaled(SILENT), "silent")
            for each in silent:
                each.answers_pings = False
            await until(lambda: all(each.ended for each in silent), "the silent are dropped")
        assert ends(service) == {"silent_peer": len(silent)}
        assert {(each.pings, each.close_frame) for each in silent} == {(2, None)}


def oversize(chance: random.Random) -> bytes:
    """Announce more than is taken, and send some of it."""
    size = chance.choice((LIMIT + 1, 2 * LIMIT, 2**32, 2**62))
    return bytes((TEXT, 0xFF)) + size.to_bytes(8, "big") + bytes(4) + bytes(5000)


def flood_of_fragments(chance: random.Random) -> bytes:
    """Never end a message."""
    size = chance.choice((0, 1, 100))
    return client_frame(b"", START) + client_frame(b"x" * size, MIDDLE) * 5000


def large_fragments(chance: random.Random) -> bytes:
    """Send a message whose fragments are too much together only."""
    return client_frame(b"x" * 40_000, START) + client_frame(b"x" * 30_000, MIDDLE)


def reserved(chance: random.Random) -> bytes:
    """Set a bit or an opcode that nobody agreed on."""
    return client_frame(b"x", chance.choice((0xC1, 0xA1, 0x91, 0x83, 0x87, 0x8B, 0x8F)))


def unmasked(chance: random.Random) -> bytes:
    """Send a frame as only servers do."""
    return client_frame(b"x" * chance.randrange(1000), mask=None)


def out_of_order(chance: random.Random) -> bytes:
    """Continue nothing, or begin a message within a message."""
    return chance.choice(
        (client_frame(b"x", MIDDLE), client_frame(b"x", START) + client_frame(b"x"))
    )


def bad_control(chance: random.Random) -> bytes:
    """Send a control frame that is too long, or in fragments, or a close code that is none."""
    code = chance.choice((0, 999, 1005, 1006, 1015, 2999, 5000)).to_bytes(2, "big")
    return chance.choice(
        (client_frame(b"x" * 126, PING), client_frame(b"", 0x09), client_frame(code, CLOSE))
    )


def binary(chance: random.Random) -> bytes:
    """Send what is no text."""
    return client_frame(chance.randbytes(100), 0x82)


def not_text(chance: random.Random) -> bytes:
    """Send text that is not UTF-8."""
    return client_frame(b"hello" * 20 + chance.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80")))


CODES: dict[Callable[[random.Random], bytes], int] = {
    oversize: 1009,
    flood_of_fragments: 1009,
    large_fragments: 1009,
    reserved: 1002,
    unmasked: 1002,
    out_of_order: 1002,
    bad_control: 1002,
    binary: 1003,
    not_text: 1007,
}
"""What hostile peers send, and the close code that answers it."""


async def in_pieces(viewer: Viewer, data: bytes, chance: random.Random) -> None:
    """Send bytes in up to five pieces, and no pong between them."""
    viewer.answers_pings = False
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(5)))
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        viewer.send(data[begin:end])
        await asyncio.sleep(0)


async def attack(crowd: Crowd, room: str, seed: int) -> None:
    """Say something well-formed, then something that is not; see the right end."""
    chance = random.Random(seed)
    kind = chance.choice(list(CODES))
    viewer = await crowd.enter(room, "hostile")
    await in_pieces(viewer, client_frame(b"", PING) + kind(chance), chance)
    await until(lambda: viewer.close_frame is not None or viewer.ended, f"{kind.__name__}: an end")
    assert viewer.close_code == CODES[kind], kind.__name__
    await until(lambda: viewer.ended, f"{kind.__name__}: the end of the connection")


async def speak_in_fragments(crowd: Crowd, room: str, seed: int) -> None:
    """Send a message in many fragments with pings between them; it is one message."""
    chance = random.Random(seed)
    action = {"Action": "SEND_MESSAGE", "Content": secrets.token_hex(100)}
    text = json.dumps(action).encode()
    size = chance.randint(1, len(text) - 1)
    first, *rest = (text[start : start + size] for start in range(0, len(text), size))
    middle = [client_frame(each, MIDDLE) + client_frame(b"", PING) for each in rest[:-1]]
    data = client_frame(first, START) + b"".join(middle) + client_frame(rest[-1], END)
    viewer = await crowd.enter(room, "odd")
    await in_pieces(viewer, data, chance)
    content = action["Content"].encode()
    await until(lambda: any(content in each for each in viewer.texts), "the message is there")
    viewer.leave()
    await until(lambda: viewer.ended, "who leaves is gone")


async def test_hostile_frames(
    tmp_path: Path, chance: random.Random, scaled: Scaled, measured: Measured
) -> None:
    """Every malformed, oversize or endless frame ends its connection with the code that says why.

    Well-formed fragments beside them are one message, the healthy viewers of the same room see an
    exact stream and are never dropped, and the process's memory does not grow with what was sent.
    """
    async with serving(tmp_path, GREENROOM_LOG_LEVEL="info") as (service, crowd):
        room = str(service.boto3().create_room()["arn"])
        async with neighbours(crowd, room, scaled(HEALTHY) // 2):
            seeds = [chance.randrange(2**32) for _ in range(scaled(HOSTILE))]
            await at_once((attack(crowd, room, seed) for seed in seeds[:200]), 50)
            before = resident(service)
            await at_once((attack(crowd, room, seed) for seed in seeds), 50)
            grown = resident(service) - before
            await at_once((speak_in_fragments(crowd, room, seed) for seed in seeds[:50]), 10)
        measured("stress_bytes_kept_after_hostile_frames", grown)
        assert grown < GROWTH
        named = Counter(ends(service))
        assert set(named) == {
            "protocol_error",
            "message_too_big",
            "unsupported_data",
            "invalid_text",
        }
        assert named.total() == len(seeds) + len(seeds[:200])
