"""How long a stream is not read, by what came of it last."""

import asyncio

import pytest

from greenroom.bus.streams import StreamUnavailable
from greenroom.chatlog.idling import (
    FIRST_PAUSE,
    IDLE_SECONDS,
    LONGEST_PAUSE,
    MANY,
    UNKEPT_PAUSE,
    Idling,
)
from tests.stand_ins.streams import MemoryStreams
from tests.stand_ins.values import room_arn


class Reader:
    """What waits, and for how long it did."""

    def __init__(self) -> None:
        self.streams = MemoryStreams()
        self.waited: list[float] = []
        self.idling = Idling(self.streams, 0, self._wait)

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        if not event.is_set():
            self.waited.append(seconds)

    async def idle(self) -> None:
        """Find nothing, until the stream is listened to."""
        for _ in range(5):
            await self.idling.nothing_came()
        self.waited.clear()


async def test_pauses_grow_while_nothing_comes() -> None:
    """Up to a quarter of a second; then the stream is listened to, and read once in a while."""
    reader = Reader()
    for _ in range(8):
        await reader.idling.nothing_came()
    assert reader.waited == [FIRST_PAUSE, 0.04, 0.08, 0.16, *[IDLE_SECONDS] * 3]
    assert LONGEST_PAUSE == 0.25


async def test_a_word_ends_the_wait() -> None:
    """Who finds nothing all the same tries again shortly after: another server may answer."""
    reader = Reader()
    await reader.idle()
    reader.streams.store(room_arn())
    await reader.idling.nothing_came()
    assert reader.waited == []
    await reader.idling.nothing_came()
    assert reader.waited == [FIRST_PAUSE]
    await reader.idle()
    await reader.idling.nothing_came()
    assert reader.waited == [IDLE_SECONDS]


@pytest.mark.parametrize(
    ("number", "is_kept", "waited"),
    [(1, True, [FIRST_PAUSE]), (MANY - 1, False, [UNKEPT_PAUSE]), (MANY, False, [])],
)
async def test_what_came_is_waited_behind(
    number: int, *, is_kept: bool, waited: list[float]
) -> None:
    """Shortly, longer where it is not kept, and not at all in a backlog; then pauses are short."""
    reader = Reader()
    await reader.idle()
    await reader.idling.something_came(number, is_kept=is_kept)
    assert reader.waited == waited
    assert not reader.streams._kept[0].words
    await reader.idling.nothing_came()
    assert reader.waited[-1] == FIRST_PAUSE


async def test_nothing_is_left_behind() -> None:
    """Who ends listens no more; a stream that cannot be listened to is told as such."""
    reader = Reader()
    await reader.idle()
    assert reader.streams._kept[0].words
    await reader.idling.end()
    await reader.idling.end()
    assert not reader.streams._kept[0].words
    reader.streams.available = False
    with pytest.raises(StreamUnavailable):
        await reader.idling.nothing_came()
