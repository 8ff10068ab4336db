"""Messages that wait, in memory, in their order."""

from collections.abc import Collection, Sequence

import msgspec

from greenroom.model.held_message import HeldMessage
from greenroom.storage.held_messages import Numbered
from greenroom.storage.memory.opened import Opened


class MemoryHeldMessages:
    """`HeldMessages` in a dictionary."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._number = 0
        self._kept: dict[tuple[str, str], Numbered] = {}

    async def add(self, messages: Sequence[HeldMessage]) -> None:
        self._opened.check()
        for each in messages:
            if (each.room, each.id) not in self._kept:
                self._number += 1
                self._kept[each.room, each.id] = self._number, each

    async def rooms(self) -> Sequence[str]:
        self._opened.check()
        return list({room for room, _ in self._kept})

    async def waiting(
        self, after: int, limit: int, rooms: Sequence[str] | None = None
    ) -> Sequence[Numbered]:
        self._opened.check()
        return [
            (number, each)
            for number, each in self._kept.values()
            if number > after and (rooms is None or each.room in rooms)
        ][:limit]

    async def of_room(self, room: str, author: str = "") -> Sequence[HeldMessage]:
        self._opened.check()
        return [
            msgspec.structs.replace(each, payload=b"", marked=b"")
            for _, each in self._kept.values()
            if each.room == room and author in ("", each.author)
        ]

    async def remove(self, room: str, ids: Collection[str]) -> None:
        self._opened.check()
        for each in ids:
            self._kept.pop((room, each), None)

    def note_recorded(self, room: str, message_id: str) -> None:
        """Take note that chat logs have one."""
        found = self._kept.get((room, message_id))
        if found is not None:
            number, message = found
            noted = msgspec.structs.replace(message, is_recorded=True)
            self._kept[room, message_id] = number, noted
