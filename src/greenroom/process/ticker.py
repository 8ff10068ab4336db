"""A timer that comes again and again."""

import asyncio
from collections.abc import Callable


class Ticker:
    """Calls back every so many seconds on the running loop, from `start` to `stop`."""

    def __init__(self, seconds: float, tick: Callable[[], None]) -> None:
        self._seconds = seconds
        self._tick = tick
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Call back for the first time in so many seconds."""
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._again)

    def stop(self) -> None:
        """Call back no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self) -> None:
        # First: a tick that fails is not the last one, and one may stop what called it.
        self.start()
        self._tick()
