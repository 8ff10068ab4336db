"""A short soak, and what one notices: what viewers see, what stays behind, and what grows."""

import asyncio
import json
import resource
import time
from collections.abc import Iterator

import msgspec
import pytest

from benchmarks.soak import Sample, Wanted, judged, soaked_by, table
from benchmarks.soak_viewers import Room, Seen, Viewer

SECONDS = 20
"""How long the service is soaked among the tests; an hour is `make bench-soak`."""

SAMPLE = Sample(
    minutes=1.0,
    connections=5_000,
    resident=100_000,
    descriptors=30,
    cpu=10.0,
    database=1_000,
    p50=10.0,
    p99=50.0,
    delivered=1_000,
    came=100,
)


@pytest.fixture
def open_files() -> Iterator[None]:
    """Leave this process's limit as it was."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("open_files")
def test_a_short_soak() -> None:
    """Over TLS, with viewers that come and go, nothing is missed, and nothing stays behind.

    Chat logs of all rooms have each message once and in order, and memory and descriptors are flat.
    """
    wanted = Wanted(seconds=SECONDS, connections=300, rooms=20, samples=4)
    soaked = soaked_by(wanted)
    assert soaked.faults == []
    assert soaked.said > 0
    for sample in soaked.samples:
        assert sample.delivered > 0
        assert sample.came > 0
    assert "wrong: nothing" in table(soaked, wanted).notes[-1]


def grown(**figures: float) -> list[Sample]:
    """Return the samples of a soak whose second half has other figures."""
    return [SAMPLE] * 4 + [msgspec.structs.replace(SAMPLE, **figures)] * 4


@pytest.mark.parametrize(
    ("figures", "seconds", "says"),
    [
        ({}, 3600, None),
        ({"resident": 113_100}, 3600, None),
        ({"resident": 114_000}, 3600, "memory grew from 100,000 to 114,000 KiB"),
        ({"resident": 115_000, "database": 6_000}, 3600, None),
        ({"descriptors": 46}, 3600, None),
        ({"descriptors": 47}, 3600, "descriptors"),
        ({"p50": 30.0}, 3600, None),
        ({"p50": 31.0}, 3600, "median latency grew from 10.0 to 31.0 ms"),
        ({"p50": 500.0}, 20, None),
    ],
)
def test_what_grows(figures: dict[str, float], seconds: float, says: str | None) -> None:
    """The last quarter is compared with the second one; a short soak says nothing of latency."""
    found = list(judged(grown(**figures), seconds))
    assert len(found) == (says is not None)
    assert says is None or says in found[0]


class Wire(asyncio.Transport):
    """Takes what a viewer writes."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep nothing."""

    def is_closing(self) -> bool:
        """Stay open."""
        return False

    def close(self) -> None:
        """Stay open."""


class Told:
    """A viewer that came when so many messages had been said, and what it is told."""

    def __init__(self, said: int) -> None:
        self.room = Room("arn", iter(["token", "token"]))
        self.room.said = said
        self.seen = Seen()
        other, self.viewer = (Viewer(self.room, self.seen, "host:1") for _ in range(2))
        self.room.viewers += [other, self.viewer]
        self.viewer.connection_made(Wire())
        self.viewer.data_received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")

    def tell(self, *numbers: int) -> list[str]:
        """Show the messages; return what is wrong."""
        for number in numbers:
            self.frame({"Type": "MESSAGE", "Content": f"{number} {time.monotonic_ns()} x"})
        return self.seen.faults

    def frame(self, members: dict[str, str]) -> None:
        """Show a frame."""
        payload = json.dumps(members).encode()
        self.viewer.data_received(bytes((0x81, len(payload))) + payload)


async def test_what_a_viewer_must_see() -> None:
    """From the first message on that was said when it was in: each once, and in order."""
    assert Told(5).tell(5, 6, 7) == []
    assert Told(5).tell(3, 4, 5) == [], "what was on its way may come"
    assert Told(5).tell(6) == ["message 6 came where 5 was to come"]
    assert Told(5).tell(5, 7) == ["message 7 came where 6 was to come"]
    assert Told(5).tell(5, 5) == ["message 5 came where 6 was to come"]
    assert Told(5).tell(6, 5) == [
        "message 6 came where 5 was to come",
        "message 5 came where 7 was to come",
    ]


async def test_what_a_viewer_must_have_seen() -> None:
    """Up to what was confirmed when it left; and it is not closed, nor shown an error."""
    told = Told(5)
    told.tell(5, 6)
    told.viewer.check(7)
    told.viewer.check(5)
    assert told.seen.faults == []
    told.viewer.check(8)
    assert told.seen.faults == ["a viewer missed 1 messages at the end"]
    silent = Told(5)
    silent.viewer.check(5)
    assert silent.seen.faults == []
    silent.viewer.check(6)
    assert silent.seen.faults == ["a viewer missed 1 messages at the end"]
    refused = Told(5)
    refused.frame({"Type": "ERROR", "ErrorMessage": "no"})
    refused.viewer.data_received(b"\x88\x04\x03\xe9ba")
    refused.viewer.connection_lost(None)
    assert refused.seen.faults == [
        "not a message: ERROR no",
        "the service closed a connection: b'ba'",
        "a connection was closed: no reason",
    ]
    assert refused.seen.open == 0
