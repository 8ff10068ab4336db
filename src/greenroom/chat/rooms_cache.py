"""A read-through cache of rooms, so that a message costs no trip to the store.

- An entry is dropped when the bus says that its room changed; nobody polls.
- Where others change rooms, one may die between its change and its word. So an entry that is used
  after `backstop_seconds` is loaded again, and serves until that is done.
- A load that was under way when its room changed is not kept: its answer may be the old one.
- At the bound the least recently loaded entry goes, and is counted in `evicted`.
- Which rooms were deleted is remembered for as long as a connection to one may last; at the bound
  the one that was deleted first goes, and is counted in `evicted_deleted`.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager

from greenroom.bus.base import Control, RoomChanged, RoomDeleted
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.chat_token import LONGEST_SESSION_SECONDS
from greenroom.model.errors import ResourceNotFoundException
from greenroom.model.room import Room
from greenroom.storage.rooms import Rooms

MAXIMUM_ROOMS = 10_000
"""Rooms kept at once: about 1 KB each."""


class RoomsCache:
    """Rooms by their ARN; absence is remembered too."""

    def __init__(
        self,
        rooms: Rooms,
        control: Control,
        tasks: asyncio.TaskGroup,
        maximum: int = MAXIMUM_ROOMS,
        clock: Clock | None = None,
        backstop_seconds: float = 0,
    ) -> None:
        """Make it empty; a backstop of 0 seconds is none."""
        self._kept = rooms
        self._tasks = tasks
        self._maximum = maximum
        self._clock = clock or Clock()
        self.evicted = self.evicted_deleted = 0
        # When, on the monotonic clock, the last connection of each has ended.
        self._deleted: OrderedDict[str, float] = OrderedDict()
        self._rooms: OrderedDict[str, Room | None] = OrderedDict()
        self._backstop = backstop_seconds
        # When each was loaded, where that counts.
        self._loaded: dict[str, float] = {}
        self._loads: dict[str, asyncio.Task[Room | Exception | None]] = {}
        self._held: Counter[str] = Counter()
        self.resets = 0
        """How often everything was forgotten."""
        control.on(RoomChanged, lambda envelope: self.forget(envelope.room))
        control.on(RoomDeleted, lambda envelope: self.note_deleted(envelope.room))
        control.on_reset(self.clear)

    def __len__(self) -> int:
        return len(self._rooms)

    def peek(self, arn: str) -> Room:
        """Return a room that the cache knows, without a trip to the store.

        Raises:
            ResourceNotFoundException: the cache knows that there is none.
            KeyError: the cache does not know.
        """
        room = self._rooms[arn]
        if self._backstop:
            self._load_if_old(arn)
        if room is None:
            raise Arn.parse(arn).not_found()
        return room

    async def get(self, arn: str) -> Room:
        """Return the room, from the store when the cache does not know it.

        Raises:
            ResourceNotFoundException: there is none.
            StorageUnavailable: the store cannot say.
        """
        if arn in self._rooms:
            return self.peek(arn)
        load = self._loads.get(arn)
        if load is None:
            load = self._begin_load(arn)
        # Whoever is cancelled leaves the load to the others.
        found = await asyncio.shield(load)
        if isinstance(found, Exception):
            raise found
        if found is None:
            raise Arn.parse(arn).not_found()
        return found

    def read_ahead(self, arn: str) -> None:
        """Have a room that the cache does not know read from the store."""
        if arn not in self._rooms and arn not in self._loads:
            _ = self._begin_load(arn)

    def forget(self, arn: str) -> None:
        """Drop what is known of the room, and what a load under way is about to learn."""
        self._rooms.pop(arn, None)
        self._loads.pop(arn, None)
        self._loaded.pop(arn, None)

    def clear(self) -> Awaitable[object] | None:
        """Forget every room, and what loads under way are about to learn.

        Those that are held are read again at once; return what is done by then, if any are.
        """
        self.resets += 1
        self._rooms.clear()
        self._loads.clear()
        self._loaded.clear()
        # Who waits for them no longer leaves them to end: requests may wait for the same.
        loads = [asyncio.shield(self._begin_load(arn)) for arn in self._held]
        return asyncio.gather(*loads) if loads else None

    @contextmanager
    def held(self, arn: str) -> Iterator[None]:
        """Have the room read again as soon as everything is forgotten."""
        self._held[arn] += 1
        try:
            yield
        finally:
            self._held[arn] -= 1
            if not self._held[arn]:
                del self._held[arn]

    def note_deleted(self, arn: str) -> None:
        """Forget the room, and remember that there was one: it may have connections yet."""
        self.forget(arn)
        self._deleted[arn] = self._clock.monotonic() + LONGEST_SESSION_SECONDS
        if len(self._deleted) > self._maximum:
            _, until = self._deleted.popitem(last=False)
            self.evicted_deleted += until > self._clock.monotonic()

    def may_have_connections(self, arn: str) -> bool:
        """Return whether the room was deleted so lately that somebody may still be in it."""
        return self._deleted.get(arn, 0.0) > self._clock.monotonic()

    def _load_if_old(self, arn: str) -> None:
        now = self._clock.monotonic()
        if now - self._loaded[arn] >= self._backstop and arn not in self._loads:
            # A store that is away is asked again after as long: what is known holds meanwhile.
            self._loaded[arn] = now
            _ = self._begin_load(arn)

    def _begin_load(self, arn: str) -> asyncio.Task[Room | Exception | None]:
        load = self._loads[arn] = self._tasks.create_task(self._load(arn))
        return load

    async def _load(self, arn: str) -> Room | Exception | None:
        """Return what the store says; an error, too: raised here, it would end the whole group."""
        this = asyncio.current_task()
        found: Room | Exception | None
        try:
            found = await self._kept.get(Arn.parse(arn))
        except ResourceNotFoundException:
            found = None
        except Exception as error:  # noqa: BLE001 - `get` raises it, to each who waits
            found = error
        finally:
            is_latest = self._loads.get(arn) is this
            if is_latest:
                del self._loads[arn]
        if is_latest and not isinstance(found, Exception):
            self._keep(arn, found)
        return found

    def _keep(self, arn: str, room: Room | None) -> None:
        self._rooms[arn] = room
        self._rooms.move_to_end(arn)
        if self._backstop:
            self._loaded[arn] = self._clock.monotonic()
        if len(self._rooms) > self._maximum:
            oldest, _ = self._rooms.popitem(last=False)
            self._loaded.pop(oldest, None)
            self.evicted += 1
