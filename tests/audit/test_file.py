"""The audit log's file: rotated by size and age, bounded in number, and no line lost or cut."""

import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from greenroom.audit.file import RETRY_SECONDS, AuditFile, Rotation

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0


class Clocks:
    """Wall and monotonic time that only the test moves."""

    def __init__(self) -> None:
        self.now, self.monotonic = NOON, 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.monotonic += seconds


Made = Callable[..., AuditFile]


@pytest.fixture
def clocks() -> Clocks:
    """Give the time."""
    return Clocks()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the file's place."""
    return tmp_path / "audit.log"


@pytest.fixture
def made(path: Path, clocks: Clocks) -> Made:
    """Give a function that opens a file with a rotation."""

    def make(**rotation: int) -> AuditFile:
        file = AuditFile(path, Rotation(**rotation), lambda: clocks.now, lambda: clocks.monotonic)
        file.open()
        return file

    return make


def append(file: AuditFile, line: bytes) -> OSError | None:
    """Append a line as the log does."""
    failed = file.rotate_if_due(len(line))
    while line:
        line = file.write(line)
    return failed


def timed(moment: float) -> bytes:
    """Return a line of the time."""
    return b'{"time":"%b"}\n' % datetime.fromtimestamp(moment, UTC).isoformat().encode()


def names(path: Path) -> list[str]:
    """Return the names of the files beside the log, and its own."""
    return sorted(each.name for each in path.parent.iterdir())


def test_a_full_file_gets_a_number(made: Made, path: Path) -> None:
    """No file passes the size, each line is whole in one of them, and all are private."""
    file = made(bytes=100, files=50)
    lines = [b"%03d %b\n" % (number, b"x" * 30) for number in range(20)]
    for line in lines:
        append(file, line)
    kept = [path.parent / name for name in names(path)[1:]] + [path]
    assert names(path)[:3] == ["audit.log", "audit.log.000001", "audit.log.000002"]
    assert [each.stat().st_size for each in kept] == [70] * 10
    assert b"".join(each.read_bytes() for each in kept) == b"".join(lines)
    assert {each.stat().st_mode & 0o777 for each in kept} == {0o600}


def test_the_number_of_files_is_bounded(made: Made, path: Path) -> None:
    """Beyond the bound the oldest go, and nothing else in the directory does."""
    strange = ["audit.log.1", "audit.log.000001.gz", "audit.log.x", "other.log.000001"]
    for name in strange:
        (path.parent / name).touch()
    file = made(bytes=10, files=3)
    for number in range(30):
        append(file, b"%09d\n" % number)
    assert set(names(path)) - set(strange) == {
        "audit.log",
        *(f"audit.log.{number:06}" for number in (27, 28, 29)),
    }
    assert set(strange) <= set(names(path))
    again = made(bytes=10, files=1)
    append(again, b"x\n")
    assert set(names(path)) - set(strange) == {"audit.log", "audit.log.000030"}


def test_a_file_that_somebody_else_removes(
    made: Made, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever tidies up may do so at any moment: the next file is begun all the same."""
    file = made(bytes=10, files=1)
    monkeypatch.setattr(file, "_numbers", lambda: [1, 2])
    for _ in range(2):
        assert append(file, b"123456789\n") is None
    assert names(path) == ["audit.log", "audit.log.000003"]


def test_an_empty_file_has_no_age(made: Made, path: Path, clocks: Clocks) -> None:
    """Nothing is put aside that holds nothing."""
    file = made(hours=2)
    clocks.advance(100 * HOUR)
    append(file, timed(clocks.now))
    assert names(path) == ["audit.log"]


def test_a_file_has_an_age(made: Made, path: Path, clocks: Clocks) -> None:
    """It is counted from the first line, also after a restart, and whatever the clock did."""
    append(made(hours=2), timed(clocks.now))
    clocks.advance(1.5 * HOUR)
    file = made(hours=2)
    append(file, timed(clocks.now))
    assert names(path) == ["audit.log"]
    clocks.advance(0.5 * HOUR)
    append(file, timed(clocks.now))
    assert names(path) == ["audit.log", "audit.log.000001"]
    assert path.read_bytes().count(b"\n") == 1
    clocks.now -= 1000 * HOUR
    append(file, timed(clocks.now))
    assert len(names(path)) == 3
    append(file, timed(clocks.now))
    assert len(names(path)) == 3


def test_without_bounds_it_grows(made: Made, path: Path, clocks: Clocks) -> None:
    """Bounds of zero are none: somebody else rotates."""
    file = made()
    for _ in range(100):
        append(file, timed(clocks.now))
        clocks.advance(1000 * HOUR)
    assert names(path) == ["audit.log"]


def test_a_file_that_was_moved_away(made: Made, path: Path) -> None:
    """Who moved it keeps it: only a new one is begun."""
    file = made(bytes=10)
    append(file, b"123456789\n")
    path.rename(path.with_name("audit.log.1"))
    append(file, b"next\n")
    assert names(path) == ["audit.log", "audit.log.1"]
    assert path.read_bytes() == b"next\n"


def test_a_file_that_was_cut_or_deleted(made: Made, path: Path) -> None:
    """What logrotate does with copytruncate is no fault; what is deleted is begun anew."""
    file = made(bytes=10)
    append(file, b"123456789\n")
    os.truncate(path, 0)
    append(file, b"123456789\n")
    assert names(path) == ["audit.log"]
    path.unlink()
    append(file, b"again\n")
    assert path.read_bytes() == b"again\n"


def test_half_a_line_is_ended_once(path: Path) -> None:
    """What an earlier process left is a line of its own; so is each that comes behind it."""
    path.write_bytes(b"whole\nhalf")
    file = AuditFile(path)
    file.open()
    for line in (b"one\n", b"two\n"):
        assert file.write(line) == b""
    file.close()
    assert path.read_bytes() == b"whole\nhalf\none\ntwo\n"


def test_what_cannot_be_rotated_goes_on(
    made: Made, path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once a minute, lines stay in the old file, and it is tried again."""
    file = made(bytes=10)
    append(file, b"123456789\n")
    with monkeypatch.context() as patched:

        def refuse(_from: Path, _to: Path) -> Path:
            raise PermissionError(13, "Permission denied")

        patched.setattr(Path, "rename", refuse)
        assert isinstance(append(file, b"one\n"), PermissionError)
        assert append(file, b"two\n") is None
    with path.open("rb") as another:
        # Nobody else is kept from it.
        fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
    clocks.advance(RETRY_SECONDS)
    assert append(file, b"three\n") is None
    assert (path.parent / "audit.log.000001").read_bytes() == b"123456789\none\ntwo\n"
    assert path.read_bytes() == b"three\n"


def test_a_stop_between_rename_and_open_loses_nothing(
    made: Made, path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the new file cannot be opened, lines go on into the renamed one."""
    file = made(bytes=10)
    append(file, b"123456789\n")
    with monkeypatch.context() as patched:

        def refuse(*_: object) -> int:
            raise OSError(24, "Too many open files")

        patched.setattr(os, "open", refuse)
        assert isinstance(append(file, b"one\n"), OSError)
    assert (path.parent / "audit.log.000001").read_bytes() == b"123456789\none\n"
    clocks.advance(RETRY_SECONDS)
    append(file, b"two\n")
    assert path.read_bytes() == b"two\n"
    assert names(path) == ["audit.log", "audit.log.000001"]


def test_two_processes_write_to_one_file(made: Made, path: Path) -> None:
    """As in a takeover: whoever rotates, no file is overwritten, and no line is lost."""
    lines = [b"%d %05d %b\n" % (who, number, b"x" * 40) for who in (1, 2) for number in range(600)]

    def write(own: list[bytes]) -> None:
        file = made(bytes=500, files=10_000)
        for line in own:
            assert append(file, line) is None
        file.close()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(write, lines[:600]), pool.submit(write, lines[600:])]:
            done.result()
    kept = [
        line for name in names(path) for line in (path.parent / name).read_bytes().splitlines(True)
    ]
    assert sorted(kept) == lines


def test_what_is_no_file_is_not_rotated(tmp_path: Path) -> None:
    """A pipe, as the standard output of a container is, is written to and left alone."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    file = AuditFile(pipe, Rotation(bytes=10, hours=1))
    file.open()
    for _ in range(5):
        append(file, b"123456789\n")
    assert os.read(reader, 100) == b"123456789\n" * 5
    file.close()
    os.close(reader)
    assert [each.name for each in tmp_path.iterdir()] == ["pipe"]


def test_a_file_may_be_full(made: Made, path: Path) -> None:
    """It takes what fits exactly, and begins anew with the next byte."""
    file = made(bytes=20)
    append(file, b"123456789\n")
    append(file, b"123456789\n")
    assert names(path) == ["audit.log"]
    append(file, b"\n")
    assert names(path) == ["audit.log", "audit.log.000001"]
    file.close()
    file.close()


def test_the_old_file_is_on_the_disk_before_the_new_one(
    made: Made, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process at a time puts it aside; its name is on the disk, too."""
    file = made(bytes=10)
    append(file, b"123456789\n")
    done: list[str] = []
    old = path.stat().st_ino

    def fsync(descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        done.append({old: "old", path.parent.stat().st_ino: "directory"}.get(inode, "new"))

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(
        fcntl, "flock", lambda _, how: done.append("lock" if how == fcntl.LOCK_EX else "unlock")
    )
    true = Path.rename

    def rename(this: Path, to: Path) -> Path:
        done.append("rename")
        return true(this, to)

    monkeypatch.setattr(Path, "rename", rename)
    append(file, b"next\n")
    assert done == ["old", "lock", "rename", "old", "directory", "unlock"]


@pytest.mark.parametrize(
    "line", [b"{}\n", b'{"time":"2026-99-99T00:00:00+00:00"}\n', b'{"time":"now"}\n']
)
def test_a_first_line_without_a_time(made: Made, path: Path, clocks: Clocks, line: bytes) -> None:
    """Its age is counted from when it was opened."""
    path.write_bytes(line)
    file = made(hours=2)
    clocks.advance(1.9 * HOUR)
    append(file, timed(clocks.now))
    assert names(path) == ["audit.log"]
    clocks.advance(0.1 * HOUR)
    append(file, timed(clocks.now))
    assert len(names(path)) == 2


def test_a_file_that_may_be_written_but_not_read(
    made: Made, path: Path, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is appended to all the same; neither its age nor its end is known."""
    path.write_bytes(timed(NOON - 100 * HOUR) + b"half")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        file = made(hours=2)
    append(file, b"next\n")
    assert names(path) == ["audit.log"]
    assert path.read_bytes().endswith(b"halfnext\n")


def test_a_file_that_is_closed(made: Made) -> None:
    """Its descriptor is given back, and once only."""
    file = made()
    descriptor = file._descriptor
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    file.close()
