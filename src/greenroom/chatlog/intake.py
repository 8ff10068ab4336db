"""From a frame that was accepted to a record in the journal, and then to everybody.

- Frames go through one line. One append is under way at a time and takes all that wait, so that
  they share its commit; when it is done, its frames are published in their order.
- **While the store cannot** (its disk is full), the records are *behind*: frames are published at
  once, their records wait here and are appended, in order, as soon as the store takes them.
- **Bound.** At `maximum_size` bytes of waiting records the newest are dropped: counted, and named
  in the log. A store that hangs makes the records behind when the bound is reached.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from greenroom.chatlog.drops import Drops
from greenroom.chatlog.waiting import Backoff, Wait
from greenroom.model.arn import Arn
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.journal import Entry, Journal

MAXIMUM_ENTRIES = 1_000
"""The most entries in one append: no other caller waits long for the store."""

ENTRY_BYTES = 256
"""What an entry takes in memory beside its payload."""

log = structlog.get_logger()

Publish = Callable[[], object]


class Intake:
    """The line; `appended` is told what the journal took."""

    def __init__(
        self,
        journal: Journal,
        tasks: asyncio.TaskGroup,
        wait: Wait,
        backoff: Backoff,
        maximum_size: int,
        appended: Callable[[Sequence[Entry]], None],
        drops: Drops,
    ) -> None:
        self._journal = journal
        self._tasks = tasks
        self._wait = wait
        self._backoff = backoff
        self._maximum_size = maximum_size
        self._appended = appended
        self._drops = drops
        self._line: deque[_Waiting] = deque()
        self._unpublished: Counter[Arn] = Counter()
        self._appending: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._stopping = False
        self._ended = False
        self.behind = False
        self.size = 0

    def put(self, entry: Entry, publish: Publish) -> Awaitable[None]:
        """Append the entry, then publish; return what is done when it is published."""
        size = len(entry.payload) + ENTRY_BYTES
        full = self.size + size > self._maximum_size
        if full and not self.behind:
            self._fall_behind("the store does not answer")
        waiting = _Waiting(entry, size, publish, asyncio.get_running_loop().create_future())
        if self._ended or (self.behind and (full or not entry.configurations)):
            self._drop(entry, "the service has stopped" if self._ended else "memory is full")
            waiting.publish()
            return waiting.published
        self._line.append(waiting)
        self.size += size
        if self.behind:
            waiting.publish()
        else:
            self._unpublished[entry.room] += 1
        if self._appending is None:
            self._appending = self._tasks.create_task(self._append())
        return waiting.published

    def must_wait(self, room: Arn) -> bool:
        """Return whether frames of the room are not published yet."""
        return bool(self._unpublished) and room in self._unpublished

    def holds(self, configuration: Arn) -> bool:
        """Return whether a record for the configuration waits here."""
        return any(configuration in waiting.entry.configurations for waiting in self._line)

    async def passed(self) -> None:
        """Return when all that is in the line now is appended, or behind."""
        if self._line and not self.behind:
            await asyncio.wait([self._line[-1].published])

    async def stop(self) -> None:
        """Append what waits, with one last try."""
        self._stopping = True
        self._wake.set()
        if self._appending is not None:
            await asyncio.wait([self._appending])

    def abandon(self) -> None:
        """Drop what the store did not take, and what comes yet; nobody waits for it any longer."""
        self._ended = True
        if self._appending is not None:
            self._appending.cancel()
        for waiting in self._line:
            self._drop(waiting.entry, "the store did not take them before the end")
            self._publish(waiting)
        self._line.clear()
        self._drops.tell(at_once=True)

    async def _append(self) -> None:
        while self._line:
            head = [self._line[index] for index in range(min(len(self._line), MAXIMUM_ENTRIES))]
            if await self._is_appended([each.entry for each in head]):
                self._took(head)
            elif self._stopping:
                break
            else:
                await self._wait(self._wake, self._backoff.next())
        self._appending = None

    async def _is_appended(self, entries: list[Entry]) -> bool:
        recorded = [entry for entry in entries if entry.configurations]
        if not recorded:
            return True
        try:
            await self._journal.append(recorded)
        except StorageUnavailable as error:
            why = str(error)
        except Exception as error:
            why = type(error).__name__
            log.exception("journal crashed", error=why)
        else:
            self._appended(recorded)
            return True
        if not self.behind:
            self._fall_behind(why)
        return False

    def _took(self, head: "list[_Waiting]") -> None:
        self._backoff.reset()
        for waiting in head:
            self._line.popleft()
            self.size -= waiting.size
            self._publish(waiting)
        if self.behind and not self._line:
            self.behind = False
            self._drops.tell(at_once=True)
            log.warning("chat logs are no longer behind", dropped=self._drops.total)

    def _fall_behind(self, why: str) -> None:
        """Publish what waits for the store: from now on nothing does."""
        self.behind = True
        self._drops.total = 0
        log.error("chat logs are behind: records wait in memory", reason=why)
        for waiting in self._line:
            self._publish(waiting)

    def _drop(self, entry: Entry, why: str) -> None:
        for configuration in entry.configurations:
            self._drops.add(configuration, 1, why, entry.time_ns, entry.time_ns)

    def _publish(self, waiting: "_Waiting") -> None:
        if waiting.publish():
            room = waiting.entry.room
            self._unpublished[room] -= 1
            if not self._unpublished[room]:
                del self._unpublished[room]


class _Waiting:
    """An entry in the line."""

    __slots__ = ("_publish", "entry", "published", "size")

    def __init__(
        self, entry: Entry, size: int, publish: Publish, published: "asyncio.Future[None]"
    ) -> None:
        self.entry = entry
        self.size = size
        self._publish: Publish | None = publish
        self.published = published

    def publish(self) -> bool:
        """Publish, once; return whether this was the time. Its error is the waiting caller's."""
        if self._publish is None:
            return False
        publish, self._publish = self._publish, None
        try:
            publish()
        except Exception as error:  # noqa: BLE001 - raised where the frame was accepted
            if not self.published.done():
                self.published.set_exception(error)
        if not self.published.done():
            self.published.set_result(None)
        return True
