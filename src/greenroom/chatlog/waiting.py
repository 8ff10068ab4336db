"""How chat logging waits: for an event or a time, and longer after each failure."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

Wait = Callable[[asyncio.Event, float], Awaitable[None]]
"""Returns when the event is set or so many seconds have passed."""

FIRST_SECONDS = 1.0
"""The longest wait after a first failure; it doubles with each further one."""

MAXIMUM_SECONDS = 60.0


async def event_or_time(event: asyncio.Event, seconds: float) -> None:
    """Wait as the event loop's clock goes."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class Backoff:
    """Seconds to wait after failures: exponential, with full jitter.

    `random` returns numbers from 0 up to 1. Full jitter: any time up to the limit, so that what
    failed together is not tried again together.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self.failures = 0

    def next(self) -> float:
        """Count a failure and return how long to wait after it."""
        limit = min(FIRST_SECONDS * 2.0 ** min(self.failures, 10), MAXIMUM_SECONDS)
        self.failures += 1
        return limit * self._random()

    def reset(self) -> None:
        """Forget the failures."""
        self.failures = 0
