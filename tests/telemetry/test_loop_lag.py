"""The lag of the event loop: observed again and again; what holds it up is counted and told."""

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from greenroom.telemetry import loop_lag
from greenroom.telemetry.loop_lag import LoopLag
from greenroom.telemetry.metrics import Metrics


async def test_loop_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lag is taken again and again, until it is stopped."""
    monkeypatch.setattr(loop_lag, "LAG_SECONDS", 0)
    lag = Metrics().loop_lag_seconds
    timer = LoopLag(lag)
    timer.stop()
    timer.start()
    for _ in range(10):
        await asyncio.sleep(0)
    timer.stop()
    seen = lag.count
    assert seen > 1
    for _ in range(10):
        await asyncio.sleep(0)
    assert lag.count == seen


async def test_stalls_are_counted_and_told() -> None:
    """What holds the loop up is counted each time; the log has a line now and then."""
    now = 0.0
    lag = LoopLag(Metrics().loop_lag_seconds, lambda: now)

    def late(seconds: float) -> None:
        nonlocal now
        now += seconds
        lag._observe(now - seconds)
        lag.stop()

    with capture_logs() as logs:
        late(0.04)
        assert (lag.stalls, logs) == (0, [])
        late(0.06)
        for _ in range(8):
            late(0.5)
        late(0.2)
        assert lag.stalls == 10
        now += 10
        late(0.0)
        late(0.0)
    told = [(line["times"], line["longest_milliseconds"]) for line in logs]
    assert told == [(1, 60), (9, 500)]
    assert {line["log_level"] for line in logs} == {"warning"}


async def test_what_holds_the_loop_is_found() -> None:
    """The real timer sees a call that takes long."""
    lag = LoopLag(Metrics().loop_lag_seconds)
    lag.start()
    await asyncio.sleep(0)
    time.sleep(0.2)  # noqa: ASYNC251 - that is the fault
    await asyncio.sleep(0.001)
    lag.stop()
    assert lag.stalls == 1
