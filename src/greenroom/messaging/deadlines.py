"""Deadlines by the thousand: one timer of the event loop for all that end at about the same time.

A timer of its own for each handshake is a tenth of what accepting a connection costs, and almost
all of them are cancelled. Here one that is cancelled is taken out of a set.
"""

import asyncio
import math
from collections.abc import Callable

RESOLUTION = 0.1
"""Seconds that a deadline may come late."""


class Deadline:
    """Something that is done unless it is cancelled before.

    Whoever has one may be what it calls: afterwards it refers to nothing, so that the two are free
    without the collector of garbage.
    """

    __slots__ = ("_callback", "_slot")

    def __init__(self, callback: Callable[[], None], slot: "set[Deadline]") -> None:
        self._callback = callback
        self._slot = slot
        slot.add(self)

    def cancel(self) -> None:
        """Do it no more."""
        self._slot.discard(self)
        self._callback = _nothing

    def pass_by(self) -> None:
        """Do it, unless it was cancelled or done."""
        callback = self._callback
        self.cancel()
        callback()


def _nothing() -> None:
    """Stand where a callback was that is over."""


class Deadlines:
    """The deadlines of one event loop."""

    def __init__(self) -> None:
        """Make it on that loop: to ask which one runs is a system call, in Python 3.11."""
        self._loop = asyncio.get_running_loop()
        self._slots: dict[int, set[Deadline]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def after(self, seconds: float, callback: Callable[[], None]) -> Deadline:
        """Call back in so many seconds."""
        return self.at(self._loop.time() + seconds, callback)

    def at(self, due: float, callback: Callable[[], None]) -> Deadline:
        """Call back at a time of the event loop."""
        number = math.ceil(due / RESOLUTION)
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = set()
            self._loop.call_at(number * RESOLUTION, self._reach, number)
        return Deadline(callback, slot)

    def _reach(self, number: int) -> None:
        # Each by itself: one that fails does not keep the others waiting.
        for deadline in self._slots.pop(number):
            self._loop.call_soon(deadline.pass_by)
