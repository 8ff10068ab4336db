"""Reads what is stored: the streams of the rooms, and, when all is over, the chat logs."""

import asyncio
import contextlib
import gzip
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import msgspec

from greenroom.bus.base import BusUnreachable
from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.connection import NoAnswer, Options
from greenroom.bus.streams import StreamUnavailable
from tests.cluster.killing.invariants import Place

READ_SECONDS = 1200
"""How often streams are read on the way: they keep an hour."""
FAILS = (NoAnswer, BusUnreachable, StreamUnavailable, TimeoutError)
"""What a read raises while servers are away."""

RETRY_SECONDS = 10
"""When it is tried again, after a server was harmed meanwhile."""


class Observer:
    """Reads the rooms' streams, each message once."""

    def __init__(self, servers: Sequence[str]) -> None:
        """Make it; `servers` are the URLs of NATS."""
        self._servers = servers
        self._next: Counter[int] = Counter()
        self._found: defaultdict[str, list[Place]] = defaultdict(list)

    async def read(self) -> dict[str, list[Place]]:
        """Return what was stored of each room until now, in its order."""
        bus = await NatsBus.open(Options(servers=self._servers, replicas=3))
        try:
            for stream in range(bus.streams.count):
                await self._read(bus, stream)
        finally:
            await bus.close()
        return dict(self._found)

    async def read_at_last(self, seconds: float) -> dict[str, list[Place]]:
        """Do so, as soon as servers can that are just back."""
        end = time.monotonic() + seconds
        while True:
            try:
                return await self.read()
            except FAILS:
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(0.2)

    async def _read(self, bus: NatsBus, stream: int) -> None:
        state = await bus.streams.state(stream)
        while self._next[stream] <= state.last:
            messages = await bus.streams.read(stream, self._next[stream])
            if not messages:
                break
            for message in messages:
                self._next[stream] = message.sequence + 1
                places = (Place(message.stamp_ns, each) for each in message.envelopes)
                self._found[message.room].extend(places)

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Read now and then; while servers are harmed, a moment later."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self._keep_reading())
            yield
            task.cancel()

    async def _keep_reading(self) -> None:
        pause = READ_SECONDS
        while True:
            await asyncio.sleep(pause)
            try:
                async with asyncio.timeout(60):
                    await self.read()
                pause = READ_SECONDS
            except FAILS:
                pause = RETRY_SECONDS


async def read_streams(servers: Sequence[str]) -> dict[str, list[Place]]:
    """Return what is stored of each room, in its order; `servers` are the URLs of NATS."""
    return await Observer(servers).read()


class _Payload(msgspec.Struct, rename="pascal"):
    id: str


class _Record(msgspec.Struct):
    payload: _Payload


def read_logs(
    directory: Path, stored: Mapping[str, Sequence[Place]]
) -> dict[tuple[str, str], list[str]]:
    """Return the ids that are in files, by the bucket or group and the room's id.

    A file's records are in their order, and files are in that of their first records in the room:
    of when something had its place a record has the milliseconds, in which more may have had one.
    """
    first = {each.id: at for places in stored.values() for at, each in enumerate(places)}
    files: defaultdict[tuple[str, str], list[list[str]]] = defaultdict(list)
    for path in directory.rglob("*.log.gz"):
        place = path.relative_to(directory).parts
        room = next(part for part in place if part.startswith("room_"))[len("room_") :]
        lines = gzip.decompress(path.read_bytes()).splitlines()
        ids = [msgspec.json.decode(line, type=_Record).payload.id for line in lines]
        files[place[0], room].append(ids)
    return {
        key: [
            each for some in sorted(parts, key=lambda ids: first.get(ids[0], -1)) for each in some
        ]
        for key, parts in files.items()
    }
