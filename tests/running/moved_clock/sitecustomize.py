"""Moves the wall clock of the Python process that finds this on its path.

The file that MOVED_CLOCK names holds the move: a signed 64-bit number of nanoseconds. The test that
started the process writes it. The monotonic clock runs on, as when an operator sets a machine's
clock.
"""

import mmap
import os
import struct
import time
from pathlib import Path

with Path(os.environ["MOVED_CLOCK"]).open("r+b") as file:
    _moved = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)

_true_ns = time.time_ns


def _time_ns() -> int:
    (moved,) = struct.unpack("q", _moved[:8])
    return _true_ns() + int(moved)


time.time_ns = _time_ns
time.time = lambda: _time_ns() / 1e9
