"""Use up chat tokens in batches: one transaction for all that come within a few milliseconds.

A commit to the disk costs more CPU than everything else about accepting several connections.
Whoever comes alone waits two milliseconds for others. Behind a batch of several, the next one
begins ten milliseconds later: a hundred commits a second are enough for any storm.
"""

import asyncio

from greenroom.clock import Clock
from greenroom.storage.token_uses import TokenUse, TokenUses

GATHER_SECONDS = 0.002
"""How long the first token of a batch waits for others."""

SPACING_SECONDS = 0.01
"""What lies at least between the beginning of a batch of several and that of the next one."""


class Redeemer:
    """Redeems tokens; each caller learns whether its use was the first."""

    def __init__(
        self,
        uses: TokenUses,
        clock: Clock,
        tasks: asyncio.TaskGroup,
        gather_seconds: float = GATHER_SECONDS,
        spacing_seconds: float = SPACING_SECONDS,
    ) -> None:
        self._uses = uses
        self._clock = clock
        self._tasks = tasks
        self._gather_seconds = gather_seconds
        self._spacing_seconds = spacing_seconds
        # The earliest time for the next batch, on the event loop's clock.
        self._earliest = float("-inf")
        self._batch: list[tuple[TokenUse, asyncio.Future[bool]]] = []

    async def redeem(self, token_id: str, expires: int) -> bool:
        """Use a token up; return whether this was its first use. `expires` is in milliseconds.

        Raises:
            StorageUnavailable: the store cannot say; the token may be used again.
        """
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._batch.append(((token_id, expires), future))
        if len(self._batch) == 1:
            loop.call_at(max(loop.time() + self._gather_seconds, self._earliest), self._begin)
        first: bool = await future
        return first

    def _begin(self) -> None:
        batch, self._batch = self._batch, []
        if len(batch) > 1:
            self._earliest = asyncio.get_running_loop().time() + self._spacing_seconds
        self._tasks.create_task(self._redeem(batch))

    async def _redeem(self, batch: list[tuple[TokenUse, asyncio.Future[bool]]]) -> None:
        try:
            results = await self._uses.redeem([use for use, _ in batch], self._clock.now_ms())
        except Exception as error:  # noqa: BLE001 - raised where each call was made
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), first in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(first)
