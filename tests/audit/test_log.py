"""The audit log: lines in order, a file that is only appended to, and nothing lost in silence."""

import asyncio
import errno
import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import structlog

from greenroom.audit.entry import GAP, AuditEntry, encoded
from greenroom.audit.file import Rotation
from greenroom.audit.log import AuditLog
from greenroom.audit.refusals import CALLER_BURST
from greenroom.process.start_refused import FileUnwritable


def entry(number: int = 0, **members: Any) -> AuditEntry:
    """Return an entry."""
    return AuditEntry(time=datetime(2026, 1, 2, tzinfo=UTC), request_id=str(number), **members)


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of the log."""
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_lines_are_appended_in_order(tmp_path: Path) -> None:
    """Each entry is a line; the file is private, and an earlier one goes on."""
    path = tmp_path / "audit.log"
    for start in (0, 100):
        log = AuditLog(path)
        log.start()
        (thread,) = (each for each in threading.enumerate() if each.name == "audit")
        assert thread.daemon, "a process that ends does not wait for it"
        for number in range(100):
            await log.record(entry(start + number))
        await log.close()
    assert [line["requestId"] for line in lines(path)] == [str(each) for each in range(200)]
    assert lines(path)[0] == {"time": "2026-01-02T00:00:00Z", "requestId": "0"}
    assert os.stat(path).st_mode & 0o777 == 0o600  # noqa: PTH116 - a path here counts as waiting


async def test_reopen_begins_a_new_file(tmp_path: Path) -> None:
    """After the file was moved away, lines go on in a new one; none is lost."""
    path, moved = tmp_path / "audit.log", tmp_path / "audit.log.1"
    log = AuditLog(path)
    log.start()
    await log.record(entry(1))
    await until(lambda: path.stat().st_size > 0)
    path.rename(moved)
    log.reopen()
    await until(path.exists)
    await log.record(entry(2))
    await log.close()
    assert [line["requestId"] for line in lines(moved)] == ["1"]
    assert [line["requestId"] for line in lines(path)] == ["2"]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the thread."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a thread cannot set an event of the loop
            await asyncio.sleep(0.005)


async def test_a_slow_disk_makes_its_callers_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the bound `record` waits until the thread has taken the lines."""
    gate, real = threading.Event(), os.write

    def slow(descriptor: int, data: bytes) -> int:
        gate.wait()
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", slow)
    log = AuditLog(tmp_path / "audit.log", bound=3)
    log.start()
    await log.record(entry(0))
    await until(lambda: not log._lines)
    for number in range(1, 4):
        await log.record(entry(number))
    waiting = [asyncio.ensure_future(log.record(entry(4 + number))) for number in range(9)]
    await asyncio.sleep(0)
    assert not any(each.done() for each in waiting)
    gate.set()
    await asyncio.gather(*waiting)
    await log.close()
    assert len(lines(tmp_path / "audit.log")) == 13
    assert log.lost == 0


async def test_a_full_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the disk takes nothing, nobody waits; the next line says how many are missing."""
    monkeypatch.setattr("greenroom.audit.log.RETRY_SECONDS", 0.01)
    full, real = True, os.write

    def write(descriptor: int, data: bytes) -> int:
        if full:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[:40])

    monkeypatch.setattr(os, "write", write)
    log = AuditLog(tmp_path / "audit.log", bound=3)
    log.start()
    await log.record(entry(0))
    await until(lambda: log._failing)
    for number in range(1, 9):
        await log.record(entry(number))
    assert log.lost == 5
    full = False
    await until(lambda: not log._failing and not log._lines)
    await log.record(entry(9))
    await log.close()
    found = lines(tmp_path / "audit.log")
    assert [line.get("requestId", line.get("lost")) for line in found] == (
        ["0", 5, "1", "2", "3", "9"]
    )
    shown = capsys.readouterr()
    assert "cannot be written" in shown.out + shown.err


async def test_a_file_that_is_moved_with_half_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line that a full disk cut is whole in the new file, those before it in the old one."""
    monkeypatch.setattr("greenroom.audit.log.RETRY_SECONDS", 0.01)
    room, real = 100, os.write

    def write(descriptor: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        written = real(descriptor, data[:room])
        room -= written
        return written

    path, moved = tmp_path / "audit.log", tmp_path / "audit.log.1"
    log = AuditLog(path)
    log.start()
    monkeypatch.setattr(os, "write", write)
    for number in range(4):
        await log.record(entry(number))
    await until(lambda: log._failing)
    path.rename(moved)
    log.reopen()
    await until(path.exists)
    room = 10_000
    await log.close()
    assert not moved.read_text().endswith("\n")
    *whole, _ = moved.read_text().splitlines()
    found = [json.loads(line)["requestId"] for line in whole]
    assert found + [line["requestId"] for line in lines(path)] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("ends", [b"", b"\n", b'{"time":"2026-0'])
async def test_half_a_line_of_an_earlier_process(tmp_path: Path, ends: bytes) -> None:
    """What a full disk has cut spoils no line that comes later."""
    path = tmp_path / "audit.log"
    path.write_bytes(ends)
    log = AuditLog(path)
    log.start()
    for number in range(2):
        await log.record(entry(number))
    await log.close()
    *_, first, second = path.read_text().splitlines()
    assert [json.loads(line)["requestId"] for line in (first, second)] == ["0", "1"]


async def test_a_disk_that_stays_full_does_not_hold_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing tries once more and ends, and the service's log says how many lines are lost."""

    def write(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    log = AuditLog(tmp_path / "audit.log")
    log.start()
    with structlog.testing.capture_logs() as lines:
        await log.record(entry(0))
        await log.record(entry(1))
        await until(lambda: log._failing)
        for number in range(2, 5):
            await log.record(entry(number))
        await log.close()
    assert [(line["event"], line.get("lines")) for line in lines] == [
        ("audit log cannot be written", None),
        ("audit log ends with lines that could not be written", 5),
    ]


async def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A file that cannot be opened is one clear line."""
    with pytest.raises(FileUnwritable, match=r"the audit log .* cannot be written"):
        AuditLog(tmp_path).start()


class Gate:
    """A disk that waits until it is opened, and notes how much it is given at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open, self.sizes = threading.Event(), list[int]()
        self._real = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, descriptor: int, data: bytes) -> int:
        """Write when the gate is open."""
        self.open.wait()
        self.sizes.append(len(data))
        return self._real(descriptor, data)


async def test_the_queue_has_a_bound_of_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few long lines fill it, too: whoever finds it full waits."""
    gate, size = Gate(monkeypatch), len(encoded(entry(1)))
    log = AuditLog(tmp_path / "audit.log", size_bound=2 * size)
    log.start()
    await log.record(entry(0))
    await until(lambda: not log._lines)
    for number in (1, 2):
        await log.record(entry(number))
    waiting = asyncio.ensure_future(log.record(entry(3)))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert log._size == 2 * size
    gate.open.set()
    await waiting
    await until(lambda: not log._lines)
    assert log._size == 0
    await log.close()
    assert [line["requestId"] for line in lines(tmp_path / "audit.log")] == list("0123")


async def test_lines_are_written_together_up_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file passes its size for what waited; a line that is longer than all goes alone."""
    gate, size = Gate(monkeypatch), len(encoded(entry(1)))
    monkeypatch.setattr("greenroom.audit.log.WRITE_BYTES", 2 * size)
    log = AuditLog(tmp_path / "audit.log")
    log.start()
    await log.record(entry(0))
    await until(lambda: not log._lines)
    for number in range(1, 6):
        await log.record(entry(number))
    await log.record(entry(6, arn="x" * 2 * size))
    await log.record(entry(7))
    gate.open.set()
    await log.close()
    assert gate.sizes == [size, 2 * size, 2 * size, size, gate.sizes[4], size]
    assert [line["requestId"] for line in lines(tmp_path / "audit.log")] == list("01234567")


async def test_a_file_is_rotated_for_what_comes(tmp_path: Path) -> None:
    """The log asks for a new file before it writes more than one may have."""
    size = len(encoded(entry(1)))
    log = AuditLog(tmp_path / "audit.log", Rotation(bytes=size))
    log.start()
    for number in range(3):
        await log.record(entry(number))
        await until(lambda: not log._lines and not log._gathering)
    await log.close()
    kept = [tmp_path / name for name in ("audit.log.000001", "audit.log.000002", "audit.log")]
    assert [lines(each)[0]["requestId"] for each in kept] == ["0", "1", "2"]


async def test_no_file_is_rotated_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the disk did not take at once goes on in the same file."""
    log = AuditLog(tmp_path / "audit.log", Rotation(bytes=10_000))
    asked: list[int] = []
    monkeypatch.setattr(log._file, "rotate_if_due", asked.append)
    write, calls = log._file.write, list[int]()

    def in_parts(data: bytes) -> bytes:
        calls.append(len(data))
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "full")
        return write(data[:20]) + data[20:]

    monkeypatch.setattr(log._file, "write", in_parts)
    monkeypatch.setattr("greenroom.audit.log.RETRY_SECONDS", 0.001)
    log.start()
    await log.record(entry(0))
    await until(lambda: len(calls) > 2 and not log._failing)
    await log.close()
    assert lines(tmp_path / "audit.log")[0]["requestId"] == "0"
    assert asked == [len(encoded(entry(0)))]


async def test_what_comes_after_the_end_is_counted(tmp_path: Path) -> None:
    """A line that nobody writes any more is lost, and does not wait."""
    log = AuditLog(tmp_path / "audit.log")
    log.start()
    await log.close()
    async with asyncio.timeout(10):
        await log.record(entry(0))
    assert log.lost == 1
    assert lines(tmp_path / "audit.log") == []


async def test_the_end_says_what_was_left_out(tmp_path: Path) -> None:
    """Lines about refusals that were never told of are counted in the last line."""
    log = AuditLog(tmp_path / "audit.log")
    log.start()
    for _ in range(CALLER_BURST + 5):
        log.refusals.admit("mallory", 0.0)
    await log.close()
    (last,) = lines(tmp_path / "audit.log")
    assert (last["event"], last["suppressed"]) == (GAP, 5)


async def test_lines_are_handed_over_together(tmp_path: Path) -> None:
    """The thread is woken once for all that come within a moment."""
    log = AuditLog(tmp_path / "audit.log")
    log.start()
    assert not log._gathering
    for number in range(3):
        await log.record(entry(number))
        assert log._gathering, "the timer that was set for the first serves them all"
    await until(lambda: not log._gathering)
    await log.close()


def full_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[threading.Event, threading.Event, list[bytes]]:
    """Have writes fail; return what says that one has begun, what lets it fail, and the writes."""
    entered, gate, tries = threading.Event(), threading.Event(), list[bytes]()

    def write(descriptor: int, data: bytes) -> int:
        tries.append(data)
        entered.set()
        gate.wait()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("greenroom.audit.log.RETRY_SECONDS", 60)
    monkeypatch.setattr(os, "write", write)
    return entered, gate, tries


async def test_an_end_while_the_file_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed as the end came is tried once more, and at once."""
    entered, gate, tries = full_disk(monkeypatch)
    log = AuditLog(tmp_path / "audit.log")
    log.start()
    await log.record(entry(0))
    await until(entered.is_set)
    ending = asyncio.ensure_future(log.close())
    await until(lambda: log._closing)
    gate.set()
    async with asyncio.timeout(10):
        await ending
    assert len(tries) == 2


async def test_who_waits_is_let_go_when_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, not when the disk has place again: his line is one of those that are missing."""
    entered, gate, tries = full_disk(monkeypatch)
    log = AuditLog(tmp_path / "audit.log", bound=1)
    log.start()
    await log.record(entry(0))
    await until(entered.is_set)
    await log.record(entry(1))
    waiting = asyncio.ensure_future(log.record(entry(2)))
    await asyncio.sleep(0)
    gate.set()
    async with asyncio.timeout(10):
        await waiting
    assert log.lost == 1
    await log.close()
    assert len(tries) == 2, "nobody tries again before the time has come, or the end"


async def test_a_loop_that_has_ended_is_told_nothing(tmp_path: Path) -> None:
    """Who waited there is gone; nor is one that runs told where nobody waits."""
    log = AuditLog(tmp_path / "audit.log")
    log.start()
    told = Mock()
    running, ended = log._loop, asyncio.new_event_loop()
    ended.close()
    for loop, waiters in ((running, []), (ended, [running.create_future()]), (ended, [])):
        log._loop, log._waiters = loop, waiters
        log._tell(told)
    log._waiters.clear()
    await log.close()
    assert not told.called


@pytest.mark.parametrize(("waiting", "missing"), [(0, 2), (1, 3)])
async def test_the_end_says_what_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: int, missing: int
) -> None:
    """What was being written as well as what waited behind it."""

    def write(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    log = AuditLog(tmp_path / "audit.log")
    log.start()
    with structlog.testing.capture_logs() as told:
        for number in range(2):
            await log.record(entry(number))
        await until(lambda: log._failing)
        for number in range(waiting):
            await log.record(entry(2 + number))
        await log.close()
    assert told[-1]["event"] == "audit log ends with lines that could not be written"
    assert told[-1]["lines"] == missing


async def test_an_end_with_nothing_missing_says_nothing(tmp_path: Path) -> None:
    """Whether there was something to write or not."""
    with structlog.testing.capture_logs() as told:
        for count in (0, 1):
            log = AuditLog(tmp_path / "audit.log")
            log.start()
            for number in range(count):
                await log.record(entry(number))
            await log.close()
    assert told == []


def test_a_file_that_cannot_be_reopened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on where it was: a line that was begun is not begun again."""
    log = AuditLog(tmp_path / "audit.log")
    monkeypatch.setattr(log._file, "open", Mock(side_effect=[PermissionError(1, "no"), None]))
    with structlog.testing.capture_logs() as told:
        assert not log._begin_anew()
        assert log._begin_anew()
    assert [(line["log_level"], line["reason"]) for line in told] == [("error", "no")]
