"""How much may wait for a destination, and when the log says that it becomes too much."""

import msgspec

ANNOUNCED_PERCENT = (50, 80, 95)
"""How full a queue is when the log says so, once for each step while it does not run empty."""

NANOSECONDS_PER_HOUR = 3_600_000_000_000


class Bounds(msgspec.Struct, frozen=True):
    """What may wait: bytes and age of one configuration's records, bytes in memory of all."""

    size: int = 1 << 30
    age_ns: int = 168 * NANOSECONDS_PER_HOUR
    memory: int = 16 << 20

    def used(self, size: int, age_ns: int) -> float:
        """Return how much of the nearer bound a configuration's records use; at 1 it is full."""
        return max(size / self.size, age_ns / self.age_ns)

    def next_step(self, size: int) -> int:
        """Return the next larger size that is announced, or at which something is dropped."""
        steps = (self.size * percent // 100 for percent in ANNOUNCED_PERCENT)
        return next((step for step in steps if step > size), self.size + 1)


class Announcements:
    """Which steps were announced."""

    def __init__(self) -> None:
        self._announced = 0

    def due(self, used: float) -> int | None:
        """Return the highest step that is reached and was not announced yet, in percent."""
        reached = sum(used * 100 >= percent for percent in ANNOUNCED_PERCENT)
        if reached <= self._announced:
            return None
        self._announced = reached
        return ANNOUNCED_PERCENT[reached - 1]
