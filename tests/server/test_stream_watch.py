"""What a node tells of the streams: once when it begins, once when it is over."""

import asyncio
from collections.abc import Awaitable

import pytest
from structlog.testing import capture_logs

from greenroom.bus.figures import StreamsFound
from greenroom.server.stream_watch import LOOK_SECONDS, StreamWatch
from greenroom.telemetry.metrics import Metrics

LACKING = StreamsFound(copies_behind=17, servers_behind=("n3",), fullest=0.5)
WELL = StreamsFound()
LEADERLESS = StreamsFound(leaderless=tuple(f"ROOMS_{each:02}" for each in range(6)))


def values(metrics: Metrics) -> list[float]:
    """Return the three figures."""
    readings = (
        *(metrics.streams_without_leader, metrics.stream_copies_behind, metrics.stream_fullness),
    )
    return [next(iter(each.collect())).samples[0].value for each in readings]


def test_copies_that_lack() -> None:
    """They are told of at the second look: after a start of a server they catch up."""
    metrics = Metrics()
    watch = StreamWatch(_never, metrics, lambda: 1)
    with capture_logs() as logs:
        told = []
        for found in (LACKING, WELL, LACKING, LACKING, LACKING, WELL, WELL):
            watch.take(found)
            told.append(len(logs))
    assert told == [0, 0, 0, 1, 1, 2, 2]
    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("warning", "streams lack copies: a NATS server is away, or catches up"),
        ("info", "streams have all copies again"),
    ]
    assert (logs[0]["copies"], logs[0]["servers"]) == (17, "n3")
    watch.take(LACKING)
    assert values(metrics) == [0, 17, 0.5]


def test_streams_without_a_leader() -> None:
    """They are told of at once, the first few by name."""
    metrics = Metrics()
    watch = StreamWatch(_never, metrics, lambda: 1)
    with capture_logs() as logs:
        for found in (LEADERLESS, LEADERLESS, StreamsFound(), StreamsFound()):
            watch.take(found)
    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("error", "streams have no leader"),
        ("info", "streams have leaders again"),
    ]
    assert (logs[0]["streams"], logs[0]["named"]) == (6, "ROOMS_00, ROOMS_01, ROOMS_02, ROOMS_03")
    watch.take(LEADERLESS)
    assert values(metrics) == [6, 0, 0]


def _never() -> Awaitable[StreamsFound | None]:
    raise AssertionError


class Ended(Exception):
    """The test is over."""


async def test_it_looks_now_and_then() -> None:
    """Where nobody can be asked nothing changes; a fault of ours is told, and looking goes on."""
    metrics, waited, nodes = Metrics(), list[float](), [1, 2, 40, 40, 40]
    answers: list[StreamsFound | Exception | None] = [LACKING, None, ValueError("no"), LEADERLESS]

    async def look() -> StreamsFound | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        if not answers:
            raise Ended
        await asyncio.sleep(0)

    with capture_logs() as logs, pytest.raises(Ended):
        await StreamWatch(look, metrics, lambda: nodes.pop(0), wait).run()
    # All nodes together ask about as often, however many there are.
    assert waited == [LOOK_SECONDS, LOOK_SECONDS, 40, 40, 40]
    assert [line["event"] for line in logs] == [
        "looking at streams crashed",
        "streams have no leader",
    ]
