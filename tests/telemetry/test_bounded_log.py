"""Lines that others can cause: told at once, then now and then, with who caused most of them."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from greenroom.model.errors import ServiceError
from greenroom.telemetry import bounded_log
from greenroom.telemetry.bounded_log import KINDS, PLACES, QUIET_SECONDS, BoundedLog

ROOM = "arn:aws:ivschat:us-east-1:123456789012:room/AAAAAAAAAAAA"


class Timers:
    """Calls what is due when a test lets time pass."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call a function later."""
        self._due.append((self.now + seconds, callback))

    def __len__(self) -> int:
        return len(self._due)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        due = [callback for when, callback in self._due if when <= self.now]
        self._due = [(when, callback) for when, callback in self._due if when > self.now]
        for callback in due:
            callback()


@pytest.fixture
def timers() -> Timers:
    """Give timers that only the test moves."""
    return Timers()


@pytest.fixture
def lines(timers: Timers) -> BoundedLog:
    """Give a log."""
    return BoundedLog(timers)


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    """Give the lines that were written."""
    with capture_logs() as found:
        yield found


def refuse(lines: BoundedLog, address: str = "192.0.2.1", room: str = "", **names: object) -> None:
    """Cause a line."""
    lines.write("info", "refused", {"reason": "why"}, address=address, room=room, **names)


def test_a_flood_is_told_now_and_then(lines: BoundedLog, timers: Timers, logs: list[Any]) -> None:
    """The first line comes at once, the others as one that says how many, whence and where."""
    refuse(lines, room=ROOM, connection="abc")
    assert logs == [
        {
            "event": "refused",
            "log_level": "info",
            "times": 1,
            "address": "192.0.2.1",
            "room": ROOM,
            "connection": "abc",
            "reason": "why",
        }
    ]
    for number in range(1000):
        refuse(lines, "192.0.2.9" if number % 4 else "192.0.2.1", ROOM, connection=str(number))
    assert len(logs) == 1
    timers.advance(QUIET_SECONDS)
    assert logs[1:] == [
        {
            "event": "refused",
            "log_level": "info",
            "times": 1000,
            "seconds": 10,
            "address": "192.0.2.9",
            "addresses": 2,
            "room": ROOM,
            "reason": "why",
        }
    ]


def test_what_was_quiet_is_told_at_once_again(
    lines: BoundedLog, timers: Timers, logs: list[Any]
) -> None:
    """After ten seconds without one, the next is a first one, and nothing was remembered."""
    refuse(lines)
    timers.advance(QUIET_SECONDS)
    assert (len(timers), lines._untold) == (0, {})
    refuse(lines)
    assert [entry["times"] for entry in logs] == [1, 1]


def test_what_goes_on_is_told_every_ten_seconds(
    lines: BoundedLog, timers: Timers, logs: list[Any]
) -> None:
    """Each time with what came since the line before; the first of it does not come at once."""
    for _ in range(3):
        for _ in range(5):
            refuse(lines)
        timers.advance(QUIET_SECONDS)
    assert [entry["times"] for entry in logs] == [1, 4, 5, 5]
    assert len(timers) == 1


def test_kinds_are_told_apart(lines: BoundedLog, logs: list[Any]) -> None:
    """Another event, reason or level is another kind, with a line of its own."""
    for level in ("info", "warning"):
        for event in ("refused", "ended"):
            for reason in ("a", "b"):
                for _ in range(3):
                    lines.write(level, event, {"reason": reason})
    assert len(logs) == 8


def test_the_end_tells_the_rest(lines: BoundedLog, timers: Timers, logs: list[Any]) -> None:
    """What was counted and not told is told when the service stops; once."""
    for _ in range(5):
        refuse(lines)
    lines.close()
    lines.close()
    timers.advance(QUIET_SECONDS)
    assert [entry["times"] for entry in logs] == [1, 4]


def test_kinds_have_a_bound(lines: BoundedLog, timers: Timers, logs: list[Any]) -> None:
    """More kinds than are told apart are told as one."""
    for number in range(KINDS + 100):
        lines.write("info", "refused", {"reason": number})
    assert len(logs) == KINDS + 1
    assert "reason" not in logs[-1]
    timers.advance(QUIET_SECONDS)
    assert [entry["times"] for entry in logs[KINDS + 1 :]] == [99]


def test_the_busiest_is_found_among_many(
    lines: BoundedLog, timers: Timers, logs: list[Any]
) -> None:
    """Who causes a good part of the lines is named, however many others there are before."""
    refuse(lines)
    for number in range(3000):
        refuse(lines, f"198.51.{number // 250}.{number % 250}")
    for number in range(1000):
        refuse(lines, "203.0.113.7")
        refuse(lines, f"192.0.{number // 250}.{number % 250}")
    timers.advance(QUIET_SECONDS)
    assert (logs[1]["address"], logs[1]["addresses"]) == ("203.0.113.7", PLACES)


def test_a_new_place_takes_over_the_count_of_the_least_named() -> None:
    """And counts once more: it may have been named as often; the one that goes is forgotten."""
    busiest = bounded_log._Busiest()
    for number in range(PLACES):
        for _ in range(number + 2):
            busiest.add(str(number), f"shown {number}")
    assert busiest.first() == f"shown {PLACES - 1}"
    busiest.add("new", "shown")
    assert busiest._times["new"] == 3
    assert busiest._times.keys() == busiest._shown.keys() == {"new", *map(str, range(1, PLACES))}
    assert busiest.count == PLACES


def test_a_64_of_ipv6_is_one_address(lines: BoundedLog, timers: Timers, logs: list[Any]) -> None:
    """Who changes his address within what one client has is found all the same."""
    refuse(lines)
    for number in range(100):
        refuse(lines, f"2001:db8::{number:x}")
        refuse(lines, f"192.0.2.{number}")
    timers.advance(QUIET_SECONDS)
    assert logs[1]["address"] == "2001:db8::63"
    assert bounded_log._site("fe80::1%eth0") == bounded_log._site("fe80::2%eth1")
    assert bounded_log._site("fe80:0:0:1::1") != bounded_log._site("fe80::1%eth0")
    assert bounded_log._site("192.0.2.1") != bounded_log._site("192.0.2.2")
    assert bounded_log._site("no address") == "no address"


def crash() -> None:
    """Fail with a text that a user wrote."""
    raise ServiceError("what a user wrote")


def test_a_crash_is_told_by_its_place(lines: BoundedLog, logs: list[Any]) -> None:
    """A fault's kind is its class and its places in the code; its text is in no line."""
    for _ in range(3):
        try:
            crash()
        except ServiceError:
            lines.exception("crashed", address="192.0.2.1", operation="GetRoom")
    (entry,) = logs
    assert (entry["log_level"], entry["error"]) == ("error", "ServiceError")
    assert "test_bounded_log.py" in entry["at"][-1]
    assert entry["operation"] == "GetRoom"
    assert "wrote" not in str(entry)


async def test_the_loops_own_timer(monkeypatch: pytest.MonkeyPatch, logs: list[Any]) -> None:
    """Without another timer it is the event loop's that tells what was counted."""
    monkeypatch.setattr(bounded_log, "QUIET_SECONDS", 0.0)
    lines = BoundedLog()
    for _ in range(3):
        refuse(lines)
    async with asyncio.timeout(10):
        while lines._untold:  # noqa: ASYNC110 - it is timers that are waited for
            await asyncio.sleep(0)
    assert [entry["times"] for entry in logs] == [1, 2]
