"""The clocks of the process."""

import time

from greenroom.clock import Clock


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
