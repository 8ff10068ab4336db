"""How late the event loop runs what is due: what everybody on the node waits."""

from collections.abc import Callable
from time import perf_counter

import structlog

from greenroom.telemetry.bounded_log import QUIET_SECONDS
from greenroom.telemetry.readings import Distribution

LAG_SECONDS = 0.05
"""How often the lag is taken."""

STALL_SECONDS = 0.05
"""Nothing may run on the loop for longer: a timer that comes later is counted and told."""

log = structlog.get_logger()


class LoopLag:
    """Observes how late one timer comes, which comes again and again.

    A stall is told at once, those of the next ten seconds as one line with the longest of them.
    """

    def __init__(self, lag: Distribution, clock: Callable[[], float] = perf_counter) -> None:
        self._lag = lag
        self._clock = clock
        self._due: float | None = None
        self._untold = 0
        self._longest = 0.0
        self._quiet_until = float("-inf")
        self.stalls = 0
        """How often the timer was more than `STALL_SECONDS` late."""

    def observe(self) -> None:
        """See how late this is called, `LAG_SECONDS` after the last time; the first call begins."""
        now = self._clock()
        due, self._due = self._due, now + LAG_SECONDS
        if due is None:
            return
        late = max(0.0, now - due)
        self._lag.observe(late)
        if late > STALL_SECONDS:
            self.stalls += 1
            self._untold += 1
            self._longest = max(self._longest, late)
        if self._untold and now >= self._quiet_until:
            self._tell(now)

    def _tell(self, now: float) -> None:
        log.warning(
            "the event loop was held up",
            times=self._untold,
            longest_milliseconds=round(self._longest * 1000),
        )
        self._untold, self._longest = 0, 0.0
        self._quiet_until = now + QUIET_SECONDS
