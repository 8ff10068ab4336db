"""What is counted and told of records that were dropped."""

import structlog.testing

from greenroom.chatlog.drops import TOLD_EVERY_SECONDS, Drops
from greenroom.model.arn import Arn
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.values import configuration_arn

SECOND = 1_000_000_000
ARN = configuration_arn()


class Told:
    """Drops whose clock a test moves, and what they counted and told."""

    def __init__(self) -> None:
        self.time = HandClock()
        self.counted: list[tuple[Arn, int]] = []
        self.drops = Drops(self.time.clock, lambda *drop: self.counted.append(drop), place="here")

    def lines(self, *spans: tuple[int, int], at_once: bool = False) -> list[tuple[int, str, str]]:
        """Drop a record of each span of seconds; return what the log tells of them, and until."""
        with structlog.testing.capture_logs() as lines:
            for since, until in spans:
                self.drops.add(ARN, 1, "why", since * SECOND, until * SECOND)
            self.drops.tell(at_once=at_once)
        assert all((each["place"], each["reason"]) == ("here", "why") for each in lines)
        return [(each["records"], each["since"][17:19], each["until"][17:19]) for each in lines]


def test_the_first_is_told_at_once() -> None:
    """The log has it in the moment in which it happens."""
    told = Told()
    assert told.lines((5, 7)) == [(1, "05", "07")]
    assert told.counted == [(ARN, 1)]


def test_the_others_are_told_together() -> None:
    """After a minute to the second: how many, from the first one's time to the last one's."""
    told = Told()
    told.lines((1, 1))
    assert told.lines((20, 30), (10, 15), (12, 40), (25, 35)) == []
    told.time.advance(TOLD_EVERY_SECONDS - 1)
    assert told.lines() == []
    told.time.advance(1)
    assert told.lines() == [(4, "10", "40")]
    assert told.lines(at_once=True) == []
    assert told.lines((50, 51), at_once=True) == [(1, "50", "51")]
    assert told.counted == [(ARN, 1)] * 6
    assert told.drops.total == 6
