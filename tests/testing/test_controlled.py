"""The parts that a test can slow down and break, each for itself."""

import asyncio
import time
from typing import Any
from unittest.mock import Mock

import pytest

from greenroom.bus.base import Before, Deliver, RoomEnvelope
from greenroom.model.errors import ThrottlingException
from greenroom.storage.base import StorageUnavailable
from greenroom.testing.controlled import (
    FULL_AGAIN,
    BreakableStore,
    Logs,
    MovedClock,
    Reviews,
    Throttled,
    WatchedLine,
)


def test_time_is_moved_forward_and_back() -> None:
    """The wall's goes back with a reset, the other one never; every rate is whole by then."""
    clock, wall, passed = MovedClock(), time.time_ns(), time.monotonic()
    assert 0 <= clock.wall_ns() - wall < 60e9
    clock.advance(3600)
    assert 3600e9 <= clock.wall_ns() - wall < 3660e9
    assert 3600 <= clock.monotonic() - passed < 3660
    clock.reset()
    assert 0 <= clock.wall_ns() - wall < 60e9
    assert 3600 + FULL_AGAIN <= clock.monotonic() - passed < 3660 + FULL_AGAIN


def test_what_is_refused() -> None:
    """So often as was said, or until it is taken back."""
    throttled = Throttled()
    throttled.add("once", 1)
    throttled.add("always", None)
    assert [throttled.takes("once") for _ in range(3)] == [True, False, False]
    assert [throttled.takes("always") for _ in range(3)] == [True] * 3
    assert not throttled.takes("other")
    throttled.remove("always")
    throttled.remove("never there")
    assert not throttled.takes("always")
    throttled.add("thrice", 3)
    assert [throttled.takes("thrice") for _ in range(5)] == [True] * 3 + [False] * 2
    throttled.add("more", 2)
    throttled.clear()
    assert not throttled.takes("more")


def test_a_store_that_fails() -> None:
    """While the test says so."""
    store = BreakableStore()
    store.check()
    store.fails = True
    with pytest.raises(StorageUnavailable):
        store.check()


def test_a_line_that_is_watched() -> None:
    """Whatever is asked of it is asked of the line, and answered by it."""
    line: Any = Mock(skew_ns=7)
    watched = WatchedLine(Throttled())
    assert watched.over(line) is watched
    assert watched.skew_ns == 7
    receiver = Mock()
    watched.on_arrival(receiver)
    watched.on_debit(receiver)
    line.on_arrival.assert_called_once_with(receiver)
    line.on_debit.assert_called_once_with(receiver)
    assert watched.follow("room") is line.follow.return_value
    watched.unfollow("room")
    line.unfollow.assert_called_once_with("room")
    assert watched.settled() is line.settled.return_value


def test_what_a_line_is_shown() -> None:
    """What is granted is remembered, what is refused is not, and is not published either."""
    throttled, granted = Throttled(), Deliver(b"{}", "SendMessage")
    throttled.add("SendMessage", 1)
    line: Any = Mock(skew_ns=0)
    line.publish.side_effect = lambda room, grant: grant(Before(0, 0))
    watched = WatchedLine(throttled)
    watched.over(line)

    def grant(before: Before) -> RoomEnvelope:
        return granted

    with pytest.raises(ThrottlingException):
        watched.publish("room", grant)
    assert not watched.shown
    published: object = watched.publish("room", grant)
    assert published is granted
    assert list(watched.shown) == [("room", b"{}")]


async def test_reviews_wait_for_the_test() -> None:
    """Each is answered by its number; an answer that nobody waits for is no fault."""
    sent: list[dict[str, object]] = []
    reviews = Reviews(sent.append)
    assert await reviews.find("uri") is None
    reviews.ask_test()
    target = await reviews.find("uri")
    assert target is not None
    asking = asyncio.create_task(target.invoke("uri", b'{"Content":"hi"}'))
    await asyncio.sleep(0)
    assert sent == [{"review": 1, "event": {"Content": "hi"}, "uri": "uri"}]
    reviews.settle(2, {})
    for _ in range(2):
        reviews.settle(1, {"answer": {"ReviewResult": "ALLOW"}})
    assert await asking == b'{"ReviewResult": "ALLOW"}'
    reviews.settle(1, {})
    assert not reviews._waiting


@pytest.mark.parametrize(
    ("pattern", "fails"), [("*", True), ("s3:bucket", True), ("s3:b*", True), ("firehose:*", False)]
)
async def test_destinations_that_fail(pattern: str, fails: bool) -> None:
    """By their kind and name, until they are mended."""
    logs, target = Logs(), Mock(kind="s3")
    target.name = "bucket"
    logs.fail(pattern)
    if fails:
        with pytest.raises(Exception, match="the test has it fail"):
            await logs.check(target)
    else:
        await logs.check(target)
    logs.mend(pattern)
    logs.mend(pattern)
    await logs.check(target)
    logs.fail(pattern)
    logs.clear()
    await logs.check(target)
