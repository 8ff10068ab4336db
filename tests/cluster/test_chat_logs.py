"""Chat logs while nodes and PostgreSQL die at random: nothing is lost, twice, or out of order.

`CLUSTER_SEED` repeats the choices of a failure, not the timing of the machine; `CLUSTER_SECONDS` is
how long a run takes.
"""

import asyncio
import contextlib
import gzip
import itertools
import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import asyncpg
import msgspec
import psutil
import pytest

from greenroom.bus.base import Deliver
from greenroom.bus.streams import Stored
from greenroom.chatlog.files import directory_name
from greenroom.model.arn import Arn
from greenroom.model.logging_configuration import (
    DestinationConfiguration,
    DestinationKind,
    LoggingConfiguration,
    State,
)
from greenroom.storage.postgres.store import PostgresStore
from scripts.servers.postgresql import PostgreSQL, postgresql
from scripts.servers.process import ServerProcess
from tests.cluster.chat_log_node import LEASE_SECONDS, READY, STREAMS, Orders
from tests.cluster.kept_streams import KeptStreams
from tests.stand_ins.values import NOW, configuration_arn, room_arn

pytestmark = pytest.mark.timeout(300)

SEED = int(os.environ.get("CLUSTER_SEED", time.time_ns() % 100_000))
SECONDS = float(os.environ.get("CLUSTER_SECONDS", "3"))
DEATHS = 4
NODES = 3
ROOMS = 40
PATIENCE = 60
"""Far longer than it takes until everything is delivered; a busy machine is no failure."""


class Node(ServerProcess):
    """A node as a process."""

    def __init__(self, directory: Path, number: int, orders: Orders) -> None:
        super().__init__(f"node {number}", directory / f"node-{number}.log")
        self.orders = orders

    def command(self) -> list[str | Path]:
        module = "tests.cluster.chat_log_node"
        return [sys.executable, "-m", module, msgspec.json.encode(self.orders).decode()]

    def environment(self) -> dict[str, str]:
        paths = (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", ""))
        return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def is_ready(self) -> bool:
        return READY in self.log.read_text()

    @property
    def lives(self) -> bool:
        """Whether it has not died."""
        try:
            return psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, psutil.NoSuchProcess):
            return False

    @property
    def stands_still(self) -> bool:
        """Whether it, or the program that it is, was stopped."""
        family = self._family()
        return any(each.status() == psutil.STATUS_STOPPED for each in family)


class Cluster:
    """Nodes, their database and streams, and what was published."""

    def __init__(self, directory: Path, url: str, random: random.Random) -> None:
        self.directory = directory
        self.url = url
        self.random = random
        self.deaths = self.stops = 0
        self.rooms = [room_arn() for _ in range(ROOMS)]
        self.configurations = [configuration_arn() for _ in range(3)]
        self.published: defaultdict[int, list[bytes]] = defaultdict(list)
        self.expected: defaultdict[tuple[Arn, Arn], list[int]] = defaultdict(list)
        (directory / "streams").mkdir()
        self.streams = KeptStreams(directory / "streams", STREAMS)
        self.nodes: list[Node] = []
        self._numbers, self._node_numbers = itertools.count(1), itertools.count(1)
        self._sequences = [0] * STREAMS

    def start(self, **orders: object) -> Node:
        """Start a node."""
        ordered = Orders(
            url=self.url,
            streams=str(self.directory / "streams"),
            files=str(self.directory / "files"),
            seed=self.random.randrange(2**32),
        )
        for name, value in orders.items():
            setattr(ordered, name, value)
        node = Node(self.directory, next(self._node_numbers), ordered)
        # One that is to die may do so before it is ready.
        node.start(wait=not ordered.death)
        self.nodes.append(node)
        return node

    def publish(self) -> None:
        """Store a message of a room in its stream, with some frames for some configurations."""
        place = self.random.randrange(ROOMS)
        room, stream = self.rooms[place], place % STREAMS
        frames = []
        for _ in range(self.random.randint(1, 4)):
            number = next(self._numbers)
            payload = b'{"Type":"MESSAGE","Id":"%d"}' % number
            count = self.random.choice((0, 1, 1, 3))
            named = self.random.sample(self.configurations, count)
            frames.append(
                Deliver(
                    payload,
                    "SendMessage",
                    time_ns=time.time_ns(),
                    configurations=tuple(map(str, named)),
                )
            )
            for configuration in named:
                self.expected[configuration, room].append(number)
                self.published[stream].append(payload)
        self._sequences[stream] += 1
        message = Stored(self._sequences[stream], time.time_ns(), str(room), frames)
        self.streams.store(stream, message)

    def revive(self, **orders: object) -> None:
        """Start a node in the place of each that died."""
        dead = [node for node in self.nodes if not node.lives]
        self.deaths += len(dead)
        for node in dead:
            node.kill()  # its parent has to take note
            self.nodes.remove(node)
            self.start(**orders)

    def harm(self) -> None:
        """Kill or stop a node, or let a stopped one go on."""
        node = self.random.choice(self.nodes)
        if node.stands_still:
            node.resume()
        elif self.random.random() < 0.3:
            node.kill()
        else:
            self.stops += 1
            node.pause()

    def calm(self, **orders: object) -> None:
        """Let all nodes go on, and be followed by some that live."""
        self.end()
        for _ in range(NODES):
            self.start(**orders)

    def end(self) -> None:
        """Kill all nodes, those that stand still as well."""
        for node in self.nodes:
            node.resume()
            node.kill()
        self.nodes.clear()

    async def delivered(self) -> None:
        """Wait until the journal has everything, and nothing waits in it."""
        connection = await asyncpg.connect(self.url, server_settings={"search_path": "greenroom"})
        async with asyncio.timeout(PATIENCE):
            while True:
                read = await connection.fetchval(
                    "SELECT coalesce(sum(sequence), 0) FROM stream_positions"
                )
                waits = await connection.fetchval("SELECT EXISTS (SELECT FROM journal)")
                if read == sum(self._sequences) and not waits:
                    break
                await asyncio.sleep(0.1)
        await connection.close()

    def in_files(self) -> dict[tuple[Arn, Arn], list[int]]:
        """Return what is on record, of each configuration and room, in its order."""
        found: defaultdict[tuple[Arn, Arn], list[list[int]]] = defaultdict(list)
        for configuration in self.configurations:
            folder = self.directory / "files" / directory_name(configuration.id)
            for path in folder.rglob("*.log.gz"):
                lines = gzip.decompress(path.read_bytes()).splitlines()
                numbers = [int(json.loads(line)["payload"]["Id"]) for line in lines]
                (room,) = (each for each in self.rooms if f"room_{each.id}" in path.parts)
                found[configuration, room].append(numbers)
        # What is in one object stays together.
        return {key: list(itertools.chain(*sorted(objects))) for key, objects in found.items()}


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    """Give a PostgreSQL of its own, because it is killed."""
    with postgresql() as started:
        yield started
        started.kill()


@contextlib.asynccontextmanager
async def cluster(directory: Path, server: PostgreSQL, name: str) -> AsyncIterator[Cluster]:
    """Give nodes that are yet to be started, on a database with their configurations."""
    made = Cluster(directory, server.create_database(name), random.Random(f"{name} {SEED}"))
    store = await PostgresStore.open(made.url)
    for arn in made.configurations:
        destination = DestinationConfiguration(DestinationKind.S3, arn.id)
        configuration = LoggingConfiguration(
            arn=arn, destination=destination, state=State.ACTIVE, create_time=NOW, update_time=NOW
        )
        await store.logging_configurations.create(configuration, 0)
    await store.close()
    try:
        yield made
    except BaseException:
        sys.stderr.write(f"CLUSTER_SEED={SEED}: {made.deaths} deaths, {made.stops} stops\n")
        raise
    finally:
        made.end()


async def storm(made: Cluster, server: PostgreSQL, **orders: object) -> None:
    """Publish for a while, and let everything die meanwhile, PostgreSQL once."""
    for _ in range(NODES):
        made.start(**orders)
    began = time.monotonic()
    for turn in itertools.count():
        passed = time.monotonic() - began
        for _ in range(made.random.randint(1, 8)):
            made.publish()
        if turn % 10 == 0:
            made.revive(**orders)
        if turn % 50 == 49:
            made.harm()
        if turn == 150:
            server.kill()
            await asyncio.sleep(0.3)
            server.start()
        if passed > SECONDS and turn > 150 and made.deaths >= DEATHS:
            return
        assert passed < PATIENCE
        await asyncio.sleep(0.01)


async def test_the_journal_is_the_streams(tmp_path: Path, server: PostgreSQL) -> None:
    """What was published is in the journal, once for each configuration, in each stream's order."""
    async with cluster(tmp_path, server, "journal") as made:
        await storm(made, server, death=0.02, delivers=False)
        made.calm(delivers=False)
        found = await _journal(made)
        for stream in range(STREAMS):
            published = made.published[stream]
            wanted = set(published)
            assert [each for each in found if each in wanted] == published


async def _journal(made: Cluster) -> list[bytes]:
    """Return the records in the journal, when it has all."""
    connection = await asyncpg.connect(made.url, server_settings={"search_path": "greenroom"})
    count = sum(map(len, made.published.values()))
    async with asyncio.timeout(PATIENCE):
        count_them = "SELECT count(*) FROM journal"
        while await connection.fetchval(count_them) < count:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.1)
    rows: Sequence[asyncpg.Record] = await connection.fetch(
        "SELECT payload FROM journal ORDER BY sequence"
    )
    await connection.close()
    return [row[0] for row in rows]


async def test_the_files_are_the_streams(tmp_path: Path, server: PostgreSQL) -> None:
    """What was published is in the files of each configuration that it names: once, in order."""
    async with cluster(tmp_path, server, "files") as made:
        await storm(made, server, death=0.02)
        made.calm()
        await made.delivered()
        assert made.in_files() == made.expected


@pytest.mark.parametrize("call", ["append_from", "after deliver"])
async def test_a_node_that_stands_still(
    tmp_path: Path, postgresql_newest: PostgreSQL, call: str
) -> None:
    """A node that is stopped in the middle loses its leases; when it goes on, it harms nothing."""
    name = f"still_{call.replace(' ', '_')}"
    async with cluster(tmp_path, postgresql_newest, name) as made:
        stopped = made.start(stop_before=call, stop_after_calls=1)
        for _ in range(200):
            made.publish()
        async with asyncio.timeout(PATIENCE):
            while not stopped.stands_still:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.02)
        began = time.monotonic()
        made.start()
        for _ in range(200):
            made.publish()
        await made.delivered()
        assert time.monotonic() - began >= LEASE_SECONDS / 2
        stopped.resume()
        for _ in range(50):
            made.publish()
        await asyncio.sleep(0.5)
        await made.delivered()
        assert stopped.lives
        assert made.in_files() == made.expected
    postgresql_newest.drop_database(name)
