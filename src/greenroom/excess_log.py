"""Tells the operator that a bound on connections was met: now and then, not once a connection."""

from collections import Counter
from collections.abc import Callable

import structlog

from greenroom.clock import Clock
from greenroom.visitors import Excess

QUIET_SECONDS = 10
"""At most one line about each bound in this time."""

log = structlog.get_logger()


class ExcessLog:
    """Counts how often each bound was met."""

    def __init__(self, clock: Clock, count: Callable[[str], None] = lambda _: None) -> None:
        """Make a log; `count` is told the limit's name each time, for a metric."""
        self._clock = clock
        self._count = count
        self._untold: Counter[Excess] = Counter()
        self._quiet_until: dict[Excess, float] = {}

    def __call__(self, excess: Excess) -> None:
        """Count one connection that was closed, or had to wait, for this bound."""
        self._count(excess.value)
        self._untold[excess] += 1
        now = self._clock.monotonic()
        if now >= self._quiet_until.get(excess, now):
            self._quiet_until[excess] = now + QUIET_SECONDS
            log.warning("connection limit met", limit=excess.value, times=self._untold.pop(excess))
