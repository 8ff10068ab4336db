"""A wall clock that the test moves, under a process that serves."""

import os
import struct
from pathlib import Path


class MovedClock:
    """The wall clock of one process, ahead of or behind the true one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.by = 0
        self.move(0)

    def move(self, by: int) -> None:
        """Set the clock so many nanoseconds ahead of the true one."""
        self.by = by
        # Written in place: the process has the file mapped.
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(descriptor, struct.pack("q", by))
        os.close(descriptor)

    @property
    def variables(self) -> dict[str, str]:
        """Return what makes a process take this clock."""
        path = os.pathsep.join(
            filter(None, (str(Path(__file__).parent / "moved_clock"), os.environ.get("PYTHONPATH")))
        )
        return {"MOVED_CLOCK": str(self._file), "PYTHONPATH": path}
