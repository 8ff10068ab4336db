"""Run a coroutine without a task: for those of which there are thousands, and that wait once.

It begins at once, and goes on in the callback of what it waits for. A task costs as much as all
else that a short one does, and again to tell its group that it has ended. In return nobody can
cancel it, or ask which it is: it may not use `asyncio.timeout`, and raises nothing.
"""

import asyncio
from collections.abc import Coroutine


def begin(coroutine: "Coroutine[asyncio.Future[object], None, None]") -> None:
    """Run it up to its end, or to what it waits for, and from there when that is done."""
    _Steps(coroutine).go_on()


class _Steps:
    __slots__ = ("_coroutine",)

    def __init__(self, coroutine: "Coroutine[asyncio.Future[object], None, None]") -> None:
        self._coroutine = coroutine

    def go_on(self, _: object = None) -> None:
        try:
            waits_for = self._coroutine.send(None)
        except (StopIteration, asyncio.CancelledError):
            # The other way to end: what it waited for was cancelled, as it is when the loop ends.
            return
        # Who takes a future from a coroutine says so; what comes of it is raised where it waits.
        waits_for._asyncio_future_blocking = False  # noqa: SLF001 - as a task does
        waits_for.add_done_callback(self.go_on)
