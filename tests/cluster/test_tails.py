"""Streams of a real NATS, read into a real PostgreSQL by two nodes, while all of them die.

The nodes are tasks of this process: what they keep is elsewhere.
"""

import asyncio
import itertools
import random
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from greenroom.bus.base import Before, BusUnavailable, Deliver
from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.connection import Options
from greenroom.chatlog.bounds import Bounds
from greenroom.chatlog.streamed import Shared, StreamedChatLog
from greenroom.clock import Clock
from greenroom.storage.postgres.store import PostgresStore
from greenroom.telemetry.metrics import Metrics
from scripts.servers.nats_server import NatsServer, nats_server
from tests.running.servers import END_SESSIONS
from tests.stand_ins.scene import Kept
from tests.stand_ins.values import a_configuration, room_arn

pytestmark = pytest.mark.timeout(300)

PATIENCE = 60
"""Far longer than anything here takes; a busy machine is no failure."""

ROOMS = [str(room_arn()) for _ in range(24)]
CONFIGURATION = a_configuration()


class Nodes:
    """Two nodes on one NATS and one database, and what they published."""

    def __init__(self, server: NatsServer, url: str) -> None:
        self.server = server
        self.url = url
        self.buses: list[NatsBus] = []
        self.stores: list[PostgresStore] = []
        self.tails: list[asyncio.Task[None]] = []
        self.acknowledged: list[bytes] = []
        self._numbers = itertools.count(1)

    async def live(self, number: int) -> None:
        """Be the chat log of a node, which delivers nothing."""
        destination = Kept()
        destination.interval_seconds, destination.batch_bytes = 3600.0, 2**40
        bus, store = self.buses[number], self.stores[number]
        async with asyncio.TaskGroup() as tasks:
            log = StreamedChatLog(
                Shared(
                    journal=store.journal,
                    configurations=store.logging_configurations,
                    streams=bus.streams,
                    control=bus,
                ),
                lambda _: destination,
                tasks,
                clock=Clock(),
                random=random.random,
                bounds=Bounds(),
                metrics=Metrics(),
            )
            await log.start()
            try:
                await asyncio.Event().wait()
            finally:
                # The bus outlives it here; it must hear nothing any more.
                await log.stop(0)

    async def replace(self, number: int) -> None:
        """End a node's chat log wherever it is, and begin another one."""
        self.tails[number].cancel()
        await asyncio.wait([self.tails[number]])
        self.tails[number] = asyncio.create_task(self.live(number))

    async def publish(self, number: int, count: int = 1) -> None:
        """Publish messages from a node in any room, and note which are acknowledged."""
        for _ in range(count):
            payload = b"%d" % next(self._numbers)
            room = random.choice(ROOMS)
            try:
                await self.buses[number].publish(room, partial(_message, payload))
            except BusUnavailable:
                continue
            self.acknowledged.append(payload)

    async def stored(self) -> dict[int, list[bytes]]:
        """Return what the streams hold, in their order."""
        found: dict[int, list[bytes]] = {}
        streams = self.buses[0].streams
        for stream in range(streams.count):
            first = 0
            payloads = found.setdefault(stream, [])
            while messages := await streams.read(stream, first):
                payloads += [each.payload for one in messages for each in one.envelopes]
                first = messages[-1].sequence + 1
        return found

    async def on_record(self, count: int) -> list[bytes]:
        """Return what is in the journal, when it is so much."""
        connection = await asyncpg.connect(self.url, server_settings={"search_path": "greenroom"})
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    rows = await connection.fetch("SELECT payload FROM journal ORDER BY sequence")
                    if len(rows) >= count:
                        return [row[0] for row in rows]
                    await asyncio.sleep(0.1)
        finally:
            await connection.close()

    async def end_sessions(self) -> None:
        """End all sessions of the database, those that hold leases as well."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(END_SESSIONS)
        finally:
            await connection.close()


def _message(payload: bytes, before: Before) -> Deliver:
    time_ns = max(time.time_ns(), before.time_ns + 1)
    return Deliver(
        payload, "SendMessage", time_ns=time_ns, configurations=(str(CONFIGURATION.arn),)
    )


@asynccontextmanager
async def _nodes(server: NatsServer, url: str) -> AsyncIterator[Nodes]:
    made = Nodes(server, url)
    async with AsyncExitStack() as stack:
        first = await PostgresStore.open(url)
        await first.logging_configurations.create(CONFIGURATION, 0)
        await first.close()
        for number in range(2):
            bus = await NatsBus.open(Options(servers=[server.url]))
            stack.push_async_callback(bus.close)
            await bus.start()
            made.buses.append(bus)
            store = await PostgresStore.open(url)
            stack.push_async_callback(store.close)
            made.stores.append(store)
            made.tails.append(asyncio.create_task(made.live(number)))
        try:
            yield made
        finally:
            for tail in made.tails:
                tail.cancel()
            await asyncio.wait(made.tails)


async def test_everything_dies(tmp_path: Path, database: str) -> None:
    """What is acknowledged is on record, and the journal has each stream in its order, once."""
    with nats_server(tmp_path) as server:
        async with _nodes(server, database) as made:
            for turn in range(12):
                await asyncio.gather(*(made.publish(number, 15) for number in range(2)))
                if turn % 3 == 0:
                    await made.replace(turn % 2)
                if turn % 3 == 1:
                    await made.end_sessions()
                if turn == 5:
                    server.kill()
                    publishing = asyncio.gather(*(made.publish(each, 5) for each in range(2)))
                    await asyncio.sleep(0.3)
                    server.start()
                    await publishing
            stored = await made.stored()
            found = await made.on_record(sum(map(len, stored.values())))
            assert set(made.acknowledged) <= set(found)
            assert len(found) == len(set(found))
            for payloads in stored.values():
                wanted = set(payloads)
                assert [each for each in found if each in wanted] == payloads


async def test_the_streams_lose_their_end(tmp_path: Path, database: str) -> None:
    """Streams that come back from a power failure without their end: all is on record, once."""
    with nats_server(tmp_path) as server:
        async with _nodes(server, database) as made:
            kept, copy = server.directory / "jetstream", tmp_path / "copy"
            await made.publish(0, 60)
            await made.on_record(60)
            server.stop()
            shutil.copytree(kept, copy)
            server.start()
            await made.publish(0, 40)
            await made.on_record(len(made.acknowledged))
            server.kill()
            shutil.rmtree(kept)
            shutil.copytree(copy, kept)
            server.start()
            await made.publish(1, 80)
            found = await made.on_record(len(made.acknowledged))
            assert sorted(found) == sorted(made.acknowledged)
            assert len(found) == 180
