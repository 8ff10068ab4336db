"""Running out of descriptors: say so, because nobody else does.

- Each connection is a descriptor. When none is left, libuv takes a connection with one that it has
  put by, and closes it: neither the loop nor the program hears of it. So it is looked once a second
  whether one more can be opened; who accepts connections himself tells when he could not.
- One line in ten seconds, and a counter.
"""

import os
import resource
from collections.abc import Callable
from contextlib import suppress

from greenroom.telemetry.bounded_log import BoundedLog

LOOK_SECONDS = 1

REMEDY = "raise LimitNOFILE (systemd) or ulimit -n above the connections that you expect"


class DescriptorWatch:
    """Knows how often no descriptor was left."""

    def __init__(
        self, lines: BoundedLog | None = None, can_open: Callable[[], bool] | None = None
    ) -> None:
        self._lines = lines or BoundedLog()
        self._can_open = can_open or _can_open
        self.shortages = 0

    def look(self) -> None:
        """Count and tell when no descriptor is left: to be called every `LOOK_SECONDS`."""
        if not self._can_open():
            self.met()

    def met(self) -> None:
        """Count and tell that one was asked for, and none was left."""
        self.shortages += 1
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        kind = {"limit": limit, "remedy": REMEDY}
        self._lines.write("warning", "no descriptors left: new connections are closed", kind)


def _can_open() -> bool:
    try:
        descriptor = os.open("/", os.O_RDONLY)
    except OSError:
        return False
    with suppress(OSError):
        os.close(descriptor)
    return True
