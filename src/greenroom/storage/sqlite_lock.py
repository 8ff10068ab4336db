"""The lock on a store's directory: one process at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from greenroom.storage.base import StoreInUse, StoreUnwritable

LOCK = "lock"
"""The locked file's name; it holds the process id of the holder."""


@contextmanager
def locked(directory: Path) -> Iterator[None]:
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
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
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
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return StoreUnwritable(
        f"{path} cannot be written ({reason}): make it writable, or choose another data directory"
    )


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
        return os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise unwritable(directory / LOCK, error) from error


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
    return text if text.isdigit() else ""
