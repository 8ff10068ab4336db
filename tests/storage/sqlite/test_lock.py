"""The lock on a store's directory: who holds it, and what the last one left."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from greenroom.storage.base import StoreInUse, StoreUnwritable
from greenroom.storage.sqlite import lock
from greenroom.storage.sqlite.lock import LOCK, Left, is_full, locked, look, unwritable

BOOT = "b1946ac9-0000-4000-8000-000000000000"


@pytest.fixture(autouse=True)
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a run of the machine that a test can end."""
    file = tmp_path / "boot_id"
    file.write_text(BOOT + "\n")
    monkeypatch.setattr(lock, "_BOOT_ID", file)
    return file


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Give a directory that is not there yet."""
    return tmp_path / "a" / "data"


def text(directory: Path) -> str:
    """Return what stands in the locked file."""
    return (directory / LOCK).read_text()


def test_one_at_a_time(directory: Path) -> None:
    """The directory is made for its owner only; whoever finds it locked is told by whom."""
    assert look(directory)[0] == ""
    assert not directory.exists()
    with locked(directory):
        assert directory.stat().st_mode & 0o777 == 0o700
        assert text(directory) == f"{os.getpid()}\n\n"
        assert look(directory)[0] == str(os.getpid())
        with pytest.raises(StoreInUse, match=f"in use by process {os.getpid()}: stop"):
            locked(directory).__enter__()
    assert text(directory) == ""
    assert look(directory)[0] == ""
    with locked(directory):
        pass


def test_a_holder_who_does_not_say_who_he_is(directory: Path) -> None:
    """He is in the way all the same."""
    with locked(directory):
        (directory / LOCK).write_text("a name\n")
        assert look(directory)[0] == "unknown"
        with pytest.raises(StoreInUse, match="in use by another process"):
            locked(directory).__enter__()


def test_what_is_noted_of_a_log(directory: Path, boot: Path) -> None:
    """It stays when its process ends without an end of the log, and tells of which run it was."""
    with locked(directory) as held:
        assert (held.must_have_log, held.same_boot) == (False, False)
        held.note_log(True)
        assert text(directory) == f"{os.getpid()}\nlogged {BOOT}\n"
    assert text(directory) == f"\nlogged {BOOT}\n"
    holder, left = look(directory)
    assert (holder, left.must_have_log, left.same_boot) == ("", True, True)
    boot.write_text("another\n")
    _, left = look(directory)
    assert (left.must_have_log, left.same_boot) == (True, False)
    boot.unlink()
    _, left = look(directory)
    assert (left.must_have_log, left.same_boot) == (True, False)
    with locked(directory) as held:
        assert held.must_have_log
        held.note_log(False)
        assert text(directory) == f"{os.getpid()}\n\n"
    assert text(directory) == ""


def test_nothing_is_the_same_where_nobody_knows(boot: Path) -> None:
    """Without a name of the machine's run, none is compared."""
    boot.unlink()
    assert lock._boot() == ""
    assert not Left("logged ").same_boot
    assert Left("logged ").must_have_log
    assert not Left("").must_have_log


def test_that_no_log_is_left_is_on_the_disk(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power failure nobody misses a log that was merged; that there is one can wait."""
    synchronized: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _: synchronized.append(text(directory)))
    with locked(directory) as held:
        held.note_log(True)
        assert synchronized == []
        held.note_log(False)
    assert synchronized == [f"{os.getpid()}\n\n"]


def test_a_full_disk_keeps_nobody_from_starting(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be written, or not whole, leaves what stood there; the lock holds without it."""
    with locked(directory) as held:
        held.note_log(True)

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    for write in (refuse, lambda *_: 3):
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", write)
            with locked(directory) as held:
                assert held.must_have_log
                with pytest.raises(StoreInUse):
                    locked(directory).__enter__()
        assert text(directory) == f"\nlogged {BOOT}\n"


def test_no_link_is_followed(directory: Path, tmp_path: Path) -> None:
    """Root may restore into a directory that is somebody else's."""
    directory.mkdir(parents=True)
    (tmp_path / "theirs").write_text("7\n")
    (directory / LOCK).symlink_to(tmp_path / "theirs")
    for refused in (lambda: locked(directory).__enter__(), lambda: look(directory)):
        with pytest.raises(StoreUnwritable, match="lock cannot be written"):
            refused()
    assert (tmp_path / "theirs").read_text() == "7\n"


def test_a_file_is_given_to_another_owner(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To that of another file."""
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fchown", lambda _, user, group: given.append((user, group)))
    with locked(directory) as held:
        held.give(os.stat_result((0, 0, 0, 0, 7, 8, 0, 0, 0, 0)))
    assert given == [(7, 8)]


def sqlite_error(code: int) -> sqlite3.Error:
    """Return an error of SQLite's."""
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, ""), True),
        (OSError(errno.EDQUOT, ""), True),
        (OSError(errno.EACCES, ""), False),
        (sqlite_error(sqlite3.SQLITE_FULL), True),
        (sqlite_error(sqlite3.SQLITE_IOERR_SHMSIZE), True),
        (sqlite_error(sqlite3.SQLITE_READONLY), False),
        (ValueError(), False),
    ],
)
def test_what_is_a_full_disk(error: Exception, full: bool) -> None:
    """As the system or SQLite says it; then the refusal says what to do."""
    assert is_full(error) is full
    assert ("the disk is full: make room" in str(unwritable(Path("x"), error))) is full


def test_what_is_in_the_way(tmp_path: Path) -> None:
    """The part of a path that is a file is named, and else what the system says."""
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "below" / "data"
    for error in (NotADirectoryError(errno.ENOTDIR, ""), FileExistsError(errno.EEXIST, "")):
        assert str(unwritable(path, error)).startswith(f"{tmp_path / 'file'} is not a directory")
    told = str(unwritable(path, OSError(errno.EACCES, "Permission denied")))
    assert told.startswith(f"{path} cannot be written (Permission denied): make it writable")
    told = str(unwritable(path, sqlite_error(sqlite3.SQLITE_READONLY)))
    assert "(what SQLite says)" in told
