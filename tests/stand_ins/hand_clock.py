"""A clock that only a test moves."""

from greenroom.clock import Clock

START_MS = 1_700_000_000_000
"""Where every such clock begins, in milliseconds since the epoch."""


class HandClock:
    """Wall time and monotonic time, moved by hand: together, or the wall time alone."""

    def __init__(self) -> None:
        self.wall_ns = START_MS * 1_000_000
        self.seconds = 1000.0
        self.clock = Clock(lambda: self.wall_ns, lambda: self.seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        self.jump(seconds)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP does."""
        self.wall_ns += round(seconds * 1_000_000_000)
