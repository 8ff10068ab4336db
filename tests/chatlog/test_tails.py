"""What a node says of its tails, to the second."""

from collections.abc import Sequence

import structlog.testing

from greenroom.chatlog.tail import Cause, Failure, TailSurroundings
from greenroom.chatlog.tails import (
    ALARMED_AFTER_SECONDS,
    TOLD_EVERY_SECONDS,
    WARNED_AFTER_SECONDS,
    Tails,
)
from greenroom.storage.memory.store import MemoryStore
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.streams import MemoryStreams

OVER = ("warning", "chat logs are no longer behind: all streams are read again")
STREAM = Failure(Cause.STREAM, "no answer")
JOURNAL = Failure(Cause.JOURNAL, "gone")


def behind(level: str, failure: Failure) -> tuple[str, str]:
    """Return what is told of a failure."""
    return level, f"chat logs are behind: {failure.cause}"


class Scene:
    """A node with tails of two streams, and what it tells."""

    def __init__(self) -> None:
        self.time = HandClock()
        self.tails = Tails(
            TailSurroundings(
                streams=MemoryStreams(2),
                journal=MemoryStore().journal,
                clock=self.time.clock,
                random=lambda: 0.0,
                grown=lambda _: None,
                missed=lambda _: None,
            )
        )

    def told(
        self, *notes: tuple[int, Failure | None], after: float = 0
    ) -> Sequence[tuple[str, str]]:
        """Return what is told when that is noted some time later."""
        self.time.advance(after)
        with structlog.testing.capture_logs() as lines:
            for stream, failure in notes:
                self.tails._note(stream, failure)
        return [(line["log_level"], line["event"]) for line in lines]


def test_an_election_is_no_news() -> None:
    """Nobody is told of what is over before the bound."""
    scene = Scene()
    assert scene.told((0, None), (1, None)) == []
    assert scene.told((0, STREAM), (1, STREAM)) == []
    assert scene.told((0, STREAM), after=WARNED_AFTER_SECONDS - 1) == []
    assert scene.told((0, None), (1, None)) == []
    # Another one later is another one.
    assert scene.told((0, STREAM), after=60) == []
    assert scene.told((0, None), after=WARNED_AFTER_SECONDS - 1) == []


def test_a_failure_that_lasts() -> None:
    """A warning, then an error now and then; and once that the last stream is read again."""
    scene = Scene()
    assert scene.told((0, STREAM), (1, STREAM)) == []
    warned = scene.told((0, STREAM), (1, STREAM), (0, STREAM), after=WARNED_AFTER_SECONDS)
    assert warned == [behind("warning", STREAM)]
    rest = ALARMED_AFTER_SECONDS - WARNED_AFTER_SECONDS
    assert scene.told((0, STREAM), after=rest - 1) == []
    assert scene.told((1, STREAM), (0, STREAM), after=1) == [behind("error", STREAM)]
    assert scene.told((0, STREAM), after=TOLD_EVERY_SECONDS - 1) == []
    assert scene.told((0, STREAM), (1, STREAM), after=1) == [behind("error", STREAM)]
    assert scene.told((1, None), (1, None)) == []
    assert scene.told((0, None), (0, None)) == [OVER]
    assert scene.told((1, STREAM)) == []
    assert scene.told((1, STREAM), after=WARNED_AFTER_SECONDS) == [behind("warning", STREAM)]


def test_whose_fault_it_is() -> None:
    """What is told names what cannot be reached now, with its reason."""
    scene = Scene()
    scene.told((0, JOURNAL))
    scene.time.advance(WARNED_AFTER_SECONDS)
    with structlog.testing.capture_logs() as lines:
        scene.tails._note(0, JOURNAL)
    (line,) = lines
    assert line["event"].endswith("the journal in PostgreSQL cannot be reached")
    assert (line["reason"], line["seconds"]) == ("gone", WARNED_AFTER_SECONDS)
    assert scene.told((0, STREAM), after=ALARMED_AFTER_SECONDS) == [behind("error", STREAM)]


def test_an_error_at_once() -> None:
    """Where nothing was noted for long, the error is the first that is told."""
    scene = Scene()
    scene.told((0, JOURNAL))
    assert scene.told((0, JOURNAL), after=ALARMED_AFTER_SECONDS) == [behind("error", JOURNAL)]
    assert scene.told((0, None)) == [OVER]
