"""The port to what rooms have shown; its guarantees are those of `storage.base`, and these.

- **Order.** The frames of a room have numbers that rise by one, in the order in which they were
  appended, and are never given again while the room has any.
- **Gaps are known.** A frame that `begins` may have something missing before it, and so may
  whatever comes behind a room's newest that `is_ended`.
- **One process.** Who has the store alone calls `resume` at its start and `settle` at its end: what
  was not settled, because it died, is ended in all rooms.
- **Deletion.** A frame that deletes messages marks them; they keep their content until they are
  trimmed, and are told apart. Where frames are counted it does not count, up to `MOST_DELETIONS`.
"""

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from greenroom.model.held_message import HeldMessage
from greenroom.model.kept_frame import KeptFrame
from greenroom.model.message import REPLY_ROOT

TRIMMED_AT_ONCE = 5_000
"""Frames that one call removes at most: no other caller waits long for the store."""


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A frame of a room, named by its ARN; `begins`: something before it may be missing.

    `only_if_any`: it is kept where something of the room is, and else it is not.
    """

    room: str
    frame: KeptFrame
    begins: bool = False
    only_if_any: bool = False


class StoredFrame(msgspec.Struct, frozen=True, gc=False):
    """A frame with its number."""

    number: int
    frame: KeptFrame
    begins: bool = False
    is_deleted: bool = False


class Newest(msgspec.Struct, frozen=True):
    """The newest frames of a room, oldest first, and whether something may be missing behind."""

    frames: Sequence[StoredFrame] = ()
    is_ended: bool = False

    @property
    def in_order(self) -> list[KeptFrame]:
        """Return the frames without their numbers."""
        return [each.frame for each in self.frames]

    @property
    def more(self) -> bool:
        """Return whether there may be earlier ones."""
        return bool(self.frames) and self.frames[0].number > 1

    def begin(self, *, ended: bool) -> int:
        """Return the index from which on nothing is missing, also behind; their number: none."""
        if ended:
            return len(self.frames)
        return max((index for index, each in enumerate(self.frames) if each.begins), default=0)


class Shown(msgspec.Struct, frozen=True):
    """What a stream has shown: frames to keep, and rooms that are ended behind them.

    `is_broken`: all rooms are ended before them, because some of the stream was lost. `held` are
    messages that wait from now on, `released` those that no longer do, by their rooms and ids.
    """

    kept: Sequence[Kept] = ()
    ended: Sequence[str] = ()
    is_broken: bool = False
    held: Sequence[HeldMessage] = ()
    released: Sequence[tuple[str, str]] = ()


NOTHING_SHOWN = Shown()


class Extent(msgspec.Struct, frozen=True):
    """What a room has: the numbers of its oldest and newest frame, and when the oldest was."""

    room: str
    oldest: int
    newest: int
    oldest_ns: int


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages of a room: numbers and times are bounds that belong to them, 0 is none.

    With `root` those of a thread: the message with that id, and the replies that name it.
    """

    least: int = 0
    most: int = 0
    from_ns: int = 0
    to_ns: int = 0
    author: str = ""
    with_deleted: bool = False
    oldest_first: bool = False
    root: str = ""

    @property
    def mark(self) -> bytes:
        """Return the bytes that replies of the thread hold, as JSON, and no other message does.

        No client sets the attribute, and in a text its quotation marks would be escaped.
        """
        return f'"{REPLY_ROOT}":"{self.root}"'.encode()


class History(Protocol):
    """Frames by room and number."""

    async def resume(self) -> frozenset[str]:
        """Return the rooms whose frames nothing is missing behind; from now on all are ended."""

    async def append(self, kept: Sequence[Kept]) -> None:
        """Keep frames, all or none."""

    async def settle(self, rooms: Collection[str]) -> None:
        """Have nothing be missing behind the newest frames of these rooms."""

    async def newest(self, room: str, count: int) -> Newest:
        """Return the newest frames, so many that count."""

    async def beyond(self, room: str, count: int) -> int:
        """Return the number of the newest frame that is not among these, 0 if there is none."""

    async def messages(self, room: str, query: Query, limit: int) -> Sequence[StoredFrame]:
        """Return so many of the messages that a query asks for, the newest first or the oldest."""

    async def number(self, room: str, frame_id: str) -> int:
        """Return the number of a frame, 0 if the room has none with that id."""

    async def is_whole(self, room: str, number: int) -> bool:
        """Return whether none of a room's frames behind a number begins."""

    async def extents(self, after: str, limit: int) -> Sequence[Extent]:
        """Return what rooms have, of so many rooms, in the order of their ARNs, behind one."""

    async def trim(self, room: str, up_to: int, older_than_ns: int) -> int:
        """Remove the oldest frames, up to a number or older than a time; return how many.

        `TRIMMED_AT_ONCE` at most.
        """

    async def forget(self, room: str) -> None:
        """Remove all that is kept of a room."""
