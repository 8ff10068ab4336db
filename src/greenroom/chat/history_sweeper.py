"""Removes from the store what rooms no longer keep: too old, too many, of rooms that are gone."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

import structlog

from greenroom.chat.history import HOUR_NS
from greenroom.clock import Clock
from greenroom.model.arn import Arn
from greenroom.model.errors import ResourceNotFoundException
from greenroom.model.room_settings import DEFAULTS, RoomSettings, effective
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.history import TRIMMED_AT_ONCE, Extent, History
from greenroom.storage.rooms import Rooms

SWEEP_SECONDS = 300
"""How often all rooms are looked at."""

ROOMS_AT_ONCE = 200

log = structlog.get_logger()


class Turn(Protocol):
    """Whether this node is the one that sweeps now."""

    @property
    def held(self) -> bool: ...


class _Always:
    held = True


Turns = Callable[[], AbstractAsyncContextManager[Turn]]


class HistorySweeper:
    """Looks at each room that has something kept; `tick` begins a sweep."""

    def __init__(
        self,
        history: History,
        rooms: Rooms,
        clock: Clock,
        tasks: asyncio.TaskGroup,
        turn: Turns = lambda: nullcontext(_Always()),
    ) -> None:
        """Make it; `turn` gives one node at a time the turn, where several have one store."""
        self._history = history
        self._rooms = rooms
        self._clock = clock
        self._tasks = tasks
        self._turn = turn
        self._sweeping: asyncio.Task[None] | None = None

    def tick(self) -> None:
        """Sweep, unless the last sweep is still under way."""
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = self._tasks.create_task(self._sweep())

    async def _sweep(self) -> None:
        try:
            async with self._turn() as turn:
                if turn.held:
                    await self.sweep()
        except StorageUnavailable:
            log.warning("what is over of rooms' history cannot be removed now")
        except Exception as error:
            # An exception that left this task would end the node.
            log.exception("the sweep of rooms' history crashed", error=type(error).__name__)

    async def sweep(self) -> None:
        """Look at all rooms.

        Raises:
            StorageUnavailable: the store cannot now.
        """
        after = ""
        while extents := await self._history.extents(after, ROOMS_AT_ONCE):
            for extent in extents:
                await self._tidy(extent)
            after = extents[-1].room

    async def _tidy(self, extent: Extent) -> None:
        settings = await self._settings(extent.room)
        if not settings.history_messages:
            await self._history.forget(extent.room)
            return
        up_to = 0
        if extent.newest - extent.oldest >= settings.history_messages:
            up_to = await self._history.beyond(extent.room, settings.history_messages)
        older_than_ns = self._clock.wall_ns() - settings.history_hours * HOUR_NS
        if extent.oldest <= up_to or extent.oldest_ns < older_than_ns:
            trim = self._history.trim
            while await trim(extent.room, up_to, older_than_ns) >= TRIMMED_AT_ONCE:
                continue

    async def _settings(self, room_arn: str) -> RoomSettings:
        """Return what holds in a room; one that is gone keeps nothing."""
        try:
            room = await self._rooms.get(Arn.parse(room_arn))
        except ResourceNotFoundException:
            return DEFAULTS
        return effective(room.tags, room.overrides, self._clock.now_ms()).settings
