"""Processes that begin as a copy of this one: how one is made, and how one has ended."""

import os
import signal
import sys
from collections.abc import Callable, Collection

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


FIRST_OWN = 3
"""The first descriptor behind the standard streams."""


def fork(work: Callable[[], int], kept: Collection[int]) -> int:
    """Do the work in a copy of this process, which ends with the code that it returns.

    Returns the copy's process id. It has the standard streams and the `kept` descriptors, and no
    others: not this event loop's, no lock, no connection. This process must have one thread, and
    no task of an event loop may run just now: the copy has a loop of its own. No signal comes to
    the copy before it has forgotten who handled them here: SIGTERM ends it then, the others of
    ours are ignored.

    Raises:
        OSError: there is no memory, or no room for another process; no copy was made.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        child = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
    if child:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return child
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _close_all_but(kept)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        code = work()
    except SystemExit as told:
        code = told.code if isinstance(told.code, int) else 1
    except BaseException:  # noqa: BLE001 - nothing may return to where the copy was made
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _close_all_but(kept: Collection[int]) -> None:
    """Close descriptors behind their owners' backs: nobody uses them in this process."""
    first = FIRST_OWN
    for each in sorted(kept):
        os.closerange(first, each)
        first = max(first, each + 1)
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def end_of(status: int) -> str:
    """Return in words how a process has ended; `status` is the one that the system gives."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
