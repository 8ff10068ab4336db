"""The parts that a test can slow down and break, each for itself."""

import asyncio
import json
import time
from typing import Any
from unittest.mock import Mock

import pytest

from greenroom.bus.base import Before, Deliver, RoomEnvelope
from greenroom.chatlog.base import DestinationFailed
from greenroom.model.errors import ThrottlingException
from greenroom.review.target import Failure, InvocationFailed
from greenroom.storage.base import StorageUnavailable
from greenroom.testing.controlled import (
    FULL_AGAIN,
    BreakableStore,
    Logs,
    MovedClock,
    Reviews,
    Throttled,
    WatchedApplication,
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


def test_time_that_nobody_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the machine's, to the nanosecond; what is moved is added to it."""
    machine = Mock(time_ns=lambda: 5, monotonic=lambda: 7.0)
    monkeypatch.setattr("greenroom.testing.controlled.time", machine)
    clock = MovedClock()
    assert (clock.wall_ns(), clock.monotonic()) == (5, 7.0)
    clock.advance(2)
    clock.advance(0.5)
    assert (clock.wall_ns(), clock.monotonic()) == (2_500_000_005, 9.5)
    clock.reset()
    assert (clock.wall_ns(), clock.monotonic()) == (5, 9.5 + FULL_AGAIN)


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
    with pytest.raises(StorageUnavailable, match="the test has the storage fail"):
        store.check()
    store.fails = False
    store.check()
    store.close()
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
    assert watched.kept() is line.kept.return_value


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
    for each in ("firehose:*", "s3:bucket"):
        logs.fail(each)
    with pytest.raises(DestinationFailed):
        await logs.check(target)
    logs.clear()
    await logs.check(target)


@pytest.mark.parametrize(
    ("said", "failure"), [("timed_out", Failure.TIMED_OUT), ("KeyError", Failure.HANDLER_ERROR)]
)
async def test_reviews_that_fail(said: str, failure: Failure) -> None:
    """In time or not: the room's fallback decides, as it does of a handler of AWS."""
    reviews = Reviews(lambda _: None)
    reviews.ask_test()
    assert reviews.target is not None
    await reviews.target.prepare("uri")
    assert await reviews.target.problem("uri") is None
    asking = asyncio.create_task(reviews.target.invoke("uri", b"{}"))
    await asyncio.sleep(0)
    reviews.settle(1, {"failed": said})
    with pytest.raises(InvocationFailed, match=said) as failed:
        await asking
    assert failed.value.failure is failure
    await reviews.target.close()
    await reviews.close()


async def test_what_destinations_were_given() -> None:
    """Each record as it was delivered; where it fails nothing is kept."""
    logs, target = Logs(), Mock(kind="s3", configuration="arn:c")
    target.name = "bucket"
    records: Any = [
        Mock(payload=b'{"n": 1}', room="arn:r"),
        Mock(payload=b'{"n": 2}', room="arn:r"),
    ]
    assert await logs.deliver(target, records) == 0
    common = {"configuration": "arn:c", "kind": "s3", "name": "bucket", "room": "arn:r"}
    assert list(logs.kept) == [{**common, "frame": {"n": 1}}, {**common, "frame": {"n": 2}}]
    logs.fail("*")
    with pytest.raises(DestinationFailed):
        await logs.deliver(target, records)
    assert len(logs.kept) == 2
    logs.clear()
    assert not logs.kept
    await logs.close()


class Watched:
    """An application that is watched, over one that answers as the test says."""

    def __init__(self) -> None:
        self.throttled = Throttled()
        self.watched = WatchedApplication(self.throttled)
        self.status, self.headers = 200, [(b"x", b"y")]
        self.application = self.watched.over(self._answer)
        self.bodies: list[bytes] = []

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        self.bodies.append(b"")
        while True:
            message = await receive()
            self.bodies[-1] += message.get("body", b"")
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"done"})

    async def ask(self, path: str, *body: bytes, agent: str = "") -> list[Any]:
        """Ask for an operation; return what is sent."""
        parts = [{"type": "http.request", "body": each, "more_body": True} for each in body]
        parts.append({"type": "http.request"})
        sent: list[Any] = []

        async def receive() -> Any:
            return parts.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"user-agent", agent.encode())] if agent else []
        scope: Any = {"method": "POST", "raw_path": path.encode(), "headers": headers}
        await self.application(scope, receive, send)
        return sent


async def test_requests_are_remembered() -> None:
    """With what was asked and how it ended; the answer is what the service says."""
    asked = Watched()
    sent = await asked.ask("/GetRoom", b'{"ident', b'ifier": "a"}')
    assert [message.get("body", message.get("status")) for message in sent] == [200, b"done"]
    asked.status, asked.headers = 404, [(b"x-amzn-errortype", b"ResourceNotFoundException")]
    await asked.ask("/ListRooms", agent="aws-sdk")
    await asked.ask("/CreateRoom", b"no json")
    assert asked.bodies == [b'{"identifier": "a"}', b"", b"no json"]
    names = ("operation", "parameters", "status", "error")
    assert [tuple(each[name] for name in names) for each in asked.watched.requests] == [
        ("GetRoom", {"identifier": "a"}, 200, None),
        ("ListRooms", {}, 404, "ResourceNotFoundException"),
        ("CreateRoom", None, 404, "ResourceNotFoundException"),
    ]


@pytest.mark.parametrize(("path", "agent"), [("/health", ""), ("/GetRoom", "greenroom-testing/1")])
async def test_requests_that_are_not_the_applications(path: str, agent: str) -> None:
    """They are answered, and neither remembered nor refused."""
    asked = Watched()
    asked.throttled.add("GetRoom", None)
    assert (await asked.ask(path, agent=agent))[0]["status"] == 200
    assert not asked.watched.requests


async def test_operations_that_are_refused() -> None:
    """As too many, without the service: it is not asked; the next one is another matter."""
    asked = Watched()
    asked.throttled.add("GetRoom", 1)
    start, body = await asked.ask("/GetRoom", b"{}")
    assert (start["status"], dict(start["headers"])[b"x-amzn-errortype"]) == (
        429,
        b"ThrottlingException",
    )
    told = json.loads(body["body"])
    assert "rate limit exceeded" in told["message"].lower()
    assert (told["resourceId"], told["resourceType"], told["limit"]) == ("test", "ROOM", 0)
    assert asked.bodies == []
    assert list(asked.watched.requests) == [
        {
            "operation": "GetRoom",
            "parameters": {},
            "status": 429,
            "error": "ThrottlingException",
        }
    ]
    assert (await asked.ask("/GetRoom"))[0]["status"] == 200
