"""Calls of a batch, several at a time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from greenroom.chatlog import batch_calls
from greenroom.chatlog.base import Target
from greenroom.chatlog.batch_calls import CALLS_AT_A_TIME, Progress, make_calls
from greenroom.model.logging_configuration import DestinationKind
from tests.stand_ins.batches import a_batch, a_target


class Calls:
    """Calls that count how many are under way."""

    def __init__(self) -> None:
        self.running = 0
        self.peaks: list[int] = []

    def call(self, number: int, fails: bool = False) -> Callable[[], Awaitable[int]]:
        """Return a call that takes a few turns of the loop."""

        async def run() -> int:
            self.running += 1
            self.peaks.append(self.running)
            for _ in range(number % 3 + 1):
                await asyncio.sleep(0)
            self.running -= 1
            if fails:
                raise ValueError(number)
            return number

        return run


async def test_results() -> None:
    """Every call is made once; what it returned has its place; the first is alone."""
    calls, done = Calls(), dict[int, int]()
    await make_calls([calls.call(number) for number in range(30)], done)
    assert done == {number: number for number in range(30)}
    assert (calls.peaks[:2], max(calls.peaks)) == ([1, 1], CALLS_AT_A_TIME)
    await make_calls([], done)


async def test_the_first_fails() -> None:
    """When the first call fails no other is made."""
    calls, done = Calls(), dict[int, int]()
    with pytest.raises(ValueError, match="0"):
        await make_calls([calls.call(each, fails=True) for each in range(30)], done)
    assert calls.peaks == [1]
    assert done == {}


async def test_another_fails() -> None:
    """A failure is raised when no call is under way any more; what was done is not done again."""
    calls, done = Calls(), dict[int, int]()
    with pytest.raises(ValueError, match="3"):
        await make_calls([calls.call(number, fails=number == 3) for number in range(12)], done)
    assert calls.running == 0
    assert sorted(done) == [0, 1, 2, 4, 5, 6, 7, 8]
    made = len(calls.peaks)
    await make_calls([calls.call(number) for number in range(12)], done)
    assert len(calls.peaks) == made + 4
    assert done == {number: number for number in range(12)}


def test_progress_is_that_of_one_batch() -> None:
    """What was done counts for the same records and the same target, until the batch has ended."""
    progress, records = Progress[int](), a_batch()
    target = a_target(DestinationKind.S3, "bucket")
    progress.of(target, records)[3] = 7
    assert progress.of(target, records) == {3: 7}
    assert progress.of(a_target(DestinationKind.S3, "bucket"), records) == {}
    elsewhere = Target(target.configuration, target.kind, "elsewhere")
    assert progress.of(elsewhere, records) == {}
    assert progress.of(target, records) == {}
    progress.of(target, records)[3] = 7
    assert progress.of(target, records[1:]) == {}
    first, second, third, *_ = records
    for one, other in (
        ([first, second], [first, third]),
        ([first, third], [second, third]),
        ([first], [second]),
        ([first, third], [first, second, third]),
    ):
        progress.of(target, one)[3] = 7
        assert progress.of(target, other) == {}
    progress.of(target, records)[3] = 7
    progress.end(target)
    assert progress.of(target, records) == {}


def test_progress_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the bound the batch that was begun first is forgotten."""
    monkeypatch.setattr(batch_calls, "MAXIMUM_BATCHES", 2)
    progress, records = Progress[int](), a_batch()
    targets = [a_target(DestinationKind.S3, "bucket") for _ in range(3)]
    for target in targets:
        progress.of(target, records)[0] = 1
    assert [progress.of(target, records) for target in reversed(targets)] == [{0: 1}, {0: 1}, {}]
