"""Turns for those who send more than their share: a few in each turn of the event loop.

However many connections have something left to do, the others are served in between.
"""

import asyncio
from collections import deque
from collections.abc import Callable

AT_ONCE = 8
"""How many are served before everybody else has a turn, where nothing else is said."""


class Turns:
    """What connections have left to do, in order; each waits with one thing at most."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        """Make it; `at_once` are served before everybody else has a turn."""
        self._at_once = at_once
        self._waiting: deque[Callable[[], None]] = deque()
        self._serving = False

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call back when it is one's turn, in a later turn of the loop."""
        self._waiting.append(go_on)
        if not self._serving:
            self._serve_soon()

    def _serve_soon(self) -> None:
        self._serving = bool(self._waiting)
        if self._serving:
            asyncio.get_running_loop().call_soon(self._serve)

    def _serve(self) -> None:
        try:
            for _ in range(min(self._at_once, len(self._waiting))):
                self._waiting.popleft()()
        finally:
            self._serve_soon()
