"""Which users are in a room, by name, for the many who may ask: read once, for all of a second.

A list is of all nodes, each of which answers. However often and from wherever in it a room's users
ask, this node asks the others once a second for that room, and once at a time.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import msgspec
import structlog

from greenroom.chat.user_lists import UserLists
from greenroom.clock import Clock
from greenroom.model.errors import ServiceUnavailableException

FRESH_SECONDS = 1.0
"""How long a list is good, from when it was begun."""

Names = Sequence[str]

log = structlog.get_logger()


class _Read(msgspec.Struct):
    """A list that is being read, or was; its result is None if that was not possible."""

    names: asyncio.Future[Names | None]
    until: float


class RecentNames:
    """Keeps what was read in the last second."""

    def __init__(self, users: UserLists, clock: Clock, tasks: asyncio.TaskGroup) -> None:
        """Make it; `tasks` owns what is being read, whoever waits for it."""
        self._users = users
        self._clock = clock
        self._tasks = tasks
        # The one begun first is the first.
        self._reads: OrderedDict[str, _Read] = OrderedDict()

    async def of(self, room_arn: str, most: int) -> Names:
        """Return the ids of the users in a room, in their order, so many at most.

        Raises:
            ServiceUnavailableException: another node does not answer.
        """
        read = self._reads.get(room_arn)
        if read is None or self._is_over(read):
            read = self._begin(room_arn, most)
        # Others wait for it, too: it goes on if this one's connection ends.
        names = await asyncio.shield(read.names)
        if names is None:
            raise ServiceUnavailableException("Which users are there cannot be said now")
        return names

    def _is_over(self, read: _Read) -> bool:
        return read.names.done() and self._clock.monotonic() >= read.until

    def _begin(self, room_arn: str, most: int) -> _Read:
        self._reads.pop(room_arn, None)
        while self._reads and self._is_over(next(iter(self._reads.values()))):
            self._reads.popitem(last=False)
        until = self._clock.monotonic() + FRESH_SECONDS
        read = _Read(asyncio.get_running_loop().create_future(), until)
        self._reads[room_arn] = read
        self._tasks.create_task(self._read(room_arn, most, read.names))
        return read

    async def _read(self, room_arn: str, most: int, names: asyncio.Future[Names | None]) -> None:
        found: Names | None = None
        try:
            page = await self._users.page(room_arn, "", most, names_only=True)
            found = [each.user_id for each in page]
        except ServiceUnavailableException:
            pass  # Those who wait are told.
        except Exception as error:
            # Raised here, it would end the node.
            log.exception("users could not be listed", error=type(error).__name__)
        finally:
            names.set_result(found)
