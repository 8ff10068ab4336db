"""What the process does when the operating system's signals arrive."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_STOP = (signal.SIGTERM, signal.SIGINT)


def leave_at_once(code: int) -> None:
    """End the process without another word."""
    os._exit(code)


@contextmanager
def handled(
    stop: Callable[[], None],
    hang_up: Callable[[], None],
    leave: Callable[[int], object] | None = leave_at_once,
) -> Iterator[None]:
    """Stop at the first SIGTERM or SIGINT; at the second leave at once, as the shell expects.

    `leave` is called with the exit code then; None does nothing. SIGHUP, which ends a process that
    does not handle it, means: read your files again.
    """
    loop = asyncio.get_running_loop()
    stopping = False

    def receive(number: int) -> None:
        nonlocal stopping
        if stopping:
            if leave is not None:
                leave(128 + number)
            return
        stopping = True
        stop()

    for number in _STOP:
        loop.add_signal_handler(number, receive, number)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        for number in (*_STOP, signal.SIGHUP):
            loop.remove_signal_handler(number)
