"""Long work on the event loop: one piece at a time, in slices, with a bound on CPU time.

Everybody else waits for whatever runs on the loop. So work that a caller can make long runs alone,
gives way after `SLICE_SECONDS`, for as long as it has run, and ends with an error at its bound.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from greenroom.model.iam_errors import Throttling

SLICE_SECONDS = 0.002
"""CPU time after which others have theirs."""

WAITING = 8
"""Who may wait for the turn; further ones are told to come again."""


class TookTooLong(Exception):
    """The work has used the CPU time that it may."""


class Budget:
    """The CPU time of one piece of work; `clock` is that of the thread, in seconds."""

    def __init__(self, step: float, total: float, clock: Callable[[], float]) -> None:
        """Allow so many seconds for each step that cannot be cut, and for all of them together."""
        self._clock = clock
        self._step = step
        self._left = total
        self._began = self._last = clock()

    def check(self) -> None:
        """Raise TookTooLong when the step has used its time; called within it, again and again."""
        if self._clock() - self._began > self._step:
            raise TookTooLong

    async def rest(self) -> None:
        """End a step: give way where that is due, and begin the next one.

        Raises:
            TookTooLong: the whole has used its time.
        """
        now = self._clock()
        used = now - self._last
        if used >= SLICE_SECONDS:
            self._left -= used
            if self._left < 0:
                raise TookTooLong
            await asyncio.sleep(used)
            self._last = self._clock()
        self._began = self._clock()


class LongWork:
    """Who may do long work now: one at a time, in order."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def turn(self, step: float, total: float) -> AsyncIterator[Budget]:
        """Wait for the turn; give the budget of the work.

        Raises:
            Throttling: too many wait.
        """
        if self._waiting >= WAITING:
            raise Throttling("Rate exceeded: too many policies are being simulated")
        self._waiting += 1
        try:
            await self._lock.acquire()
        finally:
            self._waiting -= 1
        try:
            yield Budget(step, total, self._clock)
        finally:
            self._lock.release()
