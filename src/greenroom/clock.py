"""The clocks of the process, as values that tests replace."""

import time
from collections.abc import Callable

import msgspec

NANOSECONDS_PER_MILLISECOND = 1_000_000


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
