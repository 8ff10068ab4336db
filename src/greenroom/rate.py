"""Token buckets: how often something may happen. The clock is an argument."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


DEBT_SECONDS = 8.0
"""How long a bucket is empty at most for what was taken of it elsewhere."""


class TokenBucket:
    """Allows `rate` takes a second, and a burst of `capacity` after a pause.

    - A new bucket is full. Over any time of t seconds it grants at most capacity + rate * t takes.
    - A rate of zero or less is no limit.
    - `now` is in seconds of any clock. A clock that steps back refills nothing; refilling goes on
      from where the clock then is.
    """

    __slots__ = ("_capacity", "_fill", "_follows_rate", "_last", "_rate")

    def __init__(self, rate: float, now: float, capacity: float | None = None) -> None:
        self._rate = rate
        self._follows_rate = capacity is None
        self._capacity = _default_capacity(rate) if capacity is None else capacity
        self._fill = self._capacity
        self._last = now

    def take(self, now: float, tokens: float = 1.0) -> bool:
        """Take tokens; return whether there were as many. A refused take costs nothing.

        More than the bucket can hold are taken as all of it.
        """
        rate = self._rate
        if rate <= 0:
            return True
        elapsed = now - self._last
        self._last = now
        fill = self._fill
        if elapsed > 0:
            fill += elapsed * rate
            fill = min(fill, self._capacity)
        if fill < tokens:
            if fill < self._capacity:
                self._fill = fill
                return False
            tokens = fill
        self._fill = fill - tokens
        return True

    def has(self, now: float, tokens: float = 1.0) -> bool:
        """Return whether there would be as many tokens; nothing is taken."""
        if self._rate <= 0:
            return True
        fill = self._fill
        if fill >= tokens:
            return True
        elapsed = now - self._last
        return elapsed > 0 and tokens <= self._capacity and fill + elapsed * self._rate >= tokens

    def debit(self, now: float) -> None:
        """Take a token, also one that is not there: what others let through was let through.

        The debt is bounded by what the bucket can hold. A `now` before an earlier one refills
        nothing, and what follows refills from the later of the two.
        """
        elapsed = now - self._last
        fill = self._fill
        capacity = self._capacity
        if elapsed > 0:
            self._last = now
            fill += elapsed * self._rate
            if fill > capacity:  # noqa: PLR1730 - a call of `min` costs as much as all the rest
                fill = capacity
        self._fill = fill - 1.0 if fill > 1.0 - capacity else -capacity

    def owe(self, now: float, tokens: float) -> None:
        """Take tokens, also if they are not there: they were taken where this was not asked.

        The debt is bounded by what `DEBT_SECONDS` bring.
        """
        elapsed = now - self._last
        if elapsed > 0:
            self._last = now
            self._fill = min(self._fill + elapsed * self._rate, self._capacity)
        self._fill = max(self._fill - tokens, -DEBT_SECONDS * self._rate)

    def give_back(self, tokens: float = 1.0) -> None:
        """Return tokens that were taken for something that was refused afterwards."""
        self._fill = min(self._fill + tokens, self._capacity)

    def change(self, rate: float) -> None:
        """Allow another rate from now on; what is in the bucket stays, up to the new capacity."""
        if rate == self._rate:
            return
        self._rate = rate
        if self._follows_rate:
            self._capacity = _default_capacity(rate)
            self._fill = min(self._fill, self._capacity)


class Buckets(Generic[K]):
    """The buckets of many, `most` of them at once: beyond that the least recently used one goes.

    Being refused is a use. So nobody gets a full bucket by having others made, unless there are
    `most` others: whoever's bucket went may do a bucket's worth too much.
    """

    __slots__ = ("_buckets", "_capacity", "_gone", "_most", "evicted")

    def __init__(
        self,
        most: int,
        capacity: float | None = None,
        gone: Callable[[K], None] = lambda _key: None,
    ) -> None:
        """Make none yet; `gone` is told whose bucket went."""
        self._most = most
        self._capacity = capacity
        self._gone = gone
        self._buckets: OrderedDict[K, TokenBucket] = OrderedDict()
        self.evicted = 0
        """How many went."""

    def __len__(self) -> int:
        return len(self._buckets)

    def get(self, key: K) -> TokenBucket | None:
        """Return the bucket of somebody, if there is one."""
        bucket = self._buckets.get(key)
        if bucket is not None:
            self._buckets.move_to_end(key)
        return bucket

    def find(self, key: K, rate: float, now: float) -> TokenBucket:
        """Return the bucket of somebody, which allows `rate` from now on; a new one is full."""
        bucket = self._buckets.get(key)
        if bucket is not None:
            self._buckets.move_to_end(key)
            bucket.change(rate)
            return bucket
        bucket = self._buckets[key] = self._made(key, rate, now)
        if len(self._buckets) > self._most:
            longest_idle, _ = self._buckets.popitem(last=False)
            self.evicted += 1
            self._gone(longest_idle)
        return bucket

    def _made(self, _key: K, rate: float, now: float) -> TokenBucket:
        return TokenBucket(rate, now, self._capacity)


class SharedBuckets(Buckets[K]):
    """Buckets of which others elsewhere take, too: what is taken here is told to them."""

    __slots__ = ("_untold",)

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._untold: dict[K, _SharedBucket[K]] = {}

    def told(self) -> list[tuple[K, float, float]]:
        """Return what was taken here since the last time: whose, at which rate, how much.

        It is less than nothing of what was given back.
        """
        found = [(key, bucket.rate, bucket.told()) for key, bucket in self._untold.items()]
        self._untold.clear()
        return [each for each in found if each[2]]

    def taken_elsewhere(self, key: K, rate: float, tokens: float, now: float) -> None:
        """Take what was taken elsewhere, at that rate if the bucket is new here."""
        bucket = self.get(key) or self.find(key, rate, now)
        if tokens > 0:
            bucket.owe(now, tokens)
        else:
            TokenBucket.give_back(bucket, -tokens)

    def _made(self, key: K, rate: float, now: float) -> TokenBucket:
        return _SharedBucket(key, rate, now, self._untold)


class _SharedBucket(TokenBucket, Generic[K]):
    """A bucket that notes in `untold` that something was taken."""

    __slots__ = ("_key", "_taken", "_untold")

    def __init__(
        self, key: K, rate: float, now: float, untold: "dict[K, _SharedBucket[K]]"
    ) -> None:
        super().__init__(rate, now)
        self._key = key
        self._untold = untold
        self._taken = 0.0

    @property
    def rate(self) -> float:
        """How often it allows something, a second."""
        return self._rate

    def take(self, now: float, tokens: float = 1.0) -> bool:
        taken = super().take(now, tokens)
        if taken:
            self._note(min(tokens, self._capacity))
        return taken

    def give_back(self, tokens: float = 1.0) -> None:
        super().give_back(tokens)
        self._note(-tokens)

    def told(self) -> float:
        """Return what was taken since the last time."""
        taken, self._taken = self._taken, 0.0
        return taken

    def _note(self, tokens: float) -> None:
        self._taken += tokens
        self._untold[self._key] = self


def _default_capacity(rate: float) -> float:
    """Return one second's worth, and at least one take."""
    return max(rate, 1.0)
