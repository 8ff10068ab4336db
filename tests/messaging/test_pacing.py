"""Whether a room waits before it is written to: judged by what its senders do."""

import random
from collections.abc import Iterable
from itertools import accumulate

import pytest

from greenroom.messaging.pacing import AT_ONCE, AT_ONCE_AT_MOST, PATIENCE, TRY, Pace

INTERVAL = 0.02
NUMBER = 20_000


def waits(pace: Pace, flushes: int, *, gained: bool = False) -> list[bool]:
    """Return which of the flushes waited, each wait with the same result."""
    waited = []
    for _ in range(flushes):
        waited.append(pace.waits())
        if waited[-1]:
            pace.note(gained=gained)
    return waited


def test_a_talk_of_two() -> None:
    """Waits for nothing get rarer and rarer, up to a bound, and are never given up."""
    expected = [True] * PATIENCE
    at_once = AT_ONCE
    while at_once < AT_ONCE_AT_MOST:
        expected += [False] * at_once + [True] * TRY
        at_once *= 2
    expected += ([False] * AT_ONCE_AT_MOST + [True] * TRY) * 3
    assert waits(Pace(), len(expected)) == expected


@pytest.mark.parametrize("before", [0, 1, PATIENCE - 1, PATIENCE, PATIENCE + AT_ONCE, 5000])
def test_one_gain_is_enough(before: int) -> None:
    """Whatever was before, a wait that brought something makes a room as patient as at first."""
    pace = Pace()
    waits(pace, before)
    while not pace.waits():
        pass
    pace.note(gained=True)
    assert waits(pace, 2000) == waits(Pace(), 2000)


def test_gains_only() -> None:
    """Where every wait brings something, every flush waits."""
    assert all(waits(Pace(), 1000, gained=True))


def flushes(times: Iterable[float]) -> float:
    """Return the flushes for each frame, in a room where frames come at these times."""
    pace, number, flushed, due, waiting = Pace(), 0, float("-inf"), float("-inf"), 0
    for now in times:
        if waiting and now > due:
            pace.note(gained=waiting > 1)
            number, flushed, waiting = number + 1, due, 0
        if waiting:
            waiting += 1
        elif now < flushed + INTERVAL and pace.waits():
            due, waiting = flushed + INTERVAL, 1
        else:
            number, flushed = number + 1, now
    return number / NUMBER


@pytest.mark.parametrize(
    ("rate", "most"), [(20, 1), (50, 0.85), (75, 0.65), (100, 0.5), (200, 0.27), (1000, 0.05)]
)
def test_frames_at_random_times(rate: float, most: float) -> None:
    """A hundred a second from many senders cost half as many writes, however irregularly."""
    chance = random.Random(7)
    assert flushes(accumulate(chance.expovariate(rate) for _ in range(NUMBER))) < most


@pytest.mark.parametrize(("rate", "share"), [(100, 0.5), (49, 1), (10, 1)])
def test_frames_at_regular_times(rate: float, share: float) -> None:
    """Two come in an interval, or none does; shifted, so that none meets an interval's end."""
    assert flushes(number / rate * 0.999 for number in range(NUMBER)) == pytest.approx(
        share, rel=0.02
    )
