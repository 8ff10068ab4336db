"""The history of rooms whose frames many nodes publish: readers of the streams keep it.

What a tail reads of a stream it keeps in the store with its place there. So all is kept that was
shown before that place: who wants everything waits until the tail has been there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from greenroom.bus.base import MOST_KEPT, History, Older, Stage
from greenroom.bus.kept import held_of, kept_of, older_of
from greenroom.bus.streams import Stored, Streams, StreamUnavailable
from greenroom.model.held_message import HeldMessage
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.history import History as Store
from greenroom.storage.history import Kept, Shown
from greenroom.storage.journal import SharedJournal

LOOK_SECONDS = 0.05
LOOKS = 30
"""How often, and how long apart, it is looked whether a tail has been somewhere."""

MOST_TOLD = 50_000
"""Rooms without history that a tail remembers to have told the store of."""


class StreamedHistory:
    """Reads what is kept, when everything is."""

    def __init__(
        self,
        streams: Streams,
        journal: SharedJournal,
        store: Store,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._streams, self._journal, self._store, self._sleep = streams, journal, store, sleep

    async def catch_up(self, room: str, *, surely: bool = True) -> bool:
        """Wait until all is kept that was published in a room; return whether it is not ended.

        Unless it is to be so `surely`, some of what was published in the last seconds may not be
        kept yet where a server of the bus is cut off from the others, or was just chosen to lead.

        Raises:
            StorageUnavailable: that takes too long, or nobody can say.
        """
        is_whole = await self._reach(room, surely=surely)
        return is_whole and not (await self._store.newest(room, 0)).is_ended

    async def older(self, room: str) -> Older:
        """Return what is kept of a room, when that is all that was published by now.

        Raises:
            StorageUnavailable: it cannot be read now.
        """
        is_whole = await self._reach(room, surely=True)
        found = await self._store.newest(room, MOST_KEPT)
        begin = found.begin(ended=found.is_ended or not is_whole)
        return older_of(found.in_order, begin, more=found.more)

    async def _reach(self, room: str, *, surely: bool) -> bool:
        """Wait until a tail has read a room's stream; return whether it has not lost any of it.

        A stream that holds nothing that a tail has not read has nothing to wait for: the next
        message will say what is missing before it.
        """
        stream, streams = self._streams.stream_of(room), self._streams
        try:
            state = await (streams.end(stream) if surely else streams.state(stream))
        except StreamUnavailable as error:
            raise StorageUnavailable(f"the room's stream cannot be read: {error}") from None
        for _ in range(LOOKS):
            position = await self._journal.position(stream)
            if position is None and not state.last:
                return True
            if (
                position is not None
                and position.created == state.created
                and position.sequence >= state.last
            ):
                return True
            if state.first > state.last:
                return False
            await self._sleep(LOOK_SECONDS)
        raise StorageUnavailable("what was shown last is not kept yet")


class Marks:
    """What of a stream's messages is kept, and which rooms are known to the store to be ended."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def shown(self, messages: Iterable[Stored], *, is_broken: bool) -> Shown:
        """Return what the store is to know of messages; `is_broken`: some before are missing."""
        kept: list[Kept] = []
        ended: set[str] = set()
        held: list[HeldMessage] = []
        released: list[tuple[str, str]] = []
        for message in messages:
            for envelope in message.envelopes:
                if envelope.stage.waits:
                    held.append(held_of(message.room, envelope))
                elif envelope.stage is Stage.RELEASED:
                    released.append((message.room, envelope.id))
                released += [(message.room, each) for each in envelope.deletes]
                if envelope.history is History.KEPT:
                    begins = message.room in ended
                    kept.append(Kept(message.room, kept_of(envelope), begins))
                    ended.discard(message.room)
                elif envelope.history is History.NONE:
                    ended.add(message.room)
                    if envelope.deletes:
                        # Else its message would be back when history is on again.
                        deletion = Kept(message.room, kept_of(envelope), True, only_if_any=True)
                        kept.append(deletion)
        last = {each.room for each in kept}
        news = tuple(room for room in ended if self._is_news(room, last))
        return Shown(kept, news, is_broken, held, released)

    def _is_news(self, room: str, kept: set[str]) -> bool:
        return room in kept or room not in self._told

    def learn(self, shown: Shown) -> None:
        """Take note of what the store knows by now."""
        if len(self._told) > MOST_TOLD:
            self._told.clear()
        self._told.difference_update(each.room for each in shown.kept)
        self._told.update(shown.ended)
