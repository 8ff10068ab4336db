"""What a test can do to the service, with a host that notes what it is told."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from greenroom.testing import service
from greenroom.testing.service import (
    Greenroom,
    Logged,
    Request,
    answer_of,
    arn_of,
    service_of,
)

READY = {
    "api_url": "http://127.0.0.1:1",
    "websocket_url": "ws://127.0.0.1:1",
    "region": "us-east-1",
    "account": "123456789012",
    "access_key_id": "AKIA",
    "secret_access_key": "secret",
}
EVENT = {"Content": "hi", "Attributes": {}}


class Host:
    """A double of a host: notes what is asked, answers what the test says."""

    ready = READY

    def __init__(self, settings: object, reviewed: Callable[[Any], object]) -> None:
        self.settings = settings
        self.reviewed = reviewed
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answer: object = None
        self.environment = {"AWS_REGION": "us-east-1"}

    def ask(self, do: str, **what: object) -> object:
        self.asked.append((do, what))
        return self.answer

    def close(self) -> int:
        return 7


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Greenroom:
    """Give a service whose host is the double."""
    monkeypatch.setattr(service, "Host", Host)
    monkeypatch.setattr(service, "Calls", Mock())
    return Greenroom({"log_level": "info"})


@pytest.fixture
def host(started: Greenroom) -> Host:
    """Give its host."""
    host: Any = started._host
    assert isinstance(host, Host)
    return host


def test_what_the_host_says_of_itself(started: Greenroom, host: Host) -> None:
    """Addresses and keys are those of the service that was started with the settings."""
    assert {name: getattr(started, name) for name in READY} == READY
    assert host.settings == {"log_level": "info"}
    assert started.environment == host.environment
    assert started.close() == 7
    assert service_of(started) is started
    with pytest.raises(TypeError, match="the fixture greenroom"):
        service_of(host)


def test_time_only_advances(started: Greenroom, host: Host) -> None:
    """It is given as to `timedelta`; no time at all is allowed, less is not."""
    started.advance(minutes=1, seconds=1)
    started.advance(seconds=0)
    with pytest.raises(ValueError, match="only advances"):
        started.advance(seconds=-1)
    assert host.asked == [("advance", {"seconds": 61.0}), ("advance", {"seconds": 0.0})]


def test_connections_are_cut_and_sessions_end(started: Greenroom, host: Host) -> None:
    """Of one room or of all; how many there were is told."""
    host.answer = 3
    assert started.drop("alice") == started.expire("alice", SimpleNamespace(arn="arn")) == 3
    assert host.asked == [
        ("drop", {"user": "alice", "room": None}),
        ("expire", {"user": "alice", "room": "arn"}),
    ]


def test_a_function_reviews(started: Greenroom, host: Host) -> None:
    """What it says is the answer; when it is over, or nothing reviews, all is allowed."""
    allowed = {"ReviewResult": "ALLOW", "Content": "hi"}
    assert host.reviewed(EVENT) == allowed
    with started.review(lambda event: event["Content"] == "ho"):
        assert host.asked[-1][0] == "review"
        assert host.asked[-1][1]["function"] is None
        assert "" not in host.asked[-1][1]["path"]
        assert host.reviewed(EVENT) == {"ReviewResult": "DENY"}
        assert started.calls.call.call_count == 0  # type: ignore[attr-defined]
    assert host.asked[-1] == ("end_review", {})
    started.reset()
    assert host.reviewed(EVENT) == allowed


def test_a_function_takes_the_event_alone_or_with_a_context(started: Greenroom, host: Host) -> None:
    """As Lambda's handlers may, and it may be a coroutine."""

    async def waits(event: Any, context: object) -> str:
        assert context is None
        return f"{event['Content']}!"

    started.review(waits)
    assert host.reviewed(EVENT) == {"ReviewResult": "ALLOW", "Content": "hi!", "Attributes": None}
    started.review(lambda event: {"ReviewResult": "ALLOW", "Content": event["Content"] * 2})
    assert host.reviewed(EVENT) == {"ReviewResult": "ALLOW", "Content": "hihi"}


def test_a_function_of_the_services_process(
    started: Greenroom, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, and found where this process would; a room is given the handler it needs."""
    monkeypatch.setattr(sys, "path", ["", "/where/it/is"])
    started.review("module:function", "arn")
    assert host.asked[0][1]["function"] == "module:function"
    assert host.asked[0][1]["path"] == [str(Path.cwd()), "/where/it/is"]
    assert host.reviewed(EVENT) == {"ReviewResult": "ALLOW", "Content": "hi"}
    uri = "arn:aws:lambda:us-east-1:123456789012:function:greenroom-test"
    started.calls.call.assert_called_once_with(  # type: ignore[attr-defined]
        "UpdateRoom", identifier="arn", messageReviewHandler={"uri": uri}
    )


def test_what_is_throttled(started: Greenroom, host: Host) -> None:
    """Each that is named, so often, until the end of the block."""
    with started.throttle("GetRoom", "SendMessage", times=2):
        assert host.asked == [
            ("throttle", {"name": "GetRoom", "times": 2}),
            ("throttle", {"name": "SendMessage", "times": 2}),
        ]
    assert host.asked[2:] == [("admit", {"name": "GetRoom"}), ("admit", {"name": "SendMessage"})]


def test_what_lasts_can_be_ended_before_the_block_is(started: Greenroom, host: Host) -> None:
    """By what the block is given."""
    with started.fail("storage") as failing:
        failing.end()
        assert host.asked[-1] == ("mend", {"what": "storage"})


def test_what_fails(started: Greenroom, host: Host) -> None:
    """The storage or destinations, until the end of the block; nothing else can."""
    for what in ("storage", "s3:my-bucket"):
        started.fail(what).end()
    assert host.asked == [
        (do, {"what": what}) for what in ("storage", "s3:my-bucket") for do in ("fail", "mend")
    ]
    with pytest.raises(ValueError, match="'journal'"):
        started.fail("journal")


def test_what_was_seen(started: Greenroom, host: Host) -> None:
    """Frames, requests and records of chat logs are values."""
    host.answer = [{"Content": "hi"}]
    assert started.frames("arn") == host.answer
    made = {"operation": "GetRoom", "parameters": None, "status": 200, "error": None}
    host.answer = [made]
    assert started.requests == [Request("GetRoom", None, 200, None)]
    host.answer = [{"configuration": "c", "kind": "s3", "name": "n", "room": "r", "frame": {}}]
    assert started.chat_logs == [Logged("c", "s3", "n", "r", {})]
    host.answer = ["arn"]
    assert started.made() == ["arn"]
    started.reset(keep=["arn"])
    started.reset()
    assert host.asked == [
        ("frames", {"room": "arn"}),
        ("requests", {}),
        ("chat_logs", {}),
        ("made", {}),
        ("reset", {"keep": ["arn"]}),
        ("reset", {"keep": []}),
    ]


@pytest.mark.parametrize(
    ("said", "attributes", "answer"),
    [
        (True, {}, {"ReviewResult": "ALLOW", "Content": "hi", "Attributes": None}),
        (True, {"k": "v"}, {"ReviewResult": "ALLOW", "Content": "hi", "Attributes": {"k": "v"}}),
        ("ho", {}, {"ReviewResult": "ALLOW", "Content": "ho", "Attributes": None}),
        ("", {}, {"ReviewResult": "ALLOW", "Content": "", "Attributes": None}),
        (False, {}, {"ReviewResult": "DENY"}),
        ({"ReviewResult": "DENY"}, {}, {"ReviewResult": "DENY"}),
        (None, {}, None),
        (1, {}, 1),
    ],
)
def test_what_a_function_may_say_in_short(
    said: object, attributes: dict[str, str], answer: object
) -> None:
    """True allows, False denies, a text replaces; all else is the answer as it is."""
    assert answer_of(said, {"Content": "hi", "Attributes": attributes}) == answer


def test_a_room_is_its_arn_or_what_has_one() -> None:
    """A text, an operation's result, or an object; nothing else."""
    given = ("arn", {"arn": "arn"}, SimpleNamespace(arn="arn"))
    assert [arn_of(room) for room in given] == ["arn"] * 3
    assert arn_of(None) is None
    for wrong in (7, {}, {"arn": 7}, SimpleNamespace()):
        with pytest.raises(TypeError, match=f"or what has one, not {type(wrong).__name__}"):
            arn_of(wrong)
