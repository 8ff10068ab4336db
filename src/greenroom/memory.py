"""Memory pressure: say when no more connections fit, before the machine ends the process.

- The bound is a setting; by default nine tenths of what the container, or the machine, has.
- Above the bound the node is pressed: it refuses new connections and keeps the old ones. Below
  95 % of it, it takes new ones again. In between nothing changes, so that it does not flutter.
- While pressed, memory that was freed is given back to the machine, which the C library does not
  always do by itself.
"""

import asyncio
import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

SHARE = 0.9
"""How much of the machine's or container's memory the process may use by default."""

RELEASED = 0.95
"""Below this share of the bound the pressure is over."""

LOOK_SECONDS = 1
"""How often it is measured."""

_UNBOUNDED = 1 << 60
"""Control groups write "no limit" as a number that no machine has."""

log = structlog.get_logger()


class MemoryWatch:
    """Knows whether the process uses more memory than it may. A bound of 0 is none."""

    def __init__(
        self,
        bound: int = 0,
        resident: Callable[[], int] | None = None,
        release: Callable[[], None] | None = None,
    ) -> None:
        self._bound = bound
        self._resident = resident or resident_bytes
        self._release = release or give_back
        self._timer: asyncio.TimerHandle | None = None
        self.pressed = False

    def start(self) -> None:
        """Begin to look, once a second."""
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look_again)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> None:
        """Measure."""
        if not self._bound:
            return
        used = self._resident()
        if self.pressed:
            self._release()
            used = self._resident()
            if used < self._bound * RELEASED:
                self.pressed = False
                log.warning("memory pressure is over", bytes=used, bound=self._bound)
        elif used > self._bound:
            self.pressed = True
            log.error("memory pressure: new connections are refused", bytes=used, bound=self._bound)

    def _look_again(self) -> None:
        self.start()
        self.look()


def default_bound() -> int:
    """Return the bytes that the process may use when nothing else is set; 0 when unknown."""
    limits = [_machine(), *map(_control_group, _CONTROL_GROUPS)]
    known = [limit for limit in limits if 0 < limit < _UNBOUNDED]
    return int(min(known) * SHARE) if known else 0


def resident_bytes() -> int:
    """Return the bytes of memory that the process has now; 0 where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def give_back() -> None:
    """Give freed memory back to the system, where the C library can."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


_CONTROL_GROUPS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def _machine() -> int:
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 0


def _control_group(file: Path) -> int:
    with suppress(OSError, ValueError):
        return int(file.read_text(encoding="ascii"))
    return 0
