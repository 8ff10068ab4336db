"""Use up chat tokens in batches: one transaction for all that come together.

A commit to the disk costs more CPU than everything else about accepting several connections. And
what is done for one of them before costs twice as much when the kernel has done something else
since the last one: none of the code and data is in the processor's caches any more. So an upgrade
request waits for others, and all go on in a row, up to the use of their tokens.

It waits only for those that are to be expected: as many as the last batch had, if nobody came while
that was under way. Then whoever will come has been answered or is here, and one who comes alone
waits for nobody. If somebody did come, more are on their way, and twice as many are expected. Who
is not joined by as many waits for ten milliseconds: a hundred commits a second are enough for any
storm. Only those count whose tokens were used: who has none makes nobody wait.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from greenroom.clock import Clock
from greenroom.storage.token_uses import TokenUse, TokenUses

PATIENCE_SECONDS = 0.01
"""How long the first of those who go on together waits for others at most."""

AT_ONCE = 64
"""How many go on before the loop may do something else: 2 ms."""

_Batch = list[tuple[TokenUse, "asyncio.Future[bool]"]]


class Redeemer:
    """Has who comes wait for others, and redeems tokens; each learns if its use was the first."""

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
        # Who waits for others; how many rows are on their way, and the tokens of those who went on.
        self._waiting: deque[Callable[[], None]] = deque()
        self._going = 0
        self._batch: _Batch = []
        # How many tokens of batches under way have no answer yet, and how many make the next one.
        self._under_way = 0
        self._expected = 1

    def wait_for_others(self, go_on: Callable[[], None]) -> None:
        """Call back when those are there who are to be expected, or will not come."""
        waiting = self._waiting
        waiting.append(go_on)
        if len(waiting) == self._expected and not self._under_way:
            # Whoever else comes in this turn of the loop is in it, too.
            self._loop.call_soon(self._begin, waiting)
        elif len(waiting) == 1:
            self._loop.call_later(self._patience_seconds, self._begin, waiting)

    def redeem(self, token_id: str, expires: int) -> "asyncio.Future[bool]":
        """Use a token up; return whether this was its first use. `expires` is in milliseconds.

        All tokens of those who go on in a row are used up together, or of a turn of the loop.

        Raises, when it is awaited:
            StorageUnavailable: the store cannot say; the token may be used again.
        """
        future: asyncio.Future[bool] = self._loop.create_future()
        if not self._batch and not self._going:
            self._loop.call_soon(self._use_up)
        self._batch.append(((token_id, expires), future))
        return future

    def _begin(self, waiting: deque[Callable[[], None]]) -> None:
        # Else it has begun for the other reason.
        if waiting is self._waiting:
            self._waiting = deque()
            self._going += 1
            self._let_go(waiting)

    def _let_go(self, waiting: deque[Callable[[], None]]) -> None:
        try:
            for _ in range(min(AT_ONCE, len(waiting))):
                waiting.popleft()()
        finally:
            # Also when one of them failed.
            if waiting:
                self._loop.call_soon(self._let_go, waiting)
            else:
                self._going -= 1
                self._use_up()

    def _use_up(self) -> None:
        batch, self._batch = self._batch, []
        if batch:
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
        came = self._under_way + len(self._waiting)
        self._expected = 2 * (len(batch) + came) if came else len(batch)
