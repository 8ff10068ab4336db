"""Keeps in the store what rooms have shown, behind what is shown: on a node that is alone.

- What is shown waits here for at most `BEHIND_SECONDS` and the commit of what came before, and is
  appended with all that came meanwhile. Nobody waits for that.
- What a killed process had not appended is missing. So all rooms are taken for ended at the start,
  but for those that the process before had settled when it ended well.
- A room that publishes what is not kept is ended: what is kept next begins. A deletion is kept even
  then, if something is: else its message would be back when history is on again.
- **Bound.** While the store cannot, `MOST_BYTES` wait; then the oldest go, and the rest says so.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog

from greenroom.bus.base import MOST_KEPT, History, Older, RoomEnvelope
from greenroom.bus.kept import kept_of, older_of
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.history import History as Store
from greenroom.storage.history import Kept

BEHIND_SECONDS = 0.05
"""How long something waits for others to be appended with it."""

FAILED_SECONDS = 1.0
"""How long after a failure it is tried again."""

LAST_SECONDS = 10.0
"""How long the end waits for what was not appended."""

WAITED_SECONDS = 2.0
"""How long somebody waits for what is to be kept."""

AT_ONCE = 2_000
"""Frames of one append at most."""

MOST_BYTES = 16 << 20
EACH_BYTES = 1_000
"""What may wait at most, and what a frame takes beside its payloads."""

NONE, KEPT = History.NONE, History.KEPT
# Looked up once: in Python 3.11 a member costs 50 ns each time.

log = structlog.get_logger()

Sleep = Callable[[float], Awaitable[None]]


class KeptHistory:
    """The port `bus.base.Keeper` over a store; `run` appends."""

    def __init__(self, store: Store, sleep: Sleep = asyncio.sleep) -> None:
        self._store = store
        self._sleep = sleep
        self.rooms: set[str] = set()
        """The rooms behind whose kept frames nothing is missing but what waits here."""
        self.waiting_bytes = 0
        """What was taken and is not kept yet."""
        self.dropped = 0
        """How many frames are not kept because too many waited."""
        self._waiting: deque[_Waiting] = deque()
        self._batch: Sequence[_Waiting] = ()
        self._taken = 0
        self._wake = asyncio.Event()
        self._waiters: list[tuple[int, asyncio.Future[bool]]] = []
        self._running: asyncio.Task[None] | None = None
        self._ending = self._failed = False

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Go on where the process before has settled, and append from now on."""
        self.rooms.update(await self._store.resume())
        self._running = tasks.create_task(self._run())

    def take(self, room: str, envelope: RoomEnvelope) -> None:
        """Have a frame kept, or the room ended by one that is not."""
        is_kept = envelope.history is KEPT
        if envelope.history is NONE:
            self.rooms.discard(room)
        if not (is_kept or envelope.deletes):
            return
        begins = room not in self.rooms
        if begins and is_kept:
            self.rooms.add(room)
        self._taken += 1
        self._waiting.append(_Waiting(self._taken, room, envelope, begins))
        self.waiting_bytes += EACH_BYTES + len(envelope.payload) + len(envelope.marked)
        if not self._wake.is_set():
            self._wake.set()
        if self.waiting_bytes > MOST_BYTES:
            self._drop()

    async def older(self, room: str) -> Older:
        """Return what is kept of a room, with all that was taken before.

        Raises:
            StorageUnavailable: it cannot be read now.
        """
        # Asked before it is read: whoever writes meanwhile begins, and may not be among the found.
        ended = not await self.catch_up(room)
        found = await self._store.newest(room, MOST_KEPT)
        return older_of(found.in_order, found.begin(ended=ended), more=found.more)

    async def catch_up(self, room: str, *, surely: bool = True) -> bool:
        """Wait until what was taken by now is kept; return whether a room is not ended.

        Raises:
            StorageUnavailable: as for `appended`.
        """
        await self.appended()
        return room in self.rooms

    async def appended(self) -> None:
        """Wait until all that was taken by now is kept.

        Raises:
            StorageUnavailable: that takes too long, or some of it will never be.
        """
        if not (self._batch or self._waiting):
            return
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiters.append((self._taken, future))
        await asyncio.wait([future], timeout=WAITED_SECONDS)
        if not future.done():
            raise StorageUnavailable("what was shown last is not kept yet")
        if not future.result():
            raise StorageUnavailable("some of what was shown last cannot be kept")

    async def close(self) -> None:
        """Append what waits, and settle the rooms: whoever is next goes on from here."""
        if self._running is None:
            return
        self._ending = True
        self._wake.set()
        await asyncio.wait([self._running], timeout=LAST_SECONDS)
        self._running.cancel()
        if frames := len(self._batch) + len(self._waiting):
            # What is being appended may be kept yet: nobody will know.
            log.error("history that was not kept is lost: the store cannot", frames=frames)
            return
        try:
            await self._store.settle(self.rooms)
        except StorageUnavailable:
            log.error("rooms' history begins anew at the next start: the store cannot")

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self._ending and not self._waiters:
                await self._sleep(BEHIND_SECONDS)
            while self._waiting:
                if not await self._append():
                    await self._sleep(FAILED_SECONDS)
            if self._ending:
                return

    async def _append(self) -> bool:
        """Append the oldest of what waits; return whether that was possible."""
        number = min(AT_ONCE, len(self._waiting))
        self._batch = batch = [self._waiting.popleft() for _ in range(number)]
        try:
            await self._store.append([each.kept() for each in batch])
        except StorageUnavailable as error:
            self._again(error.code)
            return False
        except Exception as error:
            # An exception that left this task would end the node.
            log.exception("history crashed", error=type(error).__name__)
            self._again(type(error).__name__)
            return False
        if self._failed:
            self._failed = False
            log.warning("history no longer waits in memory", dropped=self.dropped)
        self._batch = ()
        self._took(batch)
        return True

    def _again(self, why: str) -> None:
        self._waiting.extendleft(reversed(self._batch))
        self._batch = ()
        if not self._failed:
            self._failed = True
            log.warning("history waits in memory: the store cannot", reason=why)

    def _took(self, gone: Sequence["_Waiting"]) -> None:
        self.waiting_bytes -= sum(map(_size, gone))
        first = self._waiting[0].number if self._waiting else self._taken + 1
        while self._waiters and self._waiters[0][0] < first:
            _tell(self._waiters.pop(0)[1], are_kept=True)

    def _drop(self) -> None:
        """Let a tenth of what waits go, and say of its rooms that something is missing."""
        number = min(len(self._waiting), len(self._waiting) // 10 + 1)
        gone = [self._waiting.popleft() for _ in range(number)]
        rooms = {each.room for each in gone}
        # The next of each that waits, or is to come, begins.
        for each in self._waiting:
            if each.room in rooms:
                each.begins = True
                rooms.discard(each.room)
        self.rooms -= rooms
        self.dropped += number
        self.waiting_bytes -= sum(map(_size, gone))
        # Who waits for any of them is told that it is not kept.
        first = gone[0].number
        for waited, future in self._waiters:
            if waited >= first:
                _tell(future, are_kept=False)
        self._waiters = [each for each in self._waiters if each[0] < first]


class _Waiting(msgspec.Struct, gc=False):
    """A frame that is to be appended, with its number among all that were taken."""

    number: int
    room: str
    envelope: RoomEnvelope
    begins: bool

    def kept(self) -> Kept:
        """Return it as the store takes it."""
        only_if_any = self.envelope.history is not KEPT
        return Kept(self.room, kept_of(self.envelope), self.begins, only_if_any)


def _size(waiting: _Waiting) -> int:
    return EACH_BYTES + len(waiting.envelope.payload) + len(waiting.envelope.marked)


def _tell(future: asyncio.Future[bool], *, are_kept: bool) -> None:
    if not future.done():
        future.set_result(are_kept)
