"""The audit log: lines in order, a file that is only appended to, and nothing lost in silence."""

import asyncio
import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from greenroom.audit.entry import AuditEntry
from greenroom.audit.log import AuditLog
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
        await log.close()
    assert [(line["event"], line.get("lines")) for line in lines] == [
        ("audit log cannot be written", None),
        ("audit log ends with lines that could not be written", 2),
    ]


async def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A file that cannot be opened is one clear line."""
    with pytest.raises(FileUnwritable, match=r"the audit log .* cannot be written"):
        AuditLog(tmp_path).start()
