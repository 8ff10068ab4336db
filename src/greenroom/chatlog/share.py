"""How many of some leases a node is to have: as many as any other, rounded up.

Who has more for a while gives some back, and others get them: so a node that joins later has its
part. What nobody else takes comes back, and stays for longer.
"""

import math
from collections.abc import Callable
from typing import Generic, TypeVar

from greenroom.clock import Clock

STEADY_SECONDS = 5.0
"""How long it must be too many: a node that is replaced counts twice for some seconds."""

KEPT_SECONDS = 60.0
"""How long that is kept which came back within this time: nobody else could have it."""

K = TypeVar("K")


class Share(Generic[K]):
    """What this node has of some leases, by their names."""

    def __init__(self, nodes: Callable[[], int], clock: Clock) -> None:
        """Make it without leases; `nodes` returns how many nodes there are."""
        self._nodes = nodes
        self._clock = clock
        self._held: set[K] = set()
        self._over_since = math.inf
        # Until when something may not be given back, and is known to have been.
        self._kept: dict[K, float] = {}
        self._given: dict[K, float] = {}

    def is_full(self, total: int) -> bool:
        """Return whether this node has its part of so many."""
        return len(self._held) >= self._part(total)

    def take(self, key: K) -> None:
        """Note that this node has a lease."""
        self._held.add(key)
        now = self._clock.monotonic()
        self._given = {each: until for each, until in self._given.items() if until > now}
        self._kept = {each: until for each, until in self._kept.items() if until > now}
        if key in self._given:
            self._kept[key] = now + KEPT_SECONDS

    def leave(self, key: K) -> None:
        """Note that this node does not have it any more."""
        self._held.discard(key)

    def gives_back(self, key: K, total: int) -> bool:
        """Return whether the holder is to let go, of so many that there are; then he must."""
        now = self._clock.monotonic()
        if len(self._held) <= self._part(total):
            self._over_since = math.inf
            return False
        self._over_since = min(self._over_since, now)
        if now - self._over_since < STEADY_SECONDS or self._kept.get(key, now) > now:
            return False
        self._held.discard(key)
        self._given[key] = now + KEPT_SECONDS
        return True

    def _part(self, total: int) -> int:
        return -(-total // max(self._nodes(), 1))
