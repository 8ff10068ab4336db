"""The port to what a bus has stored: streams, in which messages of rooms stand in their order.

A room's messages are all in one stream. They are kept for a time, `KEPT_SECONDS`, and read by who
keeps them for longer: see `chatlog.tail`.

- **Order.** Sequence numbers rise in the order in which messages were stored, and so do stamps. The
  order of each room is that of its stream.
- **The end may be lost.** A stream whose servers lost power may come back without its newest
  messages, and give their numbers again; the stamps tell.
- **Late, never wrong.** `read` may be answered by a server that has not got the newest messages
  yet, and `state` by one that led the others until a few seconds ago; `end` is not.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec

from greenroom.bus.base import RoomEnvelope

KEPT_SECONDS = 3600
"""How long a stream keeps a message: the longest that its readers may be away."""


class Stored(msgspec.Struct, frozen=True):
    """A message of a stream; `stamp_ns` is when it was stored, in nanoseconds since the epoch."""

    sequence: int
    stamp_ns: int
    room: str
    envelopes: Sequence[RoomEnvelope]


class StreamState(msgspec.Struct, frozen=True):
    """What a stream holds: `first` is the number of its oldest message, `last` of its newest.

    `first` is `last + 1` when it holds nothing. `created` tells the stream from one of the same
    name that took its place.
    """

    created: str
    first: int
    last: int


class Hearing(Protocol):
    """Waits for a word that something was stored in a stream; the first one is all it takes."""

    told: asyncio.Event
    """Set by the word; perhaps for nothing."""

    async def end(self) -> None:
        """Wait no more."""


class Streams(Protocol):
    """Reads streams, which are numbered from 0.

    Each call raises StreamUnavailable when no server answers.
    """

    @property
    def count(self) -> int:
        """Return how many streams there are."""

    def stream_of(self, room: str) -> int:
        """Return which stream a room, named by its ARN, is in."""

    async def state(self, stream: int) -> StreamState:
        """Return what the stream holds now."""

    async def end(self, stream: int) -> StreamState:
        """Return what the stream holds, with all that was stored before the call.

        It costs a message that shows nothing and does not count, and cannot be had while the
        stream stores none.
        """

    async def read(self, stream: int, first: int) -> list[Stored]:
        """Return the oldest messages whose number is `first` at least: some, or none if none are.

        Does not wait for one. How many is the adapter's choice, bounded in bytes, but two at least
        where there are two.
        """

    async def read_after(self, stream: int, stamp_ns: int) -> list[Stored]:
        """Return the oldest messages that were stored after that time, like `read`."""

    async def hear(self, stream: int) -> Hearing:
        """Wait for a word of what is stored from now on.

        Seldom there is none: who waits reads all the same, now and then. What was stored before is
        told by a read that begins now.
        """


class StreamUnavailable(Exception):
    """No server of the stream answers now; `str` of it is fit for a log line."""
