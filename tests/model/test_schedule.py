"""Schedules of announcements: when they are due, who tells them, and what changes them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.model.schedule import (
    CLAIMED_MS,
    LATE_MS,
    LEAST_SECONDS,
    LONGEST_SECONDS,
    MOST_SCHEDULES,
    PASSED_OVER_MS,
    Claim,
    Put,
    Remove,
    Schedule,
    Schedules,
    Settle,
    TooManySchedules,
    Written,
    looked_at,
)

MADE = 1_000


def a_schedule(name: str = "rules", seconds: int = 60, at: int = MADE) -> Schedule:
    """Return one that was made at a time."""
    return Schedule(
        name=name,
        content="Be kind",
        style="INFO",
        seconds=seconds,
        by="ann",
        created=at,
        due=at + seconds * 1000,
    )


def put(*schedules: Schedule) -> Schedules:
    """Return what a room has that was given these."""
    kept: Schedules = ()
    for each in schedules:
        kept = Put(each).apply(kept)
    return kept


def test_they_stand_by_name_and_are_bounded() -> None:
    """A room that has as many as it may can still change and remove one."""
    names = [f"n{number}" for number in range(MOST_SCHEDULES)]
    full = put(*(a_schedule(name) for name in reversed(names)))
    assert [each.name for each in full] == names
    with pytest.raises(TooManySchedules):
        Put(a_schedule("more")).apply(full)
    changed = Put(msgspec.structs.replace(full[3], content="Bye")).apply(full)
    assert [each.content for each in changed].count("Bye") == 1
    assert len(Remove("n3").apply(changed)) == len(names) - 1
    assert Remove("none").apply(full) == full


def test_what_is_changed_keeps_its_rhythm() -> None:
    """And what it was told, unless the rhythm itself is changed."""
    (before,) = put(a_schedule())
    told = msgspec.structs.replace(before, told=5, written=7, due=99_000)
    new = msgspec.structs.replace(a_schedule(at=50_000), content="Bye", style="WARNING", by="eve")
    (changed,) = Put(new).apply((told,))
    assert changed == msgspec.structs.replace(told, content="Bye", style="WARNING", by="eve")
    (changed,) = Put(a_schedule(seconds=90, at=50_000)).apply((told,))
    assert (changed.due, changed.told, changed.created) == (140_000, 5, MADE)


@pytest.mark.parametrize(
    ("told", "at", "wanted"),
    [(0, MADE - 1, False), (0, MADE, True), (5_000, 5_000, False), (5_000, 5_001, True)],
)
def test_who_writes_behind_it_has_it_wanted(told: int, at: int, wanted: bool) -> None:
    """Behind the last one or, before the first, behind its making; once is enough."""
    before = msgspec.structs.replace(a_schedule(), told=told)
    (after,) = Written(at).apply((before,))
    assert after.is_wanted is wanted
    if wanted:
        assert Written(at + 9).apply((after,)) == (after,)
    assert after.looked_at == (after.due if wanted else after.due + PASSED_OVER_MS)


@pytest.mark.parametrize("claimed", [True, False])
def test_who_answers_what_is_being_told_has_the_next_one_wanted(claimed: bool) -> None:
    """Although somebody had written before, and it is not yet kept that it was told."""
    (wanted,) = Written(2_000).apply(put(a_schedule()))
    claim = Claim(wanted, "m1", 61_000)
    (being_told,) = claim.apply((wanted,))
    (answered,) = Written(61_001).apply((being_told if claimed else wanted,))
    if not claimed:
        (answered,) = claim.apply((answered,))
    assert Written(60_000).apply((answered,)) == (answered,)
    (settled,) = Settle(answered, 121_000, 61_000).apply((answered,))
    assert settled.is_wanted


def test_one_claims_it() -> None:
    """Who comes later, or saw it as it was before, does not; it is looked at when that is over."""
    (seen,) = put(a_schedule())
    first, second = Claim(seen, "m1", 70_000), Claim(seen, "m2", 70_000)
    claimed = second.apply(first.apply((seen,)))
    assert first.of(claimed) is not None
    assert second.of(claimed) is None
    assert looked_at(claimed) == 70_000 + CLAIMED_MS
    later = msgspec.structs.replace(seen, due=seen.due + 1)
    assert first.apply((later,)) == (later,)


def test_it_is_settled_by_who_claimed_it() -> None:
    """With what was changed meanwhile; nobody else's word counts, nor one that comes twice."""
    (seen,) = put(a_schedule())
    claimed = Claim(seen, "m1", 70_000).apply((seen,))
    settle = Settle(claimed[0], 130_000, 70_001)
    (settled,) = settle.apply(claimed)
    assert (settled.due, settled.told, settled.claim, settled.claimed) == (130_000, 70_001, "", 0)
    assert settle.apply((settled,)) == (settled,)
    assert Settle(seen, 130_000).apply(claimed) == claimed
    (changed,) = settle.apply(Put(a_schedule(seconds=90, at=70_000)).apply(claimed))
    assert (changed.due, changed.told) == (160_000, 70_001)
    assert settle.apply(()) == ()


@given(
    st.integers(LEAST_SECONDS, LONGEST_SECONDS),
    st.integers(0, 200_000_000),
)
def test_the_next_time(seconds: int, late: int) -> None:
    """It keeps the rhythm, or begins it anew where it is late; it is never at once again."""
    schedule = a_schedule(seconds=seconds)
    now = schedule.due + late
    following = schedule.following(now)
    assert following - now >= seconds * 1000 - LATE_MS > 0
    assert (following - schedule.due) % (seconds * 1000) == 0 or late > LATE_MS
    assert following <= now + seconds * 1000


@pytest.mark.parametrize(("late", "next_at"), [(LATE_MS, 0), (LATE_MS + 1, LATE_MS + 1)])
def test_the_rhythm_is_kept_by_what_is_a_little_late(late: int, next_at: int) -> None:
    """Up to a bound: behind it the rhythm begins anew."""
    schedule = a_schedule()
    assert schedule.following(schedule.due + late) == schedule.due + next_at + 60_000


def test_who_writes_as_it_is_due_may_be_behind_it() -> None:
    """In the very millisecond, too; who writes before changes nothing more."""
    (wanted,) = Written(2_000).apply(put(a_schedule()))
    assert [Written(wanted.due + each).apply((wanted,))[0].written for each in (-1, 0, 1)] == [
        2_000,
        wanted.due,
        wanted.due + 1,
    ]


def test_nothing_is_looked_at_where_there_is_nothing() -> None:
    """Of several the first counts."""
    assert looked_at(()) is None
    assert looked_at(put(a_schedule(), a_schedule("b", 90))) == 61_000 + PASSED_OVER_MS
