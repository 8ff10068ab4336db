from structlog.testing import capture_logs

from greenroom.excess_log import QUIET_SECONDS, ExcessLog
from greenroom.visitors import Excess
from tests.hand_clock import HandClock


def test_a_flood_is_told_now_and_then() -> None:
    """Each bound has a line at most every ten seconds, with how often it was met; all count."""
    time, counted = HandClock(), list[str]()
    excess_log = ExcessLog(time.clock, counted.append)
    with capture_logs() as logs:
        for _ in range(100):
            excess_log(Excess.ADDRESS)
        excess_log(Excess.RATE)
        time.advance(QUIET_SECONDS)
        excess_log(Excess.ADDRESS)
    assert [(entry["limit"], entry["times"]) for entry in logs] == [
        ("connections_per_address", 1),
        ("new_connections_per_second", 1),
        ("connections_per_address", 100),
    ]
    assert len(counted) == 102
