"""Long work on the loop: alone, in slices, and with an end."""

import asyncio

import pytest

from greenroom.control.long_work import SLICE_SECONDS, WAITING, Budget, LongWork, TookTooLong
from greenroom.model.iam_errors import Throttling


class Cpu:
    """CPU time that only the test spends."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return what was spent."""
        return self.seconds


async def spend(cpu: Cpu, budget: Budget) -> None:
    """Work on and on, in steps of a slice."""
    for _ in range(100):
        cpu.seconds += SLICE_SECONDS
        await budget.rest()


async def test_work_gives_way_and_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """After each slice others have as much time; in the end there is an error, not more work."""
    cpu, rests = Cpu(), list[float]()
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        rests.append(seconds)
        await real(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    async with LongWork(cpu).turn(step=1.0, total=0.1) as budget:
        for _ in range(3):
            cpu.seconds += SLICE_SECONDS / 2
            await budget.rest()
        assert rests == [pytest.approx(SLICE_SECONDS)]
        with pytest.raises(TookTooLong):
            await spend(cpu, budget)
    assert sum(rests) <= 0.1


async def test_a_step_has_an_end() -> None:
    """What cannot be cut is ended within, by whoever asks again and again."""
    cpu = Cpu()
    async with LongWork(cpu).turn(step=0.01, total=1.0) as budget:
        for _ in range(3):
            cpu.seconds += 0.009
            budget.check()
            await budget.rest()
        cpu.seconds += 0.011
        with pytest.raises(TookTooLong):
            budget.check()


async def test_the_bounds_themselves_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that takes its time exactly goes on, and so does work that uses all it has."""
    cpu, real = Cpu(), asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda _: real(0))
    async with LongWork(cpu).turn(step=0.5, total=0.5) as budget:
        cpu.seconds = 0.5
        budget.check()
        await budget.rest()
        cpu.seconds += SLICE_SECONDS
        with pytest.raises(TookTooLong):
            await budget.rest()


async def test_one_works_and_few_wait() -> None:
    """Turns come in order; who finds too many waiting is to come again, as after a rate.

    Who waited and went, or was cancelled, leaves the place to others: as many wait again.
    """
    turns, order = LongWork(Cpu()), list[int]()
    go = asyncio.Event()

    async def work(number: int) -> None:
        async with turns.turn(1.0, 1.0):
            order.append(number)
            await go.wait()

    for _ in range(2):
        order.clear()
        go.clear()
        tasks = [asyncio.create_task(work(number)) for number in range(WAITING + 1)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert order == [0]
        with pytest.raises(Throttling):
            await asyncio.wait_for(work(99), 5)
        tasks[3].cancel()
        go.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == [0, 1, 2, *range(4, WAITING + 1)]
    await asyncio.wait_for(work(100), 5)
