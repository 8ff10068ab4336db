"""The clocks of the process, as values that tests replace."""

import time
from collections.abc import Callable

import msgspec

NANOSECONDS_PER_MILLISECOND = 1_000_000

SMALL_STEP_MS = 1_000
"""A running wall clock is corrected by no more than this; in a larger step somebody sets it."""

SMALL_STEP_NS = SMALL_STEP_MS * NANOSECONDS_PER_MILLISECOND


def is_set_back(last: int, now: int, small_step: int) -> bool:
    """Return whether the clock was set back since it showed `last`, by more than a small step.

    A time that must not go back waits for the clock over a small step, and follows it over a larger
    one: a clock that was once hours ahead would stop it for hours. All three are in one unit.
    """
    return last - now > small_step


class Clock(msgspec.Struct, frozen=True):
    """Wall time for what the wire shows, monotonic time for rates and timeouts."""

    wall_ns: Callable[[], int] = time.time_ns
    monotonic: Callable[[], float] = time.monotonic

    def now_ms(self) -> int:
        """Return milliseconds since the epoch."""
        return self.wall_ns() // NANOSECONDS_PER_MILLISECOND

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self.wall_ns() / 1e9
