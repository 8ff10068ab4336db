"""When who has sent what last, for slow mode and repetitions: bounded, in memory.

A message is noted when it gets its place. It may be asked about several times before that, so a
message never stands in its own way. On the node that it was sent on it is known at once, on others
that follow the room when it arrives there.
"""

from collections import OrderedDict
from collections.abc import Hashable

MAXIMUM = 100_000
"""What is remembered at once; the oldest goes, and its sender may write a little early."""


class Recent:
    """Times, on the monotonic clock, by what they are of."""

    def __init__(self) -> None:
        self._last: OrderedDict[Hashable, tuple[float, str]] = OrderedDict()
        self.evicted = 0

    def wait(self, key: Hashable, seconds: int, message_id: str, now: float) -> float:
        """Return how many seconds it is until so many have gone by since the last; 0: they have."""
        last = self._last.get(key)
        if last is None or last[1] == message_id:
            return 0.0
        left = last[0] + seconds - now
        return left if left > 0 else 0.0

    def note(self, key: Hashable, message_id: str, at: float) -> None:
        """Note that a message was sent; one that arrives once more changes nothing."""
        last = self._last.get(key)
        if last is not None and last[1] == message_id:
            return
        self._last[key] = at, message_id
        self._last.move_to_end(key)
        if len(self._last) > MAXIMUM:
            self._last.popitem(last=False)
            self.evicted += 1
