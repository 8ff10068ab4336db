"""How long it is until a user may send again, and how much is remembered."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.chat import recent as recent_module
from greenroom.chat.recent import Recent


def test_the_wait() -> None:
    """To the instant at which so many seconds are over; a message is not in its own way."""
    recent = Recent()
    assert recent.wait(1, 5, "m1", 100.0) == 0
    recent.note(1, "m1", 100.0)
    assert recent.wait(1, 5, "m1", 100.0) == 0
    assert recent.wait(1, 5, "m2", 100.0) == 5
    assert recent.wait(1, 5, "m2", 104.5) == 0.5
    assert recent.wait(1, 5, "m2", 105.0) == 0
    assert recent.wait(2, 5, "m2", 100.0) == 0
    recent.note(1, "m1", 103.0)
    assert recent.wait(1, 5, "m2", 105.0) == 0


def test_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes, and is counted."""
    monkeypatch.setattr(recent_module, "MAXIMUM", 2)
    recent = Recent()
    for number in range(3):
        recent.note(number, f"m{number}", 0.0)
    assert [recent.wait(number, 5, "m", 0.0) for number in range(3)] == [0, 5, 5]
    assert recent.evicted == 1


def test_half_of_the_bound_is_of_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """So much is remembered at least: none of it goes for less than as much again."""
    monkeypatch.setattr(recent_module, "MAXIMUM", 6)
    recent = Recent()
    for number in range(6):
        recent.note(number, f"m{number}", 0.0)
    assert recent.evicted == 0
    recent.note(6, "m6", 0.0)
    assert recent.evicted == 3
    assert [recent.wait(number, 5, "m", 0.0) for number in range(7)] == [0] * 3 + [5] * 4


def test_one_that_arrives_once_more_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when others came in between, and it is of late again."""
    monkeypatch.setattr(recent_module, "MAXIMUM", 2)
    recent = Recent()
    recent.note(1, "m1", 0.0)
    recent.note(2, "m2", 1.0)
    recent.note(1, "m1", 3.0)
    assert (recent.latest, recent.noted) == ("m2", 2)
    assert recent.wait(1, 5, "m3", 3.0) == 2
    assert recent.wait(2, 5, "m3", 3.0) == 3


@given(st.lists(st.floats(0, 20), min_size=1, max_size=30), st.integers(1, 10))
def test_nobody_sends_twice_in_the_time(steps: list[float], seconds: int) -> None:
    """Whenever it is tried: between two that are let through there are so many seconds."""
    recent, now, sent = Recent(), 0.0, []
    for number, step in enumerate(steps):
        now += step
        if not recent.wait(1, seconds, f"m{number}", now):
            recent.note(1, f"m{number}", now)
            sent.append(now)
    assert all(later - earlier >= seconds - 1e-9 for earlier, later in itertools.pairwise(sent))
