"""What a line reads that it did not hear, from a stream that the test writes.

`tests/bus/nats/test_faults.py` has servers lose what they had.
"""

from typing import Any

import pytest
from structlog.testing import capture_logs

from greenroom.bus.figures import Figures
from greenroom.bus.nats import catching_up, headers
from greenroom.bus.nats.catching_up import BEHIND_SECONDS, BEHIND_TIMES, RATE_NS, catch_up
from greenroom.bus.nats.connection import NoAnswer
from greenroom.bus.nats.stored import Message

NOW_NS = 1_796_000_000 * headers.NANOSECONDS
SECOND = headers.NANOSECONDS


def stamp(ns: int) -> bytes:
    """Return a time as servers write it."""
    return headers.written(ns).encode()


def stored(sequence: int, ago: float, offset_ns: int = 0) -> Message:
    """Return a message that was stored so many seconds ago."""
    return Message(
        sequence=sequence,
        stamp=stamp(NOW_NS - round(ago * SECOND) + offset_ns),
        data=b"%d" % sequence,
    )


class Reader:
    """A double of a reader: a stream, of which a part is given at a time."""

    stream = "STREAM"

    def __init__(self, *messages: Message) -> None:
        self.messages = list(messages)
        self.at_a_time = 2
        self.asked: list[dict[str, Any]] = []
        self.behind = 0
        """How often the newest message is not there yet."""

        self.lacking = 0
        """How many of the newest the leader does not have until it has stored something."""
        self.settled = 0

    async def last(self) -> Message | None:
        there = self.messages[: len(self.messages) - self.lacking]
        return there[-1] if there else None

    async def settled_last(self) -> Message | None:
        self.settled += 1
        self.lacking = 0
        return await self.last()

    async def some(self, begin: dict[str, Any]) -> list[Message]:
        self.asked.append(begin)
        there = self.messages
        if self.behind:
            self.behind -= 1
            there = there[:-1]
        if "seq" in begin:
            found = [each for each in there if each.sequence >= begin["seq"]]
        else:
            from_ns = headers.stamp_ns(begin["start_time"].encode())
            found = [each for each in there if each.stamp_ns >= from_ns]
        return found[: self.at_a_time]


class Line:
    """A double of a line: notes what it is shown, and what it only knows of."""

    def __init__(self, last: Message | None = None, *, opened: bool = True) -> None:
        self.last = 0 if last is None else last.sequence
        self.stamp = b"" if last is None else last.stamp
        self.since_ns: int | None = None
        self.opened = opened
        self.shown: list[int] = []
        self.noted: list[tuple[int, float]] = []
        self.losses = 0

    def take(self, sequence: int, stamp: bytes, data: bytes) -> None:
        if sequence > self.last:
            self.last, self.stamp = sequence, stamp
            self.shown.append(sequence)

    def note(self, sequence: int, stamp: bytes, data: bytes, ago: float) -> None:
        self.last, self.stamp = sequence, stamp
        self.noted.append((sequence, round(ago, 3)))

    def lost(self) -> None:
        self.losses += 1


async def caught_up(line: Any, reader: Any) -> Figures:
    """Have a line catch up; return the figures."""
    figures = Figures()
    await catch_up(line, reader, figures, NOW_NS)
    return figures


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the seconds that are waited for, of which none passes."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(catching_up.asyncio, "sleep", sleep)  # type: ignore[attr-defined]
    return found


async def test_a_line_that_has_all(sleeps: list[float]) -> None:
    """Nothing is read."""
    line, reader = Line(stored(5, 1)), Reader(stored(4, 2), stored(5, 1))
    await caught_up(line, reader)
    assert (line.shown, line.losses, reader.asked) == ([], 0, [])


@pytest.mark.parametrize("at_a_time", [1, 2, 10])
async def test_a_gap(sleeps: list[float], at_a_time: int) -> None:
    """All that came behind the line's last message is shown, once and in order."""
    messages = [stored(number, 10 - number) for number in range(3, 9)]
    line, reader = Line(messages[0]), Reader(*messages)
    reader.at_a_time = max(2, at_a_time)
    figures = await caught_up(line, reader)
    assert line.shown == [4, 5, 6, 7, 8]
    assert (line.losses, figures.resets, sleeps) == (0, 0, [])
    assert reader.asked[0] == {"seq": 3}


async def test_the_first_messages_of_a_room(sleeps: list[float]) -> None:
    """A line that is opened and knows of none reads from the beginning."""
    line, reader = Line(), Reader(stored(7, 3), stored(9, 2))
    await caught_up(line, reader)
    assert line.shown == [7, 9]
    assert reader.asked == [{"seq": 1}]
    assert line.losses == 0


async def test_a_server_that_is_behind(sleeps: list[float]) -> None:
    """It is given time for the newest messages."""
    line, reader = Line(stored(1, 3)), Reader(stored(1, 3), stored(2, 2))
    reader.behind = 3
    await caught_up(line, reader)
    assert line.shown == [2]
    assert sleeps == [BEHIND_SECONDS] * 3
    line, reader = Line(stored(1, 3)), Reader(stored(2, 2))
    reader.behind = 1
    await caught_up(line, reader)
    assert line.shown == [2]


async def test_a_server_that_stays_behind(sleeps: list[float]) -> None:
    """Some time is enough; nothing is lost yet."""
    line, reader = Line(stored(1, 3)), Reader(stored(1, 3), stored(2, 2))
    reader.behind = 10_000
    with pytest.raises(NoAnswer, match="STREAM does not give what it has"):
        await caught_up(line, reader)
    assert (len(sleeps), line.losses) == (BEHIND_TIMES, 0)


async def test_a_stream_that_lost_its_end(sleeps: list[float]) -> None:
    """Its last message is older than the line's, or another one: what is new is shown."""
    for mine in (stored(9, 5), stored(7, 5)):
        line, reader = Line(mine), Reader(stored(6, 8), stored(7, 3), stored(8, 2))
        with capture_logs() as lines:
            figures = await caught_up(line, reader)
        assert [(each["event"], each["stream"]) for each in lines] == [
            ("a stream lost messages that this node has seen", "STREAM")
        ]
        assert (line.losses, figures.resets) == (1, 1)
        assert line.shown == [7, 8]
        assert line.opened


@pytest.mark.parametrize("more", [(), (stored(8, 1),)])
async def test_a_leader_that_is_not_one_or_has_not_all_yet(
    sleeps: list[float], more: tuple[Message, ...]
) -> None:
    """It lacks what the line has seen: one that stores something has it, and nothing is lost."""
    line, reader = Line(stored(7, 3)), Reader(stored(6, 8), stored(7, 3), *more)
    reader.lacking = 1 + len(more)
    figures = await caught_up(line, reader)
    assert (line.losses, figures.resets, reader.settled) == (0, 0, 1)
    assert line.shown == [each.sequence for each in more]
    # Also where it has nothing at all, but not of what may be too old by now.
    line, reader = Line(stored(7, 3)), Reader(stored(7, 3))
    reader.lacking = 1
    figures = await caught_up(line, reader)
    assert (line.losses, reader.settled, line.last) == (0, 1, 7)
    await caught_up(Line(stored(7, catching_up._AGED_NS / SECOND)), empty := Reader())
    assert empty.settled == 0


async def test_a_room_that_has_all_the_leader_has(sleeps: list[float]) -> None:
    """Nothing is stored for it, nor for what is new, nor for a room that nothing is known of."""
    for line in (Line(stored(7, 3)), Line(stored(6, 8)), Line(), Line(opened=False)):
        reader = Reader(stored(6, 8), stored(7, 3))
        await caught_up(line, reader)
        assert reader.settled == 0


async def test_numbers_that_were_given_again(sleeps: list[float]) -> None:
    """The line's number is a message of another time: so is all behind it."""
    line = Line(stored(3, 9))
    reader = Reader(stored(2, 10), stored(3, 4), stored(4, 3))
    figures = await caught_up(line, reader)
    assert (line.losses, figures.resets, line.shown) == (1, 1, [3, 4])


async def test_an_older_message_behind_a_newer_one(sleeps: list[float]) -> None:
    """What has a higher number and is older was stored by another stream."""
    line = Line(stored(3, 5))
    reader = Reader(stored(5, 6), stored(6, 4), stored(7, 3))
    figures = await caught_up(line, reader)
    assert (line.losses, figures.resets, line.shown) == (1, 1, [6, 7])
    # Of the line's own time is nothing that it has.
    line, reader = Line(stored(3, 5)), Reader(stored(5, 5), stored(6, 5, 1), stored(7, 3))
    await caught_up(line, reader)
    assert line.shown == [6, 7]


async def test_a_stream_that_is_empty(sleeps: list[float]) -> None:
    """It has lost what the line has seen, unless that was old enough to go."""
    for ago, losses in ((1.0, 1), (catching_up._AGED_NS / SECOND, 0)):
        line = Line(stored(4, ago))
        figures = await caught_up(line, Reader())
        assert (line.losses, figures.resets) == (losses, losses)
        assert (line.last, line.stamp) == (0, b"")
    line = Line()
    await caught_up(line, Reader())
    assert (line.losses, line.last) == (0, 0)


async def test_what_is_new_of_a_stream_that_is_gone_again(sleeps: list[float]) -> None:
    """Where nothing is left since then, the last message is where the line is."""
    line, reader = Line(stored(9, 5)), Reader(stored(3, 8))
    await caught_up(line, reader)
    assert (line.shown, line.noted, line.last) == ([], [(3, 0.0)], 3)


async def test_opening_an_empty_room() -> None:
    """There is nothing to know."""
    line, reader = Line(opened=False), Reader()
    await caught_up(line, reader)
    assert (line.noted, line.shown, reader.asked) == ([], [], [])


@pytest.mark.parametrize(("ago", "read"), [(1.9, True), (2.0, False), (500, False)])
async def test_opening_a_room(ago: float, read: bool) -> None:
    """Its last message is known; those of the second before it count for its rate."""
    messages = [stored(1, ago + 1.5), stored(2, ago + 1), stored(3, ago + 0.5), stored(4, ago)]
    line, reader = Line(opened=False), Reader(*messages)
    await caught_up(line, reader)
    assert line.shown == []
    if read:
        assert line.noted == [(2, ago + 1), (3, ago + 0.5), (4, ago)]
        assert reader.asked[0] == {"start_time": headers.written(messages[3].stamp_ns - RATE_NS)}
    else:
        assert line.noted == [(4, ago)]
        assert reader.asked == []


async def test_opening_a_room_from_a_time_on() -> None:
    """What came since then is shown, what came before only counts."""
    messages = [stored(number, 60 - 10 * number) for number in range(1, 6)]
    line, reader = Line(opened=False), Reader(*messages)
    line.since_ns = messages[2].stamp_ns
    await caught_up(line, reader)
    assert (line.noted, line.shown) == ([], [3, 4, 5])
    line, reader = Line(opened=False), Reader(*messages)
    line.since_ns = messages[-1].stamp_ns
    await caught_up(line, reader)
    assert (line.noted, line.shown) == ([], [5])
    line, reader = Line(opened=False), Reader(*messages)
    line.since_ns = messages[-1].stamp_ns + 1
    await caught_up(line, reader)
    assert (line.noted, line.shown, reader.asked) == ([(5, 10.0)], [], [])
    line, reader = Line(opened=False), Reader(stored(1, 1.5), stored(2, 1.0))
    line.since_ns = stored(2, 1.0).stamp_ns
    await caught_up(line, reader)
    assert (line.noted, line.shown) == ([(1, 1.5)], [2])
    line, reader = Line(opened=False), Reader(stored(1, 1.5), stored(2, 1.0))
    line.since_ns = NOW_NS
    await caught_up(line, reader)
    assert (line.noted, line.shown) == ([(1, 1.5), (2, 1.0)], [])


async def test_a_clock_that_is_behind() -> None:
    """A message of the future was stored now."""
    line, reader = Line(opened=False), Reader(stored(1, -3))
    await caught_up(line, reader)
    assert line.noted == [(1, 0.0)]


async def test_what_cannot_be_read_to_its_end() -> None:
    """What was shown is not shown again: the line is open."""
    messages = [stored(1, 3), stored(2, 2), stored(3, 1)]
    line, reader = Line(opened=False), Reader(*messages)
    line.since_ns = 0
    some = reader.some

    async def once(begin: dict[str, Any]) -> list[Message]:
        return await some(begin) if not reader.asked else []

    reader.some = once  # type: ignore[method-assign]
    with pytest.raises(NoAnswer, match="STREAM does not give what it has"):
        await caught_up(line, reader)
    assert (line.shown, line.opened) == ([1, 2], True)
