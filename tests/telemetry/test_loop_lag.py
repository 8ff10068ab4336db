"""The lag of the event loop: observed again and again; what holds it up is counted and told."""

import time

from structlog.testing import capture_logs

from greenroom.telemetry.bounded_log import QUIET_SECONDS
from greenroom.telemetry.loop_lag import LAG_SECONDS, STALL_SECONDS, LoopLag
from greenroom.telemetry.metrics import Metrics


def test_it_is_taken_by_the_real_clock() -> None:
    """The first call begins, and each other one is late by what passed beyond the interval."""
    seen = Metrics().loop_lag_seconds
    lag = LoopLag(seen)
    lag.observe()
    assert seen.count == 0
    time.sleep(2 * LAG_SECONDS + STALL_SECONDS)  # that is the fault
    lag.observe()
    assert (seen.count, lag.stalls) == (1, 1)
    lag.observe()
    assert (seen.count, lag.stalls) == (2, 1)


def test_stalls_are_counted_and_told() -> None:
    """What holds the loop up is counted each time; the log has a line now and then."""
    now = 0.0
    lag = LoopLag(Metrics().loop_lag_seconds, lambda: now)

    def late(seconds: float) -> None:
        nonlocal now
        now += LAG_SECONDS + seconds
        lag.observe()

    with capture_logs() as logs:
        lag.observe()
        late(0.04)
        assert (lag.stalls, logs) == (0, [])
        late(0.06)
        for _ in range(8):
            late(0.5)
        late(0.2)
        assert lag.stalls == 10
        for _ in range(int(QUIET_SECONDS / LAG_SECONDS) + 1):
            late(0.0)
    told = [(line["times"], line["longest_milliseconds"]) for line in logs]
    assert told == [(1, 60), (9, 500)]
    assert {line["log_level"] for line in logs} == {"warning"}


def test_what_is_late_is_told_by_its_bounds() -> None:
    """A timer that comes just as late as is allowed is no stall; early is not late."""
    now = 0.0
    seen = Metrics().loop_lag_seconds
    lag = LoopLag(seen, lambda: now)
    lag.observe()
    now = LAG_SECONDS + STALL_SECONDS
    with capture_logs() as logs:
        lag.observe()
        now += LAG_SECONDS / 2
        lag.observe()
    assert (seen.count, lag.stalls, logs) == (2, 0, [])
    assert seen._sum == STALL_SECONDS


def test_what_is_just_no_stall() -> None:
    """As late as may be is no stall; the next line comes as soon as the quiet time is over."""
    times = iter((0.0, 2 * LAG_SECONDS, 4 * LAG_SECONDS, 10.0, 10.0))
    lag = LoopLag(Metrics().loop_lag_seconds, lambda: next(times))
    lag.observe()
    lag.observe()
    assert STALL_SECONDS == LAG_SECONDS
    assert lag.stalls == 0
    with capture_logs() as logs:
        lag._untold, lag._quiet_until = 1, 10.0
        lag.observe()
        assert logs == []
        lag.observe()
    assert [line["times"] for line in logs] == [2]
    assert (lag._untold, lag._longest, lag._quiet_until) == (0, 0.0, 10.0 + QUIET_SECONDS)
