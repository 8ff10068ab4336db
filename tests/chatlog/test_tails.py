"""What a node says of its tails, to the second."""

import structlog.testing

from greenroom.chatlog.tail import TailSurroundings
from greenroom.chatlog.tails import TOLD_EVERY_SECONDS, Tails
from greenroom.storage.memory.store import MemoryStore
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.streams import MemoryStreams

BEHIND = "chat logs are behind: streams cannot be read"
OVER = "chat logs are no longer behind: streams are read again"


def test_streams_that_cannot_be_read() -> None:
    """It is told at once and then every ten minutes, and when the last of them is read again."""
    time = HandClock()
    tails = Tails(
        TailSurroundings(
            streams=MemoryStreams(2),
            journal=MemoryStore().journal,
            clock=time.clock,
            random=lambda: 0.0,
            grown=lambda _: None,
            missed=lambda _: None,
        )
    )

    def told(*notes: tuple[int, str | None]) -> list[str]:
        with structlog.testing.capture_logs() as lines:
            for stream, why in notes:
                tails._note(stream, why)
        return [line["event"] for line in lines]

    assert told((0, None), (1, None)) == []
    assert told((0, "away"), (1, "away"), (0, "away")) == [BEHIND]
    time.advance(TOLD_EVERY_SECONDS - 1)
    assert told((0, "away")) == []
    time.advance(1)
    assert told((0, "away"), (1, "away")) == [BEHIND]
    assert told((1, None), (1, None)) == []
    assert told((0, None), (0, None)) == [OVER]
    assert told((1, "away")) == [BEHIND]
