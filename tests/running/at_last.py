"""What is so on one of several nodes as soon as that has heard of what was done on another."""

import time
from collections.abc import Callable
from typing import TypeVar

from tests.running.asked import TOGETHER
from tests.running.wire import PATIENCE

Found = TypeVar("Found")


def at_last(look: Callable[[], Found], holds: Callable[[Found], bool]) -> Found:
    """Return what is found: by one process at once, by several when it holds, or patience ends."""
    ends = time.monotonic() + (PATIENCE if TOGETHER else 0)
    while not holds(found := look()) and time.monotonic() < ends:
        pass
    return found
