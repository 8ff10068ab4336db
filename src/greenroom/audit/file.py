"""The audit log's file: appended to, and rotated by size and by age with a bound on what is kept.

- A full file gets the next number behind its name, `audit.log.000042`; beyond the bound the lowest
  numbers are deleted. One rename is all that rotation is: whenever the machine stops, each line is
  in one file. The old file and the directory are on the disk before the new file is begun.
- Several processes may write to one file, as in a takeover: one of them puts it aside.
- Somebody else may move the file away and call `reopen`, as logrotate does, or cut it to nothing.
- What is no ordinary file, such as `/dev/stdout`, is never rotated.
- A line whose rest a full disk did not take spoils no other: what follows begins on a line.
- Not safe for several threads.
"""

import contextlib
import fcntl
import os
import re
import stat
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from greenroom.process.files import synchronize

HOUR = 3600

RETRY_SECONDS = 60.0
"""How long a file that cannot be rotated goes on before that is tried again."""


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """When a new file is begun, and how many full ones are kept; 0 bytes or hours is never."""

    bytes: int = 0
    hours: int = 0
    files: int = 16


class AuditFile:
    """A file that lines are appended to."""

    def __init__(
        self,
        path: Path,
        rotation: Rotation = Rotation(),  # noqa: B008 - has nothing that changes
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._rotation = rotation
        self._now = now
        self._monotonic = monotonic
        self._descriptor = -1
        self._began = 0.0
        self._is_cut = False
        self._not_before = float("-inf")

    def open(self) -> None:
        """Open the file for appending, mode 0600 when it is new.

        Raises:
            OSError: it cannot be opened; what was open stays open.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._descriptor)
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._began = self._first_time()
        self._is_cut = self._lacks_end()
        with contextlib.suppress(OSError):
            synchronize(self._path.parent)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def write(self, data: bytes) -> bytes:
        """Append what the disk takes at once, and return the rest.

        Raises:
            OSError: it took nothing.
        """
        if self._is_cut:
            os.write(self._descriptor, b"\n")
            self._is_cut = False
        return data[os.write(self._descriptor, data) :]

    def rotate_if_due(self, coming: int) -> OSError | None:
        """Begin a new file if so many bytes more would make this one too large, or it is too old.

        One that was deleted is begun anew, too.
        Return why that was due and could not be done; the old file then goes on.
        """
        if not self._is_due(coming) or self._monotonic() < self._not_before:
            return None
        try:
            self._rotate()
        except OSError as error:
            self._not_before = self._monotonic() + RETRY_SECONDS
            return error
        return None

    def _is_due(self, coming: int) -> bool:
        rotation = self._rotation
        file = os.fstat(self._descriptor)
        if not file.st_size or not stat.S_ISREG(file.st_mode):
            return False
        # A clock that was once ahead must not keep a file for ever: either way it is too far off.
        old = rotation.hours and abs(self._now() - self._began) >= rotation.hours * HOUR
        large = rotation.bytes and file.st_size + coming > rotation.bytes
        return bool(old or large) or not file.st_nlink

    def _rotate(self) -> None:
        os.fsync(self._descriptor)
        # A process that is being taken over writes to the same file, until it ends.
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            if self._is_in_place():
                self._put_aside()
            self.open()
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _put_aside(self) -> None:
        numbers = sorted(self._numbers())
        following = numbers[-1] + 1 if numbers else 1
        self._path.rename(self._numbered(following))
        for number in [*numbers, following][: -self._rotation.files]:
            self._numbered(number).unlink(missing_ok=True)

    def _is_in_place(self) -> bool:
        """Return whether the name is that of the open file: else somebody else rotated it."""
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self._descriptor))

    def _numbers(self) -> list[int]:
        pattern = re.compile(re.escape(self._path.name) + r"\.([0-9]{6,12})")
        found = (pattern.fullmatch(each.name) for each in self._path.parent.iterdir())
        return [int(match[1]) for match in found if match]

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number:06}")

    def _first_time(self) -> float:
        """Return the time of the file's first line; now when it has none."""
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            return self._now()
        try:
            with self._path.open("rb") as file:
                line = file.read(200)
        except OSError:
            return self._now()
        match = re.match(rb'\{"time":"([0-9T:.+-]{19,40}Z?)"', line)
        if match is None:
            return self._now()
        try:
            return datetime.fromisoformat(match[1].decode()).timestamp()
        except ValueError:
            return self._now()

    def _lacks_end(self) -> bool:
        """Return whether the file ends in the middle of a line."""
        file = os.fstat(self._descriptor)
        if not stat.S_ISREG(file.st_mode) or not file.st_size:
            return False
        try:
            with self._path.open("rb") as opened:
                opened.seek(-1, os.SEEK_END)
                return opened.read(1) != b"\n"
        except OSError:
            return False
