"""Keeps the messages that wait, on a node that has its store alone.

- A message is kept before anybody sees it: who was shown his own can rely on that.
- One that was released is kept until it is in its room's history, where that has one. A process
  that was killed in between leaves messages that the next one finds in the history, or knows to be
  in chat logs: it puts them into neither once more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import structlog

from greenroom.bus.base import RoomEnvelope
from greenroom.bus.kept import held_of
from greenroom.chat.held_queues import HeldQueues
from greenroom.clock import Clock
from greenroom.model.errors import ServiceUnavailableException
from greenroom.model.held_message import HeldMessage
from greenroom.storage.held_messages import HeldMessages
from greenroom.storage.history import History

READ_AT_ONCE = 1_000

Kept = Callable[[], Awaitable[None] | None]
"""Returns what is done when all that was shown is kept, None if it is."""

log = structlog.get_logger()


class HeldAlone:
    """The port `releases.Upkeep`, and what the line of the node asks."""

    def __init__(
        self,
        queues: HeldQueues,
        store: HeldMessages,
        history: History,
        kept: Kept,
        clock: Clock,
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Make it; `kept` returns what waits for history to be kept."""
        self._queues = queues
        self._store = store
        self._history = history
        self._kept = kept
        self._clock = clock
        self._tasks = tasks
        # What is to be removed from the store: what was released, and what was deleted.
        self._over: dict[str, list[str]] = {}
        self._settling = asyncio.Lock()
        # What is being kept, and waits from then on.
        self._keeping: set[str] = set()

    async def start(self) -> None:
        """Go on with what the process before has left.

        Raises:
            StorageUnavailable: it cannot be read.
        """
        after, now_ns, now = 0, self._clock.wall_ns(), self._clock.monotonic()
        while found := await self._store.waiting(after, READ_AT_ONCE):
            after = found[-1][0]
            # Together: each by itself would take its time.
            numbers = await asyncio.gather(
                *(self._history.number(each.room, each.id) for _, each in found)
            )
            shown: dict[str, list[str]] = {}
            for number, (_, each) in zip(numbers, found, strict=True):
                if number:
                    shown.setdefault(each.room, []).append(each.id)
                else:
                    waited = max(0.0, (now_ns - each.time_ns) / 1e9)
                    self._queues.add(each, now - waited)
            await asyncio.gather(*(self._store.remove(room, ids) for room, ids in shown.items()))

    def keep(
        self, room: str, envelope: RoomEnvelope, show: Callable[[], None]
    ) -> "asyncio.Future[None]":
        """Keep a message that is to wait, then show it to who may see it before.

        What is returned raises StorageUnavailable if it is not kept: then nobody is shown it.
        """
        shown: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks.create_task(self._keep(held_of(room, envelope), show, shown))
        return shown

    async def _keep(
        self, message: HeldMessage, show: Callable[[], None], shown: "asyncio.Future[None]"
    ) -> None:
        self._keeping.add(message.id)
        try:
            await self._store.add((message,))
            self._queues.add(message)
            show()
        except Exception as error:  # noqa: BLE001 - raised where the message was accepted
            if not shown.done():
                shown.set_exception(error)
        finally:
            self._keeping.discard(message.id)
        if not shown.done():
            shown.set_result(None)

    def deleted(self, room: str, ids: Collection[str]) -> None:
        """Take note, in the room's order, of what nobody is to be shown any more.

        One that is being kept may have been found in the store already.
        """
        if room in self._queues or not self._keeping.isdisjoint(ids):
            over = [*self._queues.remove(room, ids), *self._keeping.intersection(ids)]
            if over:
                self._over.setdefault(room, []).extend(over)

    def is_prepared(self, room: str) -> bool:
        return True

    async def prepare(self, room: str) -> bool:
        return True

    async def dropped(self, room: str, ids: Collection[str]) -> None:
        await self._store.remove(room, ids)

    async def released(self, room: str, ids: Collection[str]) -> None:
        self._over.setdefault(room, []).extend(ids)
        try:
            await self.settle()
        except ServiceUnavailableException as error:
            log.debug("messages that no longer wait are kept for now", reason=error.code)

    @property
    def is_settled(self) -> bool:
        """Return whether nothing is kept that no longer waits."""
        return not self._over and not self._settling.locked()

    async def settle(self) -> None:
        """Remove from the store what no longer waits, when history has it.

        Raises:
            ServiceUnavailableException: it cannot be removed now.
        """
        # One after another: who finds nothing left to do may rely on its having been done.
        async with self._settling:
            over, self._over = self._over, {}
            try:
                waiting = self._kept()
                if waiting is not None:
                    await waiting
                await self._remove(over)
            finally:
                for room, ids in over.items():
                    self._over.setdefault(room, []).extend(ids)

    async def _remove(self, over: dict[str, list[str]]) -> None:
        """Remove messages of all rooms together, and take out of these what is done."""
        rooms = list(over)
        outcomes = await asyncio.gather(
            *(self._store.remove(room, over[room]) for room in rooms), return_exceptions=True
        )
        failed = None
        for room, outcome in zip(rooms, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                failed = outcome
            else:
                del over[room]
        if failed is not None:
            raise failed

    def empty(self, room: str) -> None:
        """Do nothing: nobody else is to be told."""
