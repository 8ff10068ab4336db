"""Files that appear whole, or not at all."""

import os
import stat
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a file atomically, readable by its owner only (mode 0600).

    One that is so already is left alone: a full disk is no reason to fail then.

    Raises:
        OSError: the directory cannot be written.
    """
    if _is_private(path, text.encode()):
        return
    replace(path, text.encode(), path.with_name(f".{path.name}.{os.getpid()}"))


def replace(path: Path, content: bytes, temporary: Path) -> None:
    """Write a file, mode 0600, under a temporary name beside its own; then give it that.

    Raises:
        OSError: the directory cannot be written; nothing is left of the new file.
    """
    # Always a new file: one that lies there may be a link, readable by others, or a part of what a
    # killed process wrote.
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def synchronize(directory: Path) -> None:
    """Have the names in a directory on the disk.

    Raises:
        OSError: that failed.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_private(path: Path, content: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        private = stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o600
        return private and status.st_uid == os.geteuid() and file.read(len(content) + 1) == content
