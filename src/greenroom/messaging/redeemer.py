"""Use up chat tokens in batches: one transaction for all that come together.

A commit to the disk costs more CPU than everything else about accepting several connections. So a
token waits for others, but only for those that are to be expected: as many as the last batch had,
if nobody came while that was under way. Then whoever will come has been answered or is here, and
one who comes alone waits for nobody. If somebody did come, more are on their way, and twice as many
are expected. Who is not joined by as many waits for ten milliseconds: a hundred commits a second
are enough for any storm.
"""

import asyncio

from greenroom.clock import Clock
from greenroom.storage.token_uses import TokenUse, TokenUses

PATIENCE_SECONDS = 0.01
"""How long the first token of a batch waits for others at most."""

_Batch = list[tuple[TokenUse, "asyncio.Future[bool]"]]


class Redeemer:
    """Redeems tokens; each caller learns whether its use was the first."""

    def __init__(
        self,
        uses: TokenUses,
        clock: Clock,
        tasks: asyncio.TaskGroup,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._uses = uses
        self._clock = clock
        self._tasks = tasks
        self._patience_seconds = patience_seconds
        self._loop = asyncio.get_running_loop()
        self._batch: _Batch = []
        # How many tokens of batches under way have no answer yet, and how many make the next one.
        self._under_way = 0
        self._expected = 1

    def redeem(self, token_id: str, expires: int) -> "asyncio.Future[bool]":
        """Use a token up; return whether this was its first use. `expires` is in milliseconds.

        Raises, when it is awaited:
            StorageUnavailable: the store cannot say; the token may be used again.
        """
        future: asyncio.Future[bool] = self._loop.create_future()
        batch = self._batch
        batch.append(((token_id, expires), future))
        if len(batch) == self._expected and not self._under_way:
            # Whoever else comes in this turn of the loop is in it, too.
            self._loop.call_soon(self._begin, batch)
        elif len(batch) == 1:
            self._loop.call_later(self._patience_seconds, self._begin, batch)
        return future

    def _begin(self, batch: _Batch) -> None:
        if batch is not self._batch:
            # It has begun for the other reason.
            return
        self._batch = []
        self._under_way += len(batch)
        self._tasks.create_task(self._redeem(batch))

    async def _redeem(self, batch: _Batch) -> None:
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
        self._under_way -= len(batch)
        came = self._under_way + len(self._batch)
        self._expected = 2 * (len(batch) + came) if came else len(batch)
