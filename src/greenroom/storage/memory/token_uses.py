"""The uses of chat tokens in memory: a set, and a heap by expiry to shorten it."""

import heapq
from collections.abc import Sequence

from greenroom.storage import rules
from greenroom.storage.memory.opened import Opened
from greenroom.storage.token_uses import TokenUse


class MemoryTokenUses:
    """`TokenUses` in a set."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._used: set[str] = set()
        self._by_expiry: list[tuple[int, str]] = []

    async def redeem(self, tokens: Sequence[TokenUse], now: int) -> list[bool]:
        self._opened.check()
        return [self._redeem(token_id, expires, now) for token_id, expires in tokens]

    def _redeem(self, token_id: str, expires: int, now: int) -> bool:
        # Two go for each that comes: the set shrinks when it can.
        for _ in range(2):
            if self._by_expiry and self._by_expiry[0][0] < now - rules.REDEEMED_KEPT_MS:
                self._used.discard(heapq.heappop(self._by_expiry)[1])
        if token_id in self._used:
            return False
        self._used.add(token_id)
        heapq.heappush(self._by_expiry, (expires, token_id))
        return True
