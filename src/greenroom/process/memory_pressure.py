"""Memory pressure: say when no more connections fit, before the machine ends the process.

- The bound is a setting; by default nine tenths of what the container, or the machine, has.
- Above the bound the node is pressed: it refuses new connections and keeps the old ones. Below
  95 % of it, it takes new ones again. In between nothing changes, so that it does not flutter.
- Before it is pressed, and while it is, garbage is collected, and memory that was freed is given
  back to the machine, which the C library does not always do by itself.
- So it is when the process rests and there may be something: the collector looks at old objects
  hardly ever, and what a flood left would stay for ever, as garbage or as freed memory.
- A collection takes the longer the more objects there are, and nothing else runs meanwhile: it may
  take a hundredth of the time under pressure, and a ten-thousandth at rest.
"""

import ctypes
import gc
import os
import time
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

PRESSED_SHARE, RESTING_SHARE = 0.01, 0.0001
"""How much of the time collections may take."""

RELEASING_SHARE = 0.001
"""How much of the time giving memory back may take at rest: once a minute up to 60 ms."""

RESTING_SECONDS = 60
"""How long there is none at rest in any case."""

RESTING_CPU = 0.05
"""A process that uses less of a processor rests."""

KEPT_BYTES = 16 * 1024 * 1024
"""A process that has so much more than it once had may keep freed memory."""

_UNBOUNDED = 1 << 60
"""Control groups write "no limit" as a number that no machine has."""

log = structlog.get_logger()


class Collector:
    """Collects garbage of every age, when it may; the clocks are arguments, in seconds."""

    def __init__(
        self,
        collect: Callable[[], object] = gc.collect,
        is_due: Callable[[], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._collect = collect
        self._is_due = is_due or _has_grown
        self._clock = clock
        self._cpu = cpu
        self._looked = (clock(), cpu())
        self._ended = float("-inf")
        self._taken = 0.0

    def rests(self) -> bool:
        """Return whether the process did next to nothing since this was asked the last time."""
        before, self._looked = self._looked, (self._clock(), self._cpu())
        passed, used = (now - then for now, then in zip(self._looked, before, strict=True))
        return used < passed * RESTING_CPU

    def paced(self, work: Callable[[], object]) -> "Collector":
        """Return what does another work by the same clocks, whenever it is asked to."""
        return Collector(work, lambda: True, self._clock, self._cpu)

    def collect(self, share: float, pause: float = 0.0) -> bool:
        """Collect if something is due, within a share of the time and after a pause in seconds.

        Return whether it was done.
        """
        begun = self._clock()
        if begun < self._ended + max(pause, self._taken / share) or not self._is_due():
            return False
        self._collect()
        self._ended = self._clock()
        self._taken = self._ended - begun
        return True


def _has_grown() -> bool:
    """Return whether there are many objects that the collector has not looked at every age of."""
    return any(gc.get_count()[1:])


class MemoryWatch:
    """Knows whether the process uses more memory than it may. A bound of 0 is none."""

    def __init__(
        self,
        bound: int = 0,
        resident: Callable[[], int] | None = None,
        release: Callable[[], None] | None = None,
        collector: "Collector | None" = None,
    ) -> None:
        self._bound = bound
        self._resident = resident or resident_bytes
        self._release = release or give_back
        self._collector = collector or Collector()
        self._releaser = self._collector.paced(self._release)
        self._least = self._resident()
        self.pressed = False

    def look(self) -> None:
        """Measure: to be called every `LOOK_SECONDS`."""
        rests, used = self._collector.rests(), self._resident()
        self._least = min(self._least, used)
        if self._bound and (self.pressed or used > self._bound):
            self._collector.collect(PRESSED_SHARE)
            self._release()
            self._judge(self._resident())
        elif rests:
            collected = self._collector.collect(RESTING_SHARE, RESTING_SECONDS)
            if collected or used > self._least + KEPT_BYTES:
                self._releaser.collect(RELEASING_SHARE, RESTING_SECONDS)

    def _judge(self, used: int) -> None:
        if self.pressed and used < self._bound * RELEASED:
            self.pressed = False
            log.warning("memory pressure is over", bytes=used, bound=self._bound)
        elif not self.pressed and used > self._bound:
            self.pressed = True
            log.error("memory pressure: new connections are refused", bytes=used, bound=self._bound)


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
