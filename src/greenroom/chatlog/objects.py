"""A batch of records as log objects, for S3 and for files: which, under which key, with what in it.

- An object holds records of one room, in their order, one JSON line each, compressed with gzip.
- The same batch always makes the same objects, byte for byte: one that is written again overwrites
  itself. So nothing here depends on a setting, a clock or chance.
"""

import gzip
import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from greenroom.chatlog.base import Record
from greenroom.chatlog.record import line
from greenroom.model.arn import Arn

MAXIMUM_BYTES = 67_108_864
"""Payload bytes of one object; a batch with more of one room makes several."""


class LogObject(msgspec.Struct, frozen=True):
    """One object: its key, and its records."""

    key: str
    records: Sequence[Record]

    def body(self) -> bytes:
        """Return the object's bytes."""
        lines = b"".join(line(record) + b"\n" for record in self.records)
        return gzip.compress(lines, compresslevel=6, mtime=0)


def by_room(records: Sequence[Record]) -> dict[Arn, list[Record]]:
    """Return the records of each room, in their order."""
    rooms: dict[Arn, list[Record]] = {}
    for record in records:
        rooms.setdefault(record.room, []).append(record)
    return rooms


def objects(
    configuration: Arn, records: Sequence[Record], maximum_bytes: int = MAXIMUM_BYTES
) -> Iterator[LogObject]:
    """Yield the objects of a batch."""
    for room, its_records in by_room(records).items():
        for some in _cut(its_records, maximum_bytes):
            yield LogObject(key(configuration, room, some[0]), some)


def key(configuration: Arn, room: Arn, first: Record) -> str:
    """Return the key of the object that begins with this record (Chat User Guide, "Chat Logging").

    Its time is that of the first record. Its hash is of the configuration and that record's
    sequence, which no other object has both in common: it tells the objects of a minute apart.
    """
    account, region = configuration.account, configuration.region
    time = datetime.fromtimestamp(first.time_ns // 1_000_000_000, UTC)
    digest = hashlib.sha256(f"{configuration} {first.sequence}".encode()).hexdigest()[:8]
    return (
        f"AWSLogs/{account}/IVSChatLogs/1.0/{region}/room_{room.id}/{time:%Y/%m/%d/%H}/"
        f"{account}_IVSChatLogs_1.0_{region}_room_{room.id}_{time:%Y%m%dT%H%MZ}_{digest}.log.gz"
    )


def _cut(records: Sequence[Record], maximum_bytes: int) -> Iterator[list[Record]]:
    some: list[Record] = []
    size = 0
    for record in records:
        if some and size + len(record.payload) > maximum_bytes:
            yield some
            some, size = [], 0
        some.append(record)
        size += len(record.payload)
    yield some
