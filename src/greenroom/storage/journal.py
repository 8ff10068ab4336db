"""The port to the journal: what chat logging has accepted and no destination keeps yet.

It is one queue for each logging configuration. A record names the configurations that its room had
when it was accepted, so that changing a room afterwards neither loses nor doubles anything.

- **Durability, atomicity, errors**: as for the store that it belongs to. When `append` returns,
  the records survive the death of the process; when it raises StorageUnavailable, none is kept.
- **Order.** A queue's records come out in the order in which `append` got them.
- **The same batch again.** `batch` keeps where its batch ends. Until `delivered` or `drop` ends
  that batch, the call returns exactly the same records, also after a restart.
- **Sequence numbers** increase and are never given again while the store exists.

Where several nodes share a store, its journal is a `SharedJournal`: records are read from streams
into it, each stream by one node at a time, and each queue is delivered by one.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from greenroom.model.arn import Arn
from greenroom.model.log_record import Record
from greenroom.storage.history import NOTHING_SHOWN, Shown
from greenroom.storage.leases import Leases

MAXIMUM_RECORDS = 5_000
"""The most records that one call takes from a queue: no other caller waits long for the store."""


class Entry(msgspec.Struct, frozen=True):
    """What one accepted frame adds: a record for each configuration.

    The configurations are of the room's account and region. `time_ns` is the frame's SendTime in
    nanoseconds since the epoch. `held_id` is that of the message that had waited and is shown now:
    that chat logs have it is kept with its record.
    """

    room: Arn
    configurations: tuple[Arn, ...]
    time_ns: int
    payload: bytes
    held_id: str = ""


class Backlog(msgspec.Struct, frozen=True):
    """How much waits in a configuration's queue; `size` is bytes of payload.

    `oldest_ns` is the time of the first record, 0 when there is none.
    """

    records: int = 0
    size: int = 0
    oldest_ns: int = 0


class Removed(msgspec.Struct, frozen=True):
    """What was removed from a queue, and the time of the oldest record that remains, or 0."""

    records: int = 0
    size: int = 0
    oldest_ns: int = 0


class Journal(Protocol):
    """Queues of records, one for each logging configuration."""

    @property
    def durable(self) -> bool:
        """Whether what is kept outlives the process."""

    async def append(self, entries: Sequence[Entry]) -> None:
        """Add records, all or none."""

    async def backlogs(self) -> dict[Arn, Backlog]:
        """Return what waits for each configuration for which something waits."""

    async def batch(self, configuration: Arn, maximum_size: int) -> list[Record]:
        """Return the present batch, or make the next one: the oldest records, if there are any.

        It ends before a record that would bring its payload over `maximum_size` bytes, but has at
        least one, and MAXIMUM_RECORDS at most.
        """

    async def delivered(self, configuration: Arn, last: int) -> Removed:
        """Remove the present batch, whose last sequence number is given.

        Without such a batch nothing changes.
        """

    async def drop(self, configuration: Arn, keep_size: int, older_than_ns: int = 0) -> Removed:
        """Remove the oldest records.

        Those go that make the queue larger than `keep_size` bytes or are older than the given
        time, up to MAXIMUM_RECORDS in one call. The present batch goes whole or stays whole.
        """


class StreamPosition(msgspec.Struct, frozen=True):
    """The message up to which a stream was read.

    `created` tells the stream from another one of its name. `stamp_ns` is when the stream stored
    the message, in nanoseconds since the epoch: it tells the message from another one of the same
    number, because a stream that lost its end gives numbers again.
    """

    created: str
    sequence: int
    stamp_ns: int


class SharedJournal(Journal, Leases, Protocol):
    """A journal that several nodes share.

    - **Once.** `append_from` is a compare-and-set: of all who read the same messages of a stream,
      one adds their records.
    - **Order.** Records of one stream stand in the stream's order, those of different streams in
      any. A batch takes what was added when it is made; of each stream nothing is left out before
      what it takes.
    """

    async def position(self, stream: int) -> StreamPosition | None:
        """Return up to where the stream was read; None when it never was."""

    async def append_from(
        self,
        stream: int,
        expected: StreamPosition | None,
        last: StreamPosition,
        entries: Sequence[Entry],
        shown: Shown = NOTHING_SHOWN,
    ) -> bool:
        """Move the stream's position from `expected` to `last`, and add records and history.

        What is to wait is added to the messages that do, and what no longer does is removed. All or
        none. The first frame of a room that is ended begins, and the room is not ended any more.

        Return False, and change nothing, when the position is another one.
        """

    async def backlog(self, configuration: Arn) -> Backlog:
        """Return what waits for the configuration."""

    async def waiting(self) -> list[Arn]:
        """Return the configurations for which something waits, without counting it."""
