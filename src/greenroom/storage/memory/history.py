"""What rooms have shown, in memory."""

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

import msgspec

from greenroom.model.kept_frame import MOST_DELETIONS
from greenroom.storage.history import (
    TRIMMED_AT_ONCE,
    Extent,
    Kept,
    Newest,
    Query,
    Shown,
    StoredFrame,
)
from greenroom.storage.memory.opened import Opened


class _Room(msgspec.Struct):
    """A room's frames by number."""

    frames: dict[int, StoredFrame] = {}
    newest: int = 0
    is_ended: bool = True


class MemoryHistory:
    """`History` in dictionaries."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._rooms: dict[str, _Room] = {}

    async def resume(self) -> frozenset[str]:
        self._opened.check()
        settled = frozenset(name for name, room in self._rooms.items() if not room.is_ended)
        for room in self._rooms.values():
            room.is_ended = True
        return settled

    async def append(self, kept: Sequence[Kept]) -> None:
        self._opened.check()
        for each in kept:
            if each.only_if_any and each.room not in self._rooms:
                continue
            room = self._rooms.setdefault(each.room, _Room())
            room.newest += 1
            room.frames[room.newest] = StoredFrame(room.newest, each.frame, each.begins)
            for number, other in room.frames.items() if each.frame.deletes else ():
                if other.frame.id in each.frame.deletes:
                    room.frames[number] = msgspec.structs.replace(other, is_deleted=True)

    async def take(self, shown: Shown) -> None:
        """Keep what a stream has shown."""
        if shown.is_broken:
            await self.resume()
        ended = {each.room for each in shown.kept if self._find(each.room).is_ended}
        for each in shown.kept:
            begins = each.begins or (each.room in ended and self._find(each.room).newest > 0)
            ended.discard(each.room)
            await self.append([msgspec.structs.replace(each, begins=begins)])
        await self.settle({each.room for each in shown.kept})
        for name in shown.ended:
            if name in self._rooms:
                self._rooms[name].is_ended = True

    async def settle(self, rooms: Collection[str]) -> None:
        self._opened.check()
        for name in rooms:
            if name in self._rooms:
                self._rooms[name].is_ended = False

    async def newest(self, room: str, count: int) -> Newest:
        found = self._find(room)
        if not found.newest:
            return Newest()
        beyond = await self.beyond(room, count)
        frames = tuple(each for each in found.frames.values() if each.number > beyond)
        return Newest(frames, found.is_ended)

    async def beyond(self, room: str, count: int) -> int:
        frames = list(self._find(room).frames.values())
        left = count
        for index, each in enumerate(reversed(frames)):
            left -= not each.frame.deletes
            if left < 0 or index == count + MOST_DELETIONS:
                return each.number
        return frames[0].number - 1 if frames else 0

    async def messages(self, room: str, query: Query, limit: int) -> Sequence[StoredFrame]:
        frames = self._find(room).frames.values()
        ordered = frames if query.oldest_first else reversed(frames)
        return list(islice((each for each in ordered if _matches(each, query)), limit))

    async def number(self, room: str, frame_id: str) -> int:
        frames = self._find(room).frames.values()
        return next((each.number for each in frames if each.frame.id == frame_id), 0)

    async def is_whole(self, room: str, number: int) -> bool:
        frames = self._find(room).frames.values()
        return not any(each.begins for each in frames if each.number > number)

    async def extents(self, after: str, limit: int) -> Sequence[Extent]:
        self._opened.check()
        return list(islice(self._extents(after), limit))

    def _extents(self, after: str) -> Iterator[Extent]:
        for name, room in sorted(self._rooms.items()):
            if name > after:
                oldest = next(iter(room.frames.values()), None)
                if oldest is None:
                    yield Extent(name, room.newest + 1, room.newest, 0)
                else:
                    yield Extent(name, oldest.number, room.newest, oldest.frame.time_ns)

    async def trim(self, room: str, up_to: int, older_than_ns: int) -> int:
        frames = self._find(room).frames
        oldest = list(islice(frames.values(), TRIMMED_AT_ONCE))
        removed = 0
        for each in oldest:
            if each.number > up_to and each.frame.time_ns >= older_than_ns:
                break
            del frames[each.number]
            removed += 1
        return removed

    async def forget(self, room: str) -> None:
        self._opened.check()
        self._rooms.pop(room, None)

    def _find(self, room: str) -> _Room:
        self._opened.check()
        return self._rooms.get(room) or _Room()


def _matches(stored: StoredFrame, query: Query) -> bool:
    frame = stored.frame
    return (
        frame.action == "SendMessage"
        and (not query.least or stored.number >= query.least)
        and (not query.most or stored.number <= query.most)
        and (not query.from_ns or frame.time_ns >= query.from_ns)
        and (not query.to_ns or frame.time_ns <= query.to_ns)
        and (not query.author or frame.author == query.author)
        and (query.with_deleted or not stored.is_deleted)
        and (not query.root or frame.id == query.root or query.mark in frame.payload)
    )
