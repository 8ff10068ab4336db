"""Token buckets: what they grant, and that no clock makes them grant more."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.rate import DEBT_SECONDS, Buckets, SharedBuckets, TokenBucket

times = st.floats(0, 1e6, allow_nan=False, allow_infinity=False)


def taken(bucket: TokenBucket, now: float, attempts: int) -> int:
    """Return how many of the attempts were granted."""
    return sum(bucket.take(now) for _ in range(attempts))


@pytest.mark.parametrize(
    ("rate", "capacity", "burst"),
    [(10, None, 10), (0.5, None, 1), (1, None, 1), (10, 3, 3), (10, 25, 25), (2.5, None, 2)],
)
def test_burst(rate: float, capacity: float | None, burst: int) -> None:
    """A new bucket grants its capacity at once: by default a second's worth, at least one."""
    assert taken(TokenBucket(rate, 5.0, capacity), 5.0, 100) == burst


def test_refills_at_the_rate() -> None:
    """An empty bucket refills by the rate, and never over its capacity."""
    bucket = TokenBucket(10, 0.0)
    taken(bucket, 0.0, 10)
    assert taken(bucket, 0.25, 10) == 2
    assert taken(bucket, 0.5, 10) == 3
    assert taken(bucket, 1000.0, 100) == 10


def test_refused_takes_cost_nothing() -> None:
    """Taking from an empty bucket does not delay its refilling."""
    bucket = TokenBucket(1, 0.0)
    assert bucket.take(0.0)
    assert not any(bucket.take(step / 16) for step in range(16))
    assert bucket.take(1.0)


@pytest.mark.parametrize("rate", [0, -1, -0.5])
def test_no_limit(rate: float) -> None:
    """A rate of zero or less grants everything."""
    assert taken(TokenBucket(rate, 0.0), 0.0, 10_000) == 10_000


def test_clock_steps_back() -> None:
    """A clock that steps back refills nothing, and refilling goes on from there."""
    bucket = TokenBucket(10, 1000.0)
    taken(bucket, 1000.0, 10)
    assert not bucket.take(500.0)
    assert taken(bucket, 500.5, 10) == 5


def test_change_clamps_the_fill() -> None:
    """A lower rate takes effect at once: what is over the new capacity is lost."""
    bucket = TokenBucket(100, 0.0)
    bucket.change(5)
    assert taken(bucket, 0.0, 100) == 5
    bucket.change(20)
    assert taken(bucket, 0.0, 100) == 0
    assert taken(bucket, 0.5, 100) == 10


def test_change_keeps_a_given_capacity() -> None:
    """A capacity that was asked for outlives a change of the rate."""
    bucket = TokenBucket(10, 0.0, capacity=3)
    bucket.change(100)
    assert taken(bucket, 10.0, 100) == 3


def test_give_back() -> None:
    """A token that is given back can be taken once more; a full bucket takes none back."""
    bucket = TokenBucket(3, 0.0)
    bucket.give_back()
    assert taken(bucket, 0.0, 10) == 3
    bucket.give_back()
    assert taken(bucket, 0.0, 10) == 1


def test_change_to_the_same_rate() -> None:
    """Changing to the present rate gives nothing back."""
    bucket = TokenBucket(10, 0.0)
    taken(bucket, 0.0, 10)
    bucket.change(10)
    assert not bucket.take(0.0)


def test_change_to_no_limit_and_back() -> None:
    """A limit can be lifted and set again."""
    bucket = TokenBucket(1, 0.0)
    bucket.change(0)
    assert taken(bucket, 0.0, 100) == 100
    bucket.change(2)
    assert taken(bucket, 100.0, 100) == 2


@given(st.lists(times, min_size=1, max_size=200), st.floats(0.01, 1000), st.floats(1, 100))
def test_never_more_than_capacity_and_rate(
    moments: list[float], rate: float, capacity: float
) -> None:
    """For any sequence of times, also backwards, at most capacity + rate * t is granted.

    t is the time that passed forwards.
    """
    bucket = TokenBucket(rate, moments[0], capacity)
    granted = sum(bucket.take(now) for now in moments)
    passed = sum(max(after - before, 0) for before, after in pairwise(moments))
    assert granted <= (capacity + rate * passed) * (1 + 1e-9)


def test_several_tokens_at_once() -> None:
    """What costs more takes more, at most all that the bucket holds, and may be given back."""
    bucket = TokenBucket(10, 0.0)
    assert bucket.take(0.0, 6)
    assert not bucket.take(0.0, 6)
    assert bucket.take(0.0, 4)
    bucket.give_back(4)
    assert bucket.take(0.0, 4)
    assert not bucket.take(0.5, 1_000)
    assert bucket.take(1.0, 1_000)
    assert not bucket.take(1.0)


def test_has_says_what_take_would_do() -> None:
    """It takes nothing; of several tokens too."""
    bucket = TokenBucket(10, 0.0)
    assert all(bucket.has(0.0, 10) for _ in range(3))
    assert not bucket.has(0.0, 11)
    assert taken(bucket, 0.0, 4) == 4
    assert bucket.has(0.0, 6)
    assert not bucket.has(0.0, 7)
    assert bucket.has(0.25, 8.5)
    assert bucket.has(-1.0, 6)
    assert not bucket.has(-1.0, 7)
    assert TokenBucket(0, 0.0).has(0.0, 100)


def test_debt() -> None:
    """What others took is owed, up to what the bucket holds, and refilled before anything else."""
    bucket = TokenBucket(10, 0.0)
    for _ in range(50):
        bucket.debit(0.0)
    assert taken(bucket, 1.0, 5) == 0
    assert taken(bucket, 2.0, 50) == 10


@pytest.mark.parametrize(
    ("debits", "empty_until"), [(10, 0.125), (12, 0.375), (15, 0.75), (19, 1.25), (20, 1.375)]
)
def test_how_long_a_debt_lasts(debits: int, empty_until: float) -> None:
    """Each debit is one token, down to as many as the bucket holds; it is one more for none."""
    bucket = TokenBucket(8, 0.0, capacity=10)
    for _ in range(debits):
        bucket.debit(0.0)
    assert bucket.has(empty_until)
    assert not bucket.has(empty_until - 0.0625)
    for _ in range(50):
        bucket.debit(0.0)
    assert bucket.has(1.375)
    assert not bucket.has(1.3125)


def test_a_debit_of_a_full_bucket() -> None:
    """What was refilled meanwhile is no more than the bucket holds."""
    bucket = TokenBucket(8, 0.0, capacity=4)
    bucket.debit(0.0)
    bucket.debit(100.0)
    assert taken(bucket, 100.0, 50) == 3


def test_what_is_refilled_before_a_debit() -> None:
    """However little time has passed; so it is with what was taken elsewhere."""
    one, other = TokenBucket(8, 0.0), TokenBucket(8, 0.0)
    assert taken(one, 0.0, 8) == taken(other, 0.0, 8) == 8
    one.debit(0.5)
    other.owe(0.5, 1)
    assert taken(one, 0.5, 50) == taken(other, 0.5, 50) == 3


def test_a_full_bucket_has_all_it_holds() -> None:
    """Once it is full again, and no more than that however long it stands."""
    slow = TokenBucket(1, 0.0)
    assert slow.take(0.0)
    assert not slow.has(0.5)
    bucket = TokenBucket(10, 0.0)
    assert bucket.take(0.0, 10)
    assert not bucket.has(0.9375, 10)
    assert bucket.has(1.0, 10)
    assert not bucket.has(100.0, 10.5)


def test_what_was_taken_elsewhere_is_owed() -> None:
    """It is refilled before anything else, from the latest time that is known."""
    bucket = TokenBucket(8, 0.0)
    bucket.owe(0.0, 3)
    assert taken(bucket, 0.0, 50) == 5
    bucket.owe(1.0, 12)
    assert not bucket.has(1.5)
    bucket.owe(0.5, 1)
    assert not bucket.has(1.6875)
    assert bucket.has(1.75)
    bucket.owe(100.0, 2)
    assert taken(bucket, 100.0, 50) == 6


def test_what_is_owed_is_bounded() -> None:
    """By what some seconds bring, whatever others took."""
    bucket = TokenBucket(8, 0.0)
    for _ in range(3):
        bucket.owe(0.0, 50)
    assert not bucket.has(DEBT_SECONDS + 0.0625)
    assert bucket.has(DEBT_SECONDS + 0.125)


def test_a_late_debit_refills_nothing() -> None:
    """One that was before what is known counts, and the time of what is known stays."""
    bucket = TokenBucket(10, 0.0)
    assert taken(bucket, 5.0, 9) == 9
    bucket.debit(4.0)
    assert not bucket.has(5.0)
    assert taken(bucket, 5.5, 50) == 5


@given(st.lists(st.tuples(times, st.integers(1, 5)), max_size=30))
def test_debits_like_takes(steps: list[tuple[float, int]]) -> None:
    """Who debits what `has` let through grants what `take` grants."""
    one, other = TokenBucket(7, 0.0), TokenBucket(7, 0.0)
    for now, attempts in sorted(steps):
        for _ in range(attempts):
            granted = one.has(now)
            if granted:
                one.debit(now)
            assert granted == other.take(now)


def test_the_least_recently_used_bucket_goes() -> None:
    """Asking for a bucket is a use, also where nothing is taken; whose bucket went is told."""
    gone: list[str] = []
    buckets = Buckets[str](2, gone=gone.append)
    assert buckets.find("a", 1, 0.0).take(0.0)
    assert buckets.get("b") is None
    buckets.find("b", 1, 0.0)
    assert buckets.get("a") is buckets.find("a", 1, 0.0)
    buckets.find("c", 1, 0.0)
    assert (gone, buckets.evicted, len(buckets)) == (["b"], 1, 2)
    assert not buckets.find("a", 1, 0.0).take(0.0)
    buckets.get("c")
    buckets.find("d", 1, 0.0)
    assert gone == ["b", "a"]


def test_finding_a_bucket_is_a_use() -> None:
    """Also without anything else."""
    gone: list[str] = []
    buckets = Buckets[str](2, gone=gone.append)
    for key in ("a", "b", "a", "c"):
        buckets.find(key, 1, 0.0)
    assert gone == ["b"]


def test_buckets_have_the_rate_and_the_capacity_that_are_given() -> None:
    """A rate holds from when it is given, also for a bucket that is there."""
    buckets = Buckets[str](2, capacity=3)
    assert taken(buckets.find("a", 1, 0.0), 0.0, 9) == 3
    assert taken(buckets.find("a", 2, 0.0), 1.0, 9) == 2
    assert taken(Buckets[str](2).find("a", 5, 0.0), 0.0, 9) == 5


def test_shared_buckets_tell_what_was_taken() -> None:
    """Of each bucket once: takes less what was given back, at its rate; nothing of refusals."""
    buckets = SharedBuckets[str](9)
    a, b = buckets.find("a", 2, 0.0), buckets.find("b", 3, 0.0)
    buckets.find("idle", 5, 0.0)
    assert buckets.told() == []
    assert taken(a, 0.0, 9) == 2
    assert b.take(0.0, 99)
    assert not b.take(0.0)
    assert buckets.told() == [("a", 2, 2.0), ("b", 3, 3.0)]
    assert buckets.told() == []
    b.give_back()
    assert buckets.told() == [("b", 3, -1.0)]
    assert b.take(0.0)
    b.give_back()
    assert buckets.told() == []
    assert not buckets._untold, "what was told is not held on to"


def test_what_is_taken_elsewhere_is_owed_for_a_bounded_time() -> None:
    """However often, and however little each time."""
    buckets = SharedBuckets[str](9)
    for tokens in (1, 0.5):
        for _ in range(100):
            buckets.taken_elsewhere(f"{tokens}", 4, tokens, 0.0)
        bucket = buckets.find(f"{tokens}", 4, 0.0)
        assert bucket.has(DEBT_SECONDS + 0.25)
        assert not bucket.has(DEBT_SECONDS + 0.125)


def test_what_is_taken_elsewhere_is_not_told_again() -> None:
    """It is taken here as well, and given back here, also from a bucket that is new."""
    buckets = SharedBuckets[str](9)
    buckets.taken_elsewhere("a", 4, 3, 0.0)
    assert not buckets.find("a", 4, 0.0).has(0.0, 2)
    buckets.taken_elsewhere("a", 4, -2, 0.0)
    assert buckets.find("a", 4, 0.0).has(0.0, 3)
    assert not buckets.find("a", 4, 0.0).has(0.0, 4)
    buckets.taken_elsewhere("b", 4, -2, 0.0)
    assert not buckets.find("b", 4, 0.0).has(0.0, 5)
    # A bucket that is here keeps the rate that it has here.
    buckets.taken_elsewhere("a", 100, 1, 0.0)
    assert not buckets.find("a", 4, 0.0).has(0.0, 3)
    assert buckets.told() == []
