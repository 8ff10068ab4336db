"""How long calls try, and what is said."""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from greenroom.storage.base import StorageUnavailable
from greenroom.storage.postgres import outage
from greenroom.storage.postgres.outage import LOOK_SECONDS, Outage


class Clock:
    """The event loop's time, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the clock that outages go by."""
    clock = Clock()
    monkeypatch.setattr(outage, "_now", clock)
    return clock


def test_calls_try_while_an_outage_is_young(clock: Clock) -> None:
    """Within the patience each call may try as long; afterwards one looks now and then, once."""
    calls = Outage("reads", 5)
    assert calls.patience() == 5
    calls.lost(TimeoutError())
    clock.now += 4
    calls.lost(last := ConnectionResetError("gone"))
    assert calls.patience() == 5
    clock.now += 1
    assert calls.patience() == 0
    with pytest.raises(StorageUnavailable) as refused:
        calls.patience()
    assert refused.value.__cause__ is last
    clock.now += LOOK_SECONDS
    assert calls.patience() == 0


@pytest.mark.parametrize("end", [Outage.reached, Outage.answered])
def test_an_answer_ends_it(clock: Clock, end: Callable[[Outage], None]) -> None:
    """Whatever the database answers, it is there."""
    calls = Outage("reads", 5)
    calls.lost(TimeoutError())
    clock.now += 9
    end(calls)
    assert calls.patience() == 5
    calls.lost(TimeoutError())
    assert calls.patience() == 5


def test_it_is_said_once(clock: Clock) -> None:
    """The first call that fails is told, and the first that succeeds; none in between."""
    calls = Outage("writes", 5)
    with capture_logs() as lines:
        calls.answered()
        calls.gave_up(ConnectionResetError("gone"))
        calls.gave_up(TimeoutError())
        calls.reached()
        calls.answered()
        calls.answered()
    assert lines == [
        {
            "event": "store cannot answer",
            "calls": "writes",
            "reason": "ConnectionResetError: gone",
            "log_level": "error",
        },
        {"event": "store answers again", "calls": "writes", "log_level": "warning"},
    ]


async def test_it_goes_by_the_time_of_the_loop() -> None:
    """Which no clock that is set moves."""
    calls = Outage("reads", 0)
    calls.lost(TimeoutError())
    assert calls.patience() == 0
    with pytest.raises(StorageUnavailable):
        calls.patience()
