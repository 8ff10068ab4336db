"""Every `TokenUses`: exactly one use of a token is the first.

Covers: greenroom.storage.memory.token_uses, greenroom.storage.postgres.token_uses,
    greenroom.storage.sqlite.token_uses, greenroom.storage.token_uses
"""

import asyncio
from typing import Any
from unittest.mock import AsyncMock, Mock

from greenroom.model.logging_configuration import (
    LoggingConfigurationState,
)
from greenroom.storage.base import Store
from greenroom.storage.rules import PRUNE_EVERY, REDEEMED_KEPT_MS
from greenroom.storage.sqlite.token_uses import SqliteTokenUses
from tests.stand_ins.redeeming import redeem
from tests.stand_ins.values import (
    NOW,
)

State = LoggingConfigurationState


class TestRedeem:
    async def test_is_true_once(self, store: Store) -> None:
        """The first call for a token returns True, every later one False."""
        assert await redeem(store, "one", NOW, NOW) is True
        assert await redeem(store, "one", NOW, NOW) is False
        assert await redeem(store, "two", NOW, NOW) is True

    async def test_is_true_once_under_concurrency(self, store: Store) -> None:
        """Of many calls at once for one token, exactly one returns True."""
        results = await asyncio.gather(*(redeem(store, "t", NOW, NOW) for _ in range(50)))
        assert sorted(results) == [False] * 49 + [True]

    async def test_many_at_once(self, store: Store) -> None:
        """Uses in one call are told apart, and one token twice in it is first once."""
        await redeem(store, "used", NOW, NOW)
        tokens = [("a", NOW), ("used", NOW), ("b", NOW), ("a", NOW)]
        assert await store.token_uses.redeem(tokens, NOW) == [True, False, True, False]
        assert await store.token_uses.redeem([], NOW) == []

    async def test_is_remembered_for_an_hour_after_expiry(self, store: Store) -> None:
        """However many tokens come and go, a mark stays for an hour after the token's expiry."""
        for number in range(300):
            assert await redeem(store, f"{number}", NOW, NOW)
        hour_later = NOW + 3_600_000
        for number in range(300):
            assert not await redeem(store, f"{number}", NOW, hour_later)
        for number in range(300, 1_000):
            assert await redeem(store, f"{number}", hour_later + 9, hour_later + 1)
        for number in range(300, 1_000):
            assert not await redeem(store, f"{number}", hour_later + 9, hour_later + 1)


async def test_how_often_sqlite_removes_marks() -> None:
    """At each so many uses, up to twice as many."""
    worker: Any = Mock(write=AsyncMock(return_value=[True]))
    uses = SqliteTokenUses(worker)
    for number in range(2 * PRUNE_EVERY):
        await uses.redeem([(f"{number}", NOW)], NOW)
    removed = [each.args[2:] for each in worker.write.mock_calls]
    before = NOW - REDEEMED_KEPT_MS
    nothing = [(0, before)] * (PRUNE_EVERY - 1)
    assert removed == [*nothing, (2 * PRUNE_EVERY, before)] * 2
