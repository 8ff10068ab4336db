"""Tokens are used up in batches, and each caller learns of its own."""

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest

from greenroom.messaging import redeemer as module
from greenroom.messaging.redeemer import Redeemer
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.memory.opened import Opened
from greenroom.storage.memory.token_uses import MemoryTokenUses
from greenroom.storage.token_uses import TokenUse
from tests.stand_ins.hand_clock import START_MS, HandClock
from tests.stand_ins.stage import settle

FOR_EVER = 3600.0
"""Seconds that no test lasts."""


class CountingUses(MemoryTokenUses):
    """Token uses that remember the batches, can be held up, and may refuse them."""

    def __init__(self) -> None:
        super().__init__(Opened())
        self.begun = asyncio.Semaphore(0)
        self.batches: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def redeem(self, tokens: Sequence[TokenUse], now: int) -> list[bool]:
        self.begun.release()
        await self.gate.wait()
        self.batches.append(len(tokens))
        if self.error is not None:
            raise self.error
        return await super().redeem(tokens, now)


def come(redeemer: Redeemer, name: str) -> "asyncio.Future[bool]":
    """Have somebody wait for others, and his token used up with theirs."""
    outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def go_on() -> None:
        using = redeemer.redeem(name, START_MS)
        using.add_done_callback(lambda done: outcome.set_result(done.result()))

    redeemer.wait_for_others(go_on)
    return outcome


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


async def test_one_who_comes_alone_waits_for_nobody() -> None:
    """Nobody is waited for where nobody was met."""
    uses = CountingUses()
    async with asyncio.TaskGroup() as tasks:
        redeemer = Redeemer(uses, HandClock().clock, tasks, FOR_EVER)
        for name in "abc":
            assert await come(redeemer, name) is True
    assert uses.batches == [1, 1, 1]


async def test_as_many_as_the_last_time_make_a_batch() -> None:
    """Behind a batch of several, to which nobody came late, the next one waits for as many."""
    uses = CountingUses()
    async with asyncio.TaskGroup() as tasks:
        redeemer = Redeemer(uses, HandClock().clock, tasks, FOR_EVER)
        await asyncio.gather(*(come(redeemer, name) for name in "abc"))
        early = [come(redeemer, name) for name in "de"]
        await settle()
        assert uses.batches == [3]
        assert await asyncio.gather(*early, come(redeemer, "f")) == [True] * 3
    assert uses.batches == [3, 3]


async def test_who_comes_late_says_that_more_will() -> None:
    """Tokens that come while a batch is under way are not the last: twice as many are expected."""
    uses = CountingUses()
    async with asyncio.TaskGroup() as tasks:
        redeemer = Redeemer(uses, HandClock().clock, tasks, FOR_EVER)
        uses.gate.clear()
        first = come(redeemer, "a")
        await settle()
        late = [come(redeemer, "b")]
        uses.gate.set()
        assert await first is True
        late += [come(redeemer, name) for name in "cd"]
        await settle()
        assert uses.batches == [1]
        assert await asyncio.gather(*late, come(redeemer, "e")) == [True] * 4
    assert uses.batches == [1, 4]


async def test_who_is_expected_and_does_not_come_is_not_waited_for_long() -> None:
    """The first of a batch waits so long at most, and then fewer are expected."""
    uses = CountingUses()
    async with asyncio.TaskGroup() as tasks:
        redeemer = Redeemer(uses, HandClock().clock, tasks, 0.001)
        await asyncio.gather(*(come(redeemer, name) for name in "ab"))
        assert await come(redeemer, "c") is True
        redeemer._patience_seconds = FOR_EVER
        assert await come(redeemer, "d") is True
    assert uses.batches == [2, 1, 1]


async def test_a_batch_begins_once() -> None:
    """Also when it was whole before its time: no token is used twice, and nobody is forgotten."""
    uses = CountingUses()
    async with asyncio.TaskGroup() as tasks:
        redeemer = Redeemer(uses, HandClock().clock, tasks, 0.001)
        await asyncio.gather(*(come(redeemer, name) for name in "ab"))
        both = [come(redeemer, name) for name in "cd"]
        assert await asyncio.gather(*both) == [True] * 2
        redeemer._patience_seconds = FOR_EVER
        waits = come(redeemer, "e")
        await asyncio.sleep(0.005)
        both = [waits, come(redeemer, "f")]
        assert await asyncio.gather(*both) == [True] * 2
    assert uses.batches == [2, 2, 2]


async def test_a_slow_store_is_given_what_waited_long_enough() -> None:
    """A batch does not wait for the answer to the one before: the store joins what waits for it."""
    uses = CountingUses()
    async with asyncio.TaskGroup() as tasks:
        redeemer = Redeemer(uses, HandClock().clock, tasks, 0.001)
        uses.gate.clear()
        waiting = [come(redeemer, "a")]
        await settle()
        waiting.append(come(redeemer, "b"))
        for _ in waiting:
            await uses.begun.acquire()
        uses.gate.set()
        assert await asyncio.gather(*waiting) == [True, True]


@pytest.mark.parametrize("fails", [0, 2])
async def test_a_few_go_on_at_once(fails: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others of many do in the next turn of the loop, also when one of the first failed."""
    monkeypatch.setattr(module, "AT_ONCE", 2)
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    gone: list[int] = []

    def go_on(number: int) -> None:
        gone.append(number)
        if number == fails:
            raise ValueError

    async with asyncio.TaskGroup() as tasks:
        redeemer = Redeemer(CountingUses(), HandClock().clock, tasks, FOR_EVER)
        for number in range(1, 6):
            redeemer.wait_for_others(partial(go_on, number))
        for most in (2, 4, 5):
            await asyncio.sleep(0)
            assert gone == list(range(1, most + 1))
    assert len(told) == bool(fails)


async def test_many_are_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when they do not all go on at once, and with whoever comes by another way meanwhile."""
    monkeypatch.setattr(module, "AT_ONCE", 2)
    uses = CountingUses()
    async with asyncio.TaskGroup() as tasks:
        redeemer = Redeemer(uses, HandClock().clock, tasks, FOR_EVER)
        many = [come(redeemer, name) for name in "abcde"]
        await asyncio.sleep(0)
        late = redeemer.redeem("f", START_MS)
        assert await asyncio.gather(*many, late) == [True] * 6
        assert await asyncio.gather(*[come(redeemer, name) for name in "ghijkl"]) == [True] * 6
    assert uses.batches == [6, 6]


async def test_who_has_no_token_makes_nobody_wait() -> None:
    """Of those who came before only those are expected again whose tokens were used."""
    uses = CountingUses()
    async with asyncio.TaskGroup() as tasks:
        redeemer = Redeemer(uses, HandClock().clock, tasks, FOR_EVER)
        for _ in range(3):
            redeemer.wait_for_others(lambda: None)
        await settle()
        assert await come(redeemer, "a") is True
    assert uses.batches == [1]


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
        gone = redeemer.redeem("a", START_MS)
        stays = redeemer.redeem("b", START_MS)
        await asyncio.sleep(0)
        gone.cancel()
        (result,) = await asyncio.gather(stays, return_exceptions=True)
        assert isinstance(result, StorageUnavailable) if fails else result is True
        assert gone.cancelled()
