"""The service of a test run, as the fixture `greenroom` gives it: what a test can do to it."""

import asyncio
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from types import TracebackType
from typing import Self

import msgspec

from greenroom.testing.calls import Calls
from greenroom.testing.link import Host, Members

Review = Callable[..., object]
"""Takes the event that IVS Chat gives a message review handler; see `Greenroom.review`."""


class Request(msgspec.Struct, frozen=True):
    """A request of the application: which operation, with what, and how it ended."""

    operation: str
    parameters: dict[str, object] | None
    """None when the body is not JSON."""
    status: int
    error: str | None
    """The error's name, such as ValidationException; None when there is none."""


class Logged(msgspec.Struct, frozen=True):
    """A record of a chat log, as it was delivered."""

    configuration: str
    """ARN of the logging configuration."""
    kind: str
    """`s3`, `cloudWatchLogs` or `firehose`."""
    name: str
    """The bucket, log group or delivery stream."""
    room: str
    """ARN of the room."""
    frame: dict[str, object]
    """What the clients were shown."""


class Until(AbstractContextManager["Until"]):
    """Something that lasts until the end of the test, or of a `with` block."""

    def __init__(self, end: Callable[[], object]) -> None:
        self._end = end

    def end(self) -> None:
        """Let it be over."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()


class Greenroom:
    """A service of the test run, with a clock, faults and a memory that tests command."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Start it, and wait until it answers.

        Raises:
            HostFailed: it does not start.
        """
        self._review: Review | None = None
        self._host = Host(settings, self._reviewed)
        told = self._host.ready
        self.api_url = str(told["api_url"])
        self.websocket_url = str(told["websocket_url"])
        self.region = str(told["region"])
        self.account = str(told["account"])
        self.access_key_id = str(told["access_key_id"])
        self.secret_access_key = str(told["secret_access_key"])
        self.calls = Calls(self.api_url, self.access_key_id, self.secret_access_key, self.region)

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables with which AWS's SDKs and their like find the service."""
        return self._host.environment

    def advance(self, **time: float) -> None:
        """Let time pass at once, as for `timedelta`: `advance(minutes=61)`.

        Tokens and sessions end, rates are given back. The times of signatures stay those of the
        machine, so that clients go on; so do the time limits of sockets.

        Raises:
            ValueError: it would go back.
        """
        seconds = timedelta(**time).total_seconds()
        if seconds < 0:
            raise ValueError("time only advances: reset() shows the machine's time again")
        self._host.ask("advance", seconds=seconds)

    def drop(self, user_id: str, room: object = None) -> int:
        """Cut a user's connections, as a network does; return how many there were.

        `room` is a room's ARN, or what has one; None is every room. So for `expire`.
        """
        return int(str(self._host.ask("drop", user=user_id, room=arn_of(room))))

    def expire(self, user_id: str, room: object = None) -> int:
        """End a user's sessions as if their time were over; return how many there were."""
        return int(str(self._host.ask("expire", user=user_id, room=arn_of(room))))

    def review(self, function: Review | str, room: object = None) -> Until:
        """Have a function answer for every message review handler, whatever its ARN.

        A function runs in this process, in a thread; `module:function` names one that runs in the
        service's. It takes the event, and returns the answer as a dict; or True for ALLOW, False
        for DENY, a text for ALLOW with that content. TimeoutError is an answer that comes too late,
        any other error one of the handler: then the room's `fallbackResult` decides, as it does
        without a function. `room` is given a handler, if it has none.

        Raises:
            HostFailed: there is no function of that name.
        """
        by_name = isinstance(function, str)
        self._review = None if isinstance(function, str) else function
        path = [each or os.getcwd() for each in sys.path]  # noqa: PTH109 - as sys.path has it
        self._host.ask("review", function=function if by_name else None, path=path)
        if room is not None:
            handler = f"arn:aws:lambda:{self.region}:{self.account}:function:greenroom-test"
            self.calls.call(
                "UpdateRoom", identifier=arn_of(room), messageReviewHandler={"uri": handler}
            )
        return Until(lambda: self._host.ask("end_review"))

    def throttle(self, *names: str, times: int | None = None) -> Until:
        """Refuse operations (`CreateChatToken`) and messages (`SendMessage`) as too many.

        So often; None is always. The SDKs try operations again that were throttled.
        """
        for name in names:
            self._host.ask("throttle", name=name, times=times)
        return Until(lambda: [self._host.ask("admit", name=name) for name in names])

    def fail(self, what: str) -> Until:
        """Have something fail: `storage`, or destinations of chat logs by `KIND:NAME`.

        Such as `s3:my-bucket`; `*` stands for any text. Kinds are `s3`, `cloudWatchLogs` and
        `firehose`. What waited for it is delivered when it fails no longer.

        Raises:
            ValueError: it is none of them.
        """
        if what != "storage" and ":" not in what:
            raise ValueError(f"what fails is 'storage' or a destination, KIND:NAME, not {what!r}")
        self._host.ask("fail", what=what)
        return Until(lambda: self._host.ask("mend", what=what))

    def frames(self, room: object = None) -> list[dict[str, object]]:
        """Return what was shown in a room, or in all, in its order: the frames' members."""
        return msgspec.convert(self._host.ask("frames", room=arn_of(room)), list[dict[str, object]])

    @property
    def requests(self) -> list[Request]:
        """Return the application's requests in their order; those of the fixtures are not."""
        return msgspec.convert(self._host.ask("requests"), list[Request])

    @property
    def chat_logs(self) -> list[Logged]:
        """Return what was delivered to logging configurations, in the order of delivery."""
        return msgspec.convert(self._host.ask("chat_logs"), list[Logged])

    def reset(self, keep: list[str] | None = None) -> None:
        """Be as at the start: no rooms or configurations, no faults, the time of the machine.

        Connections to rooms that go are cut. What is kept is named by its ARN. After each test that
        has the fixture this is done by itself; what was there before the test is kept.
        """
        self._review = None
        self._host.ask("reset", keep=keep or [])

    def made(self) -> list[str]:
        """Return the ARNs of the rooms and logging configurations that there are."""
        return msgspec.convert(self._host.ask("made"), list[str])

    def close(self) -> int:
        """End the service, and wait until it has ended; return its exit code."""
        return self._host.close()

    def _reviewed(self, event: Members) -> object:
        review = self._review
        if review is None:
            return {"ReviewResult": "ALLOW", "Content": event["Content"]}
        answer = review(event) if _takes_one(review) else review(event, None)
        if inspect.iscoroutine(answer):
            answer = asyncio.run(answer)
        return answer_of(answer, event)


def service_of(fixture: object) -> Greenroom:
    """Return the service that the fixture `greenroom` gave.

    Raises:
        TypeError: it is something else: the tests have a fixture of that name.
    """
    if isinstance(fixture, Greenroom):
        return fixture
    raise TypeError("the fixture greenroom is the tests' own, and gives no service")


def answer_of(said: object, event: Members) -> object:
    """Return the answer of a handler that a review function means."""
    if said is True or isinstance(said, str):
        content = event["Content"] if said is True else said
        attributes = event["Attributes"] or None
        return {"ReviewResult": "ALLOW", "Content": content, "Attributes": attributes}
    return {"ReviewResult": "DENY"} if said is False else said


def arn_of(room: object) -> str | None:
    """Return a room's ARN: of a text, of an operation's result, or of what has an `arn`.

    Raises:
        TypeError: it is none of them.
    """
    if room is None or isinstance(room, str):
        return room
    found = room.get("arn") if isinstance(room, Mapping) else getattr(room, "arn", None)
    if not isinstance(found, str):
        raise TypeError(f"a room is its ARN, or what has one, not {type(room).__name__}")
    return found


def _takes_one(function: Review) -> bool:
    """Return whether a function takes the event alone, and no context as Lambda's handlers do."""
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    return True
