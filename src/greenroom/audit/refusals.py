"""How many lines the audit log has about what was refused: to each caller, to nobody, and in all.

Whoever has a key, though no permission, and whoever has none, must not fill the disk, nor push out
what the log keeps of others. A person's mistakes fit into the bursts. What is done is always
written, its rates are quotas; but not all of what everybody may do: GetSessionToken.

- A caller is the user, the role or the root, or a room's moderators together: no number of sessions
  gives more lines.
- **Bound.** `MAXIMUM_CALLERS` callers are told apart; of the one that was idle longest the count of
  lines left out goes to the next line of whomever.
"""

from collections import Counter

from greenroom.rate import Buckets, TokenBucket

CALLER_PER_SECOND, CALLER_BURST = 1, 100
"""Lines of one caller: 1 a second over time, 100 at once."""

UNPROVED_PER_SECOND, UNPROVED_BURST = 5, 100
"""Lines of all requests together without proof of who made them."""

ALL_PER_SECOND, ALL_BURST = 10, 500
"""Lines of all callers together."""

MAXIMUM_CALLERS = 1_000

NOBODY = ""
"""In place of a caller that was not proved."""


class Refusals:
    """Decides which lines about refusals are written."""

    def __init__(self) -> None:
        # They begin full, whatever time it is when the first is asked.
        self._all = TokenBucket(ALL_PER_SECOND, 0.0, ALL_BURST)
        self._nobody = TokenBucket(UNPROVED_PER_SECOND, 0.0, UNPROVED_BURST)
        self._callers: Buckets[str] = Buckets(MAXIMUM_CALLERS, CALLER_BURST, self._forget)
        # Lines that were left out and not told yet, of each caller, and of those not told apart.
        self._untold: Counter[str] = Counter()
        self._forgotten = 0
        self.left_out = 0
        """Lines that were left out since the start."""

    def admit(self, caller: str, now: float) -> int | None:
        """Return how many of the caller's lines were left out before this one.

        None when this one is left out, too.
        """
        bucket = self._bucket(caller, now)
        if bucket.take(now):
            if caller == NOBODY or self._all.take(now):
                return self.take(caller)
            bucket.give_back()
        self._untold[caller] += 1
        self.left_out += 1
        return None

    def take(self, caller: str) -> int:
        """Return how many of the caller's lines were left out and not told yet: they are now."""
        forgotten, self._forgotten = self._forgotten, 0
        return forgotten + self._untold.pop(caller, 0)

    def take_all(self) -> int:
        """Return how many lines of everybody were left out and not told yet: they are now."""
        untold = self._forgotten + self._untold.total()
        self._forgotten = 0
        self._untold.clear()
        return untold

    def _bucket(self, caller: str, now: float) -> TokenBucket:
        if caller == NOBODY:
            return self._nobody
        return self._callers.find(caller, CALLER_PER_SECOND, now)

    def _forget(self, caller: str) -> None:
        self._forgotten += self._untold.pop(caller, 0)
