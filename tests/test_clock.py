"""The clocks of the process."""

import time

import pytest

from greenroom.clock import Clock, is_set_back


def test_units() -> None:
    """Milliseconds are cut, never rounded up: nothing seems to have happened too early."""
    clock = Clock(lambda: 1_700_000_000_999_999_999, lambda: 1.5)
    assert clock.now_ms() == 1_700_000_000_999
    assert clock.now() == 1_700_000_001.0
    assert clock.monotonic() == 1.5


def test_real_clocks() -> None:
    """Without arguments it is the process's own."""
    clock = Clock()
    assert abs(clock.now() - time.time()) < 60
    assert clock.monotonic() <= time.monotonic()


@pytest.mark.parametrize(
    ("now", "is_back"), [(7_000, False), (5_000, False), (4_000, False), (3_999, True), (0, True)]
)
def test_what_was_set_back(now: int, is_back: bool) -> None:
    """What showed 5,000 before, with a small step of 1,000: a small one is a correction."""
    assert is_set_back(5_000, now, 1_000) is is_back
