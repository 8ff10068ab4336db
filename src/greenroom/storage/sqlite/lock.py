"""The lock on a store's directory: one process at a time, and whether the last one left in order.

The locked file holds the process id of the holder. Below it stands, while a write-ahead log must
lie beside the database, in which run of the machine that is. What a killed process left there tells
the next one that the log must still be there.
"""

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from greenroom.storage.base import StoreInUse, StoreUnwritable

LOCK = "lock"
"""The locked file's name."""

_LOGGED = "logged "

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Left:
    """What the last process left in the locked file."""

    def __init__(self, noted: str) -> None:
        self._left = noted
        self._boot = _boot()

    @property
    def must_have_log(self) -> bool:
        """Return whether the last process was ended while there was a log."""
        return self._left.startswith(_LOGGED)

    @property
    def same_boot(self) -> bool:
        """Return whether that was in this run of the machine; False where nobody knows."""
        return bool(self._boot) and self._left == _LOGGED + self._boot


class Lock(Left):
    """A lock that is held; made by `locked`."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(_second_line(descriptor))
        self._descriptor = descriptor
        self._write(self._left)

    def note_log(self, there: bool) -> None:
        """Note that there is a log from now on, or that there soon may be none."""
        self._left = _LOGGED + self._boot if there else ""
        self._write(self._left)
        if not there:
            # After a power failure the note must not be there any more when the log is not.
            os.fsync(self._descriptor)

    def give(self, owner: os.stat_result) -> None:
        """Give the file to the owner of another one; only root may."""
        os.fchown(self._descriptor, owner.st_uid, owner.st_gid)

    def let_go(self) -> None:
        """Take the process id away; what is noted of the log stays."""
        self._write(self._left, holder="")

    def _write(self, noted: str, holder: str | None = None) -> None:
        text = f"{os.getpid() if holder is None else holder}\n{noted}\n".encode()
        # A full disk keeps nobody from starting: the lock holds without it. Nothing is cut off
        # before, so that what is noted is not lost then.
        with suppress(OSError):
            if os.pwrite(self._descriptor, text, 0) == len(text):
                os.ftruncate(self._descriptor, len(text) if text.strip() else 0)


@contextmanager
def locked(directory: Path) -> Iterator[Lock]:
    """Hold the directory's lock; make the directory, for its owner only, when it is missing.

    The operating system drops the lock when the process dies.

    Raises:
        StoreInUse: another process, or another store of this one, holds it.
        StoreUnwritable: the directory or the lock's file cannot be made.
    """
    descriptor = _open(directory)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise in_use(directory, _holder(descriptor)) from None
        lock = Lock(descriptor)
        try:
            yield lock
        finally:
            lock.let_go()
    finally:
        os.close(descriptor)


def look(directory: Path) -> tuple[str, Left]:
    """Return the process id of the lock's holder, "" when there is none, and what is left.

    Raises:
        StoreUnwritable: the lock's file cannot be read.
    """
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return "", Left("")
    except OSError as error:
        raise unwritable(directory / LOCK, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(descriptor) or "unknown", Left("")
    else:
        return "", Left(_second_line(descriptor))
    finally:
        os.close(descriptor)


def in_use(directory: Path, holder: str = "") -> StoreInUse:
    """Return the error for a directory that somebody else uses."""
    process = f"process {holder}" if holder else "another process"
    return StoreInUse(
        f"{directory} is in use by {process}: stop that first, or choose another data directory"
    )


def unwritable(path: Path, error: Exception) -> StoreUnwritable:
    """Return the error for a place that cannot be written."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        return StoreUnwritable(
            f"{_in_the_way(path)} is not a directory: give one that is, or that can be made,"
            " with --data-dir or GREENROOM_DATA_DIR"
        )
    if is_full(error):
        return StoreUnwritable(
            f"{path} cannot be written, the disk is full: make room (a start needs some for the"
            " database's index), or choose another data directory"
        )
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return StoreUnwritable(
        f"{path} cannot be written ({reason}): make it writable, or choose another data directory"
    )


def is_full(error: Exception) -> bool:
    """Return whether it was for want of space."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # Told so when the index of the log does not fit.
    full = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
    return isinstance(error, sqlite3.Error) and error.sqlite_errorcode in full


def _in_the_way(path: Path) -> Path:
    """Return the part of a path that should be a directory and is something else."""
    upwards = (path, *path.parents)
    return next((each for each in upwards if os.path.lexists(each) and not each.is_dir()), path)


def _open(directory: Path) -> int:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(directory, error) from error
    try:
        # Not through a link: root may restore a backup into a directory that is somebody else's.
        return os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise unwritable(directory / LOCK, error) from error


def _holder(descriptor: int) -> str:
    text = _text(descriptor).partition("\n")[0].strip()
    return text if text.isdigit() else ""


def _second_line(descriptor: int) -> str:
    return _text(descriptor).partition("\n")[2].strip()


def _text(descriptor: int) -> str:
    return os.pread(descriptor, 100, 0).decode("ascii", "replace")


def _boot() -> str:
    """Return what names this run of the machine, "" where the system does not tell."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
