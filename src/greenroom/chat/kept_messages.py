"""The messages that a room keeps, page by page: for who moderates it, or shows it elsewhere.

Read from the store alone, which has everything by then that was shown before the call: who keeps it
there is waited for.
"""

from collections.abc import Awaitable, Sequence
from typing import Protocol

import msgspec

from greenroom.chat.history import HOUR_NS
from greenroom.clock import Clock
from greenroom.model.room_settings import RoomSettings
from greenroom.storage.history import History, Query, StoredFrame

AT_ONCE = 1_000
"""Frames that are read at once."""


class CatchUp(Protocol):
    """Waits for who keeps what rooms show."""

    def __call__(self, room: str, /, *, surely: bool = True) -> Awaitable[bool]:
        """Return when all is in the store that was shown in a room before.

        Also whether nothing is missing behind what is there. Unless it is to be so `surely`, what
        was shown in the last seconds may be missing while servers of a cluster fail.

        Raises:
            ServiceUnavailableException: that takes too long.
        """


class Page(msgspec.Struct, frozen=True):
    """Messages in the order that was asked for; `next` is where the next page begins, 0: nowhere.

    `recovered`: nothing is missing behind the message that was named, None if none was.
    """

    messages: Sequence[StoredFrame]
    next: int = 0
    recovered: bool | None = None


_NOTHING = Page(())


class KeptMessages:
    """Reads them; a room's limits hold for what was not removed yet, too."""

    def __init__(self, history: History, catch_up: CatchUp, clock: Clock) -> None:
        self._history = history
        self._catch_up = catch_up
        self._clock = clock

    async def catch_up(self, room: str) -> bool:
        """Wait until all is in the store that was shown in a room before, surely: see `CatchUp`."""
        return await self._catch_up(room)

    async def page(
        self,
        room: str,
        settings: RoomSettings,
        query: Query,
        limit: int,
        *,
        since: str = "",
        before: str = "",
    ) -> Page:
        """Return messages that a query asks for: with `since` those behind an id, oldest first.

        With `before` those before an id, the newest first: none if nobody knows where that was.

        Raises:
            ServiceUnavailableException: what was shown last is not kept yet, or cannot be read.
        """
        # Who goes on behind an id is told whether anything is missing.
        continues = await self._catch_up(room, surely=bool(since))
        if not settings.history_messages:
            return msgspec.structs.replace(_NOTHING, recovered=False if since else None)
        window = Query(
            least=await self._history.beyond(room, settings.history_messages) + 1,
            from_ns=self._clock.wall_ns() - settings.history_hours * HOUR_NS,
        )
        recovered = None
        if before:
            number = await self._history.number(room, before)
            if number <= 1:
                return _NOTHING
            most = number - 1 if not query.most else min(query.most, number - 1)
            query = msgspec.structs.replace(query, most=most)
        if since:
            query, recovered = await self._since(room, query, since, window)
            if not recovered and not query.least:
                return msgspec.structs.replace(_NOTHING, recovered=False)
        query = msgspec.structs.replace(
            query,
            least=max(query.least, window.least),
            from_ns=max(query.from_ns, window.from_ns),
        )
        found = await self._history.messages(room, query, limit + 1)
        following = found[limit].number if len(found) > limit else 0
        return Page(found[:limit], following, recovered and continues)

    async def of_author(self, room: str, author: str, from_ns: int) -> list[StoredFrame]:
        """Return all that a user wrote from a time on, oldest first; what is deleted is left out.

        The room's limits leave out nothing: what was not removed yet may come back with others.

        Raises:
            ServiceUnavailableException: as for `page`.
        """
        await self._catch_up(room, surely=False)
        query = Query(author=author, from_ns=from_ns, oldest_first=True)
        found: list[StoredFrame] = []
        while True:
            some = await self._history.messages(room, query, AT_ONCE)
            found += some
            if len(some) < AT_ONCE:
                return found
            query = msgspec.structs.replace(query, least=some[-1].number + 1)

    async def _since(
        self, room: str, query: Query, since: str, window: Query
    ) -> tuple[Query, bool]:
        """Return the query for what is behind an id, and whether nothing of that is missing."""
        number = await self._history.number(room, since)
        if not number:
            return msgspec.structs.replace(query, oldest_first=True), False
        least = max(query.least, number + 1)
        query = msgspec.structs.replace(query, least=least, oldest_first=True)
        is_whole = await self._history.is_whole(room, number)
        return query, is_whole and await self._is_within(room, least, window)

    async def _is_within(self, room: str, least: int, window: Query) -> bool:
        """Return whether what a room's limits leave out has no message from a number on."""
        first = await self._history.messages(room, Query(least=least, oldest_first=True), 1)
        return all(
            each.number >= window.least and each.frame.time_ns >= window.from_ns for each in first
        )
