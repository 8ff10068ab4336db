"""Reads, when all is over, what is stored: the streams of the rooms, and the chat logs."""

import gzip
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.connection import Options
from tests.cluster.killing.invariants import Place


async def read_streams(servers: Sequence[str]) -> dict[str, list[Place]]:
    """Return what is stored of each room, in its order; `servers` are the URLs of NATS."""
    found: defaultdict[str, list[Place]] = defaultdict(list)
    bus = await NatsBus.open(Options(servers=servers, replicas=3))
    try:
        for stream in range(bus.streams.count):
            state, next_ = await bus.streams.state(stream), 0
            while next_ <= state.last:
                messages = await bus.streams.read(stream, next_)
                if not messages:
                    break
                for message in messages:
                    next_ = message.sequence + 1
                    places = (Place(message.stamp_ns, each) for each in message.envelopes)
                    found[message.room].extend(places)
    finally:
        await bus.close()
    return dict(found)


class _Payload(msgspec.Struct, rename="pascal"):
    id: str
    send_time: str

    @property
    def time(self) -> str:
        """Return SendTime, with as many digits as any."""
        return self.send_time.rstrip("Z").ljust(len("2026-01-01T00:00:00.000000000"), "0")


class _Record(msgspec.Struct):
    event_timestamp: str
    payload: _Payload

    @property
    def order(self) -> tuple[str, str]:
        """Return what rises: a message that waited has its place by when it was released."""
        return self.event_timestamp, self.payload.time


def _first(records: Sequence[_Record]) -> tuple[str, str]:
    return records[0].order


def read_logs(directory: Path) -> dict[tuple[str, str], list[str]]:
    """Return the ids that are in files, by the bucket or group and the room's id.

    A file's records are in their order, and files are in that of their first records.
    """
    files: defaultdict[tuple[str, str], list[list[_Record]]] = defaultdict(list)
    for path in directory.rglob("*.log.gz"):
        place = path.relative_to(directory).parts
        room = next(part for part in place if part.startswith("room_"))[len("room_") :]
        lines = gzip.decompress(path.read_bytes()).splitlines()
        files[place[0], room].append([msgspec.json.decode(line, type=_Record) for line in lines])
    return {
        key: [each.payload.id for some in sorted(parts, key=_first) for each in some]
        for key, parts in files.items()
    }
