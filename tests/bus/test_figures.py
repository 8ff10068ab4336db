"""What a bus counts: which numbers are faults, when it serves, and what it tells without noise."""

from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from greenroom.bus import figures as figures_module
from greenroom.bus.figures import QUIET_SECONDS, STUCK_SECONDS, Figures


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Give the time in seconds, which stands still."""
    clock = SimpleNamespace(now=5.0)
    monkeypatch.setattr(figures_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_what_should_not_be() -> None:
    """Each kind has its name, as the metric has it."""
    figures = Figures(void=1, undecodable=2, resets=3)
    assert figures.faults == {"void": 1, "undecodable": 2, "lost": 3}


def test_when_it_serves() -> None:
    """While it is connected, and what is sent is stored."""
    assert not Figures().serving
    assert Figures(connected=True).serving
    assert not Figures(connected=True, storing=False).serving


def test_streams_that_take_nothing(clock: SimpleNamespace) -> None:
    """They are told by name for as long as that was noticed lately."""
    figures = Figures(refusing={"b": clock.now, "a": clock.now + 1})
    clock.now += STUCK_SECONDS - 0.5
    assert figures.stuck == ["a", "b"]
    clock.now += 0.5
    assert figures.stuck == ["a"]
    clock.now += 1
    assert figures.stuck == []


def test_one_fault_is_told_once_in_a_while(clock: SimpleNamespace) -> None:
    """From the first on, however often it is noticed; others have lines of their own."""
    figures = Figures()

    def told(event: str) -> list[object]:
        with capture_logs() as logs:
            figures.tell(event, room="r")
        assert all((line["event"], line["log_level"]) == (event, "warning") for line in logs)
        return [line["room"] for line in logs]

    clock.now = 0.0  # as on a machine that has just started
    assert told("gap") == ["r"]
    assert told("gap") == []
    assert told("void") == ["r"]
    clock.now += QUIET_SECONDS - 0.5
    assert told("gap") == []
    clock.now += 0.5
    assert told("gap") == ["r"]
    clock.now += 1
    assert told("gap") == []
