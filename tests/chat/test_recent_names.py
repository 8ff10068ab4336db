"""Names of users that are read for many: once a second for a room, and once at a time."""

import asyncio
from typing import Any

import pytest

from greenroom.chat.recent_names import FRESH_SECONDS, RecentNames
from greenroom.chat.user_lists import PresentUser
from greenroom.model.errors import ServiceUnavailableException
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.loose_tasks import LooseTasks
from tests.stand_ins.stage import settle


class Lists:
    """Lists the room's own name as its user, when its gate is open; notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.error: Exception | None = None

    async def page(
        self, room_arn: str, after: str, most: int, *, names_only: bool = False
    ) -> list[PresentUser]:
        assert (after, most, names_only) == ("", 7, True)
        self.asked.append(room_arn)
        if room_arn in self.gates:
            await self.gates[room_arn].wait()
        if self.error is not None:
            raise self.error
        return [PresentUser(room_arn, 1)]


async def test_a_list_serves_for_a_second() -> None:
    """From when it was begun, to the instant."""
    lists, time = Lists(), HandClock()
    names = RecentNames(lists, time.clock, LooseTasks())
    for seconds, asked in ((0, 1), (FRESH_SECONDS - 0.001, 1), (0.001, 2), (0, 2)):
        time.advance(seconds)
        assert await names.of("room", 7) == ["room"]
        assert len(lists.asked) == asked


async def test_one_that_takes_long_is_waited_for() -> None:
    """By all, however long; nobody begins another one meanwhile."""
    lists, time = Lists(), HandClock()
    lists.gates["room"] = asyncio.Event()
    names = RecentNames(lists, time.clock, LooseTasks())
    first = asyncio.create_task(names.of("room", 7))
    await settle()
    time.advance(2 * FRESH_SECONDS)
    second = asyncio.create_task(names.of("room", 7))
    await settle()
    first.cancel()
    lists.gates["room"].set()
    assert await second == ["room"]
    assert lists.asked == ["room"]


async def test_what_is_over_is_not_kept() -> None:
    """But behind one that takes long; one that is begun anew is the last."""
    lists, time = Lists(), HandClock()
    lists.gates["slow"] = asyncio.Event()
    names = RecentNames(lists, time.clock, LooseTasks())
    slow = asyncio.create_task(names.of("slow", 7))
    await settle()
    for room in ("one", "two"):
        await names.of(room, 7)
    time.advance(FRESH_SECONDS)
    await names.of("one", 7)
    assert list(names._reads) == ["slow", "two", "one"]
    lists.gates["slow"].set()
    await slow
    await names.of("three", 7)
    assert list(names._reads) == ["one", "three"]


@pytest.mark.parametrize("error", [ServiceUnavailableException("away"), ValueError("a fault")])
async def test_a_failure_serves_as_long(error: Exception) -> None:
    """Whatever it is, who asks is told that it cannot be said."""
    lists, time = Lists(), HandClock()
    lists.error = error
    names: Any = RecentNames(lists, time.clock, LooseTasks())
    for _ in range(2):
        with pytest.raises(ServiceUnavailableException, match="cannot be said now"):
            await names.of("room", 7)
    assert lists.asked == ["room"]
    lists.error = None
    time.advance(FRESH_SECONDS)
    assert await names.of("room", 7) == ["room"]
