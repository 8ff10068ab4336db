"""Tokens are used up in batches, and each caller learns of its own."""

import asyncio
from collections.abc import Sequence

import pytest

from greenroom.messaging.redeemer import Redeemer
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.memory.opened import Opened
from greenroom.storage.memory.token_uses import MemoryTokenUses
from greenroom.storage.token_uses import TokenUse
from tests.stand_ins.hand_clock import START_MS, HandClock


class CountingUses(MemoryTokenUses):
    """Token uses that remember the batches, and may refuse them."""

    def __init__(self) -> None:
        super().__init__(Opened())
        self.batches: list[int] = []
        self.error: Exception | None = None

    async def redeem(self, tokens: Sequence[TokenUse], now: int) -> list[bool]:
        self.batches.append(len(tokens))
        if self.error is not None:
            raise self.error
        return await super().redeem(tokens, now)


async def test_one_batch_for_all_that_come_together() -> None:
    """Uses that come together are one call of the store; one token is first once."""
    uses = CountingUses()
    async with asyncio.TaskGroup() as tasks:
        redeemer = Redeemer(uses, HandClock().clock, tasks)
        names = ["a", "b", "a", "c", "a"]
        results = await asyncio.gather(*(redeemer.redeem(name, START_MS) for name in names))
        assert results == [True, True, False, True, False]
        assert await redeemer.redeem("c", START_MS) is False
    assert uses.batches == [5, 1]


async def test_a_crowd_shares_fewer_batches() -> None:
    """The next batch waits for more behind one of several, and not behind one that came alone."""
    uses, hour = CountingUses(), 3600.0
    async with asyncio.TaskGroup() as tasks:
        redeemer = Redeemer(uses, HandClock().clock, tasks, 0.001, spacing_seconds=hour)
        for name in "ab":
            assert await redeemer.redeem(name, START_MS)
        await asyncio.gather(*(redeemer.redeem(name, START_MS) for name in "cd"))
        late = [asyncio.ensure_future(redeemer.redeem(name, START_MS)) for name in "ef"]
        await asyncio.sleep(0.02)
        assert uses.batches == [1, 1, 2]
        redeemer._begin()
        assert await asyncio.gather(*late) == [True, True]
    assert uses.batches == [1, 1, 2, 2]


async def test_a_failure_reaches_every_caller_of_the_batch() -> None:
    """When the store cannot say, nobody is told that the token was good; the next batch works."""
    uses = CountingUses()
    async with asyncio.TaskGroup() as tasks:
        redeemer = Redeemer(uses, HandClock().clock, tasks)
        uses.error = StorageUnavailable("full")
        results = await asyncio.gather(
            *(redeemer.redeem(name, START_MS) for name in "ab"), return_exceptions=True
        )
        assert [type(result) for result in results] == [StorageUnavailable] * 2
        uses.error = None
        assert await redeemer.redeem("a", START_MS) is True


@pytest.mark.parametrize("fails", [False, True])
async def test_a_caller_that_gave_up_disturbs_nobody(fails: bool) -> None:
    """A cancelled use may or may not count; the others of its batch are answered."""
    uses = CountingUses()
    uses.error = StorageUnavailable("full") if fails else None
    async with asyncio.TaskGroup() as tasks:
        redeemer = Redeemer(uses, HandClock().clock, tasks)
        gone = asyncio.ensure_future(redeemer.redeem("a", START_MS))
        stays = asyncio.ensure_future(redeemer.redeem("b", START_MS))
        await asyncio.sleep(0)
        gone.cancel()
        (result,) = await asyncio.gather(stays, return_exceptions=True)
        assert isinstance(result, StorageUnavailable) if fails else result is True
        assert gone.cancelled()
