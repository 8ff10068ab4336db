"""Parts of a service that a test can slow down, break, and look into."""

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from greenroom.aws import rest_json, service
from greenroom.bus.base import Arrival, Before, Debit, Grant, Position, RoomEnvelope, RoomLine
from greenroom.chatlog.base import DestinationFailed, FailureKind, Target
from greenroom.control.asgi import Application, Receive, Scope, Send, answer, header_of
from greenroom.model.errors import ServiceError, ThrottlingException
from greenroom.model.log_record import Record
from greenroom.policies.wildcards import glob, tokens
from greenroom.protocol.errors import RATE_LIMIT_EXCEEDED
from greenroom.review.function import FunctionTarget
from greenroom.review.target import Failure, InvocationFailed, ReviewTarget
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.memory.opened import Opened

RECORDED = 10_000
"""How many of a kind are remembered: the oldest go."""

OWN_AGENT = b"greenroom-testing"
"""What the fixtures' own requests call themselves: they are not those of the application."""

FULL_AGAIN = 10.0
"""Seconds after which every rate is whole: a bucket holds one second's worth, or owes as much."""

Members = dict[str, object]


class MovedClock:
    """The time of the machine, and how far a test has moved it."""

    def __init__(self) -> None:
        self._ahead_ns = 0
        self._passed = 0.0

    def wall_ns(self) -> int:
        """Return nanoseconds since the epoch."""
        return time.time_ns() + self._ahead_ns

    def monotonic(self) -> float:
        """Return seconds that only rise: what a test has moved stays moved."""
        return time.monotonic() + self._passed

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        self._ahead_ns += round(seconds * 1e9)
        self._passed += seconds

    def reset(self) -> None:
        """Show the time of the machine again; every rate is whole by then."""
        self._ahead_ns = 0
        self._passed += FULL_AGAIN


class Throttled:
    """What is refused as too much, and how often yet; None is always."""

    def __init__(self) -> None:
        self._left: dict[str, int | None] = {}

    def add(self, name: str, times: int | None) -> None:
        """Refuse an operation or an action so often."""
        self._left[name] = times

    def remove(self, name: str) -> None:
        """Refuse it no more."""
        self._left.pop(name, None)

    def clear(self) -> None:
        """Refuse nothing."""
        self._left.clear()

    def takes(self, name: str) -> bool:
        """Return whether this one is refused, and count it."""
        left = self._left.get(name, 0)
        if left:
            self._left[name] = left - 1
        return left is None or left > 0


class BreakableStore(Opened):
    """Asked at each call of a store in memory, whether it is to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False

    def check(self) -> None:
        if self.fails:
            raise StorageUnavailable("the test has the storage fail")
        super().check()


class WatchedLine:
    """A `RoomLine` that remembers what is granted, and refuses what the test has refused."""

    def __init__(self, throttled: Throttled) -> None:
        self.shown: deque[tuple[str, bytes]] = deque(maxlen=RECORDED)
        """Rooms and the frames that were published in them."""
        self.skew_ns = 0
        self._throttled = throttled
        self._line: RoomLine

    def over(self, line: RoomLine) -> RoomLine:
        """Stand before a line."""
        self._line, self.skew_ns = line, line.skew_ns
        return self

    def on_arrival(self, receiver: Callable[[Arrival], None]) -> None:
        self._line.on_arrival(receiver)

    def on_debit(self, receiver: Debit) -> None:
        self._line.on_debit(receiver)

    def follow(self, room: str) -> Awaitable[None] | None:
        return self._line.follow(room)

    def unfollow(self, room: str) -> None:
        self._line.unfollow(room)

    def kept(self) -> Awaitable[None] | None:
        return self._line.kept()

    def settled(self) -> asyncio.Future[None] | None:
        return self._line.settled()

    def publish(self, room: str, grant: Grant) -> Position | Awaitable[Position]:
        def watched(before: Before) -> RoomEnvelope:
            envelope = grant(before)
            if self._throttled.takes(envelope.action):
                raise _throttled()
            self.shown.append((room, envelope.payload))
            return envelope

        return self._line.publish(room, watched)


class Reviews:
    """Targets that ask the test's process, or a function here; without either nobody is asked."""

    def __init__(self, send: Callable[[Members], None]) -> None:
        self.target: ReviewTarget | None = None
        self._send = send
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Members]] = {}

    def ask_test(self) -> None:
        """Show messages to the test's process from now on."""
        self.target = _AskedTest(self.ask)

    def ask_function(self, name: str) -> None:
        """Show messages to `module:function` from now on.

        Raises:
            FunctionMissing: there is none.
        """
        self.target = FunctionTarget(name)

    async def find(self, uri: str) -> ReviewTarget | None:
        return self.target

    async def close(self) -> None:
        """Let go of nothing: what was asked may never be answered."""

    async def ask(self, uri: str, event: bytes) -> Members:
        """Return what the test's process says of an event."""
        number = next(self._numbers)
        waiting: asyncio.Future[Members] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        self._send({"review": number, "event": json.loads(event), "uri": uri})
        try:
            return await waiting
        finally:
            del self._waiting[number]

    def settle(self, number: int, said: Members) -> None:
        """Take what the test's process says; that nobody waits any more is no fault."""
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(said)


class _AskedTest:
    """Has the test's process review a message."""

    def __init__(self, ask: Callable[[str, bytes], Awaitable[Members]]) -> None:
        self._ask = ask

    async def prepare(self, uri: str) -> None:
        pass

    async def invoke(self, uri: str, event: bytes) -> bytes:
        said = await self._ask(uri, event)
        if "failed" in said:
            failure = Failure.TIMED_OUT if said["failed"] == "timed_out" else Failure.HANDLER_ERROR
            raise InvocationFailed(failure, str(said["failed"]))
        return json.dumps(said["answer"]).encode()

    async def problem(self, uri: str) -> str | None:
        return None

    async def close(self) -> None:
        pass


class Logs:
    """A destination of every kind that remembers what it was given, and fails where it is told."""

    interval_seconds = 0.05
    batch_bytes = 65_536

    def __init__(self) -> None:
        self.kept: deque[Members] = deque(maxlen=RECORDED)
        self._failing: list[str] = []

    def fail(self, pattern: str) -> None:
        """Fail for targets whose `KIND:NAME` matches; `*` stands for any text."""
        self._failing.append(pattern)

    def mend(self, pattern: str) -> None:
        """Fail for them no more."""
        if pattern in self._failing:
            self._failing.remove(pattern)

    def clear(self) -> None:
        """Remember nothing, and fail for none."""
        self.kept.clear()
        self._failing.clear()

    async def check(self, target: Target) -> None:
        name = f"{target.kind}:{target.name}"
        if any(glob(tokens(pattern))(name) for pattern in self._failing):
            raise DestinationFailed(FailureKind.OTHER, "the test has it fail")

    async def deliver(self, target: Target, records: Sequence[Record]) -> int:
        await self.check(target)
        for record in records:
            frame = json.loads(record.payload)
            self.kept.append(
                {
                    "configuration": str(target.configuration),
                    "kind": str(target.kind),
                    "name": target.name,
                    "room": str(record.room),
                    "frame": frame,
                }
            )
        return 0

    async def close(self) -> None:
        pass


class WatchedApplication:
    """Remembers requests and how they ended, and refuses what the test has refused."""

    def __init__(self, throttled: Throttled) -> None:
        self.requests: deque[Members] = deque(maxlen=RECORDED)
        self._throttled = throttled
        self._application: Application

    def over(self, application: Application) -> Application:
        """Stand before an application."""
        self._application = application
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        operation = _operation(scope)
        agent = header_of(scope["headers"], b"user-agent") or b""
        if operation is None or agent.startswith(OWN_AGENT):
            await self._application(scope, receive, send)
            return
        if self._throttled.takes(operation):
            refused = rest_json.serialize_error(_throttled())
            self._note(operation, b"", refused.status, "ThrottlingException")
            await answer(send, refused.status, refused.headers, refused.body)
            return
        read, told = bytearray(), _Told()

        async def reading() -> object:
            message = await receive()
            read.extend(message.get("body", b""))
            return message

        async def sending(message: object) -> None:
            told.take(message)
            await send(message)  # type: ignore[arg-type]  # passed on as it is

        await self._application(scope, reading, sending)  # type: ignore[arg-type]  # likewise
        self._note(operation, bytes(read), told.status, told.error)

    def _note(self, operation: str, body: bytes, status: int, error: str | None) -> None:
        try:
            parameters = json.loads(body or b"{}")
        except ValueError:
            parameters = None
        self.requests.append(
            {"operation": operation, "parameters": parameters, "status": status, "error": error}
        )


class _Told(msgspec.Struct):
    """What an answer says of how a request ended."""

    status: int = 0
    error: str | None = None

    def take(self, message: object) -> None:
        """Look at a part of the answer."""
        if isinstance(message, dict) and message["type"] == "http.response.start":
            self.status = message["status"]
            kind = header_of(message["headers"], b"x-amzn-errortype")
            self.error = None if kind is None else kind.decode()


def _operation(scope: Scope) -> str | None:
    """Return which operation of ivschat a request asks for, None for none."""
    try:
        found, _ = service.route(scope["method"], scope["raw_path"].decode("latin-1"))
    except ServiceError:
        return None
    return found.name


def _throttled() -> ThrottlingException:
    return ThrottlingException(
        RATE_LIMIT_EXCEEDED, resource_id="test", resource_type="ROOM", limit=0
    )
