"""Clusters as measured servers: nodes of the real service on one PostgreSQL and NATS.

Everything but the load runs on the servers' core, and the account is that of all of it: nodes,
nats-servers and PostgreSQL.
"""

import base64
import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.client import Load, Outcome, Target
from benchmarks.processes import SERVER_CORE, on_core
from benchmarks.service import Greenroom
from greenroom.tokens.key_ring import KeyRing
from greenroom.vault.sealing import Sealer
from scripts.servers.nats_server import NatsServer, bus_of, nats_cluster, nats_server
from scripts.servers.node import new_secrets_key
from scripts.servers.postgresql import PostgreSQL, postgresql

_databases = itertools.count()


class Place(msgspec.Struct, frozen=True):
    """What the nodes of a cluster share."""

    directory: Path
    server: PostgreSQL
    database: str
    bus: str
    secrets_key: str
    processes: int = 1

    def settings(self) -> dict[str, str]:
        """Return the settings of each node."""
        (self.directory / "chat-logs").mkdir(exist_ok=True)
        return {
            "GREENROOM_STORAGE": self.server.url(self.database),
            "GREENROOM_BUS": self.bus,
            "GREENROOM_SECRETS_KEY": self.secrets_key,
            "GREENROOM_CHAT_LOG_DIR": str(self.directory / "chat-logs"),
            "GREENROOM_PROCESSES": str(self.processes),
        }


class Node(Greenroom):
    """One node; the keys of its tokens are in the database."""

    def __init__(self, place: Place) -> None:
        self._place = place
        super().__init__(place.directory, place.settings())

    def _key_ring(self) -> KeyRing:
        select = "SELECT encode(value, 'base64') FROM greenroom.secrets WHERE name = 'token-keys'"
        kept = base64.b64decode(self._place.server.sql(select, self._place.database))
        key = base64.b64decode(self._place.secrets_key)
        return KeyRing.from_bytes(Sealer(key).open("secret token-keys", kept))


class Cluster:
    """Nodes that have viewers, and what is between them."""

    def __init__(
        self, name: str, nodes: Sequence[Node], bus: Sequence[NatsServer], server: PostgreSQL
    ) -> None:
        self.name = name
        self._nodes = nodes
        self._bus = bus
        self._server = server

    def of(self, name: str, number: int) -> "Cluster":
        """Return the same cluster with viewers at the first nodes only."""
        return Cluster(name, self._nodes[:number], self._bus, self._server)

    def target(self, load: Load) -> Target:
        """Create the load's rooms and tokens; the first viewer, who sends, is at the first node."""
        first, *others = self._nodes
        pids = [node.pid for node in others] + [server.pid for server in self._bus]
        return msgspec.structs.replace(
            first.target(load),
            further_urls=[node.url for node in others],
            further_pids=[*pids, self._server.pid],
        )

    def stop(self) -> None:
        """Do nothing: who started it ends it."""

    @property
    def size(self) -> int:
        """How many nodes have viewers."""
        return len(self._nodes)

    def cpu_of_bus(self, outcome: Outcome) -> float:
        """Return the microseconds of CPU that nats-servers used for one delivery."""
        servers = outcome.server_cpus[self.size : self.size + len(self._bus)]
        return sum(servers) * 1e6 / outcome.delivered


@contextlib.contextmanager
def database() -> Iterator[PostgreSQL]:
    """Run PostgreSQL for the length of a `with` block."""
    with contextlib.ExitStack() as stack:
        with on_core(SERVER_CORE):
            server = stack.enter_context(postgresql())
        yield server


@contextlib.contextmanager
def cluster(
    name: str,
    server: PostgreSQL,
    directory: Path,
    *,
    nodes: int,
    replicas: int,
    sync_interval: str = "2m",
) -> Iterator[Cluster]:
    """Run a cluster for the length of a `with` block, with as many nats-servers as replicas."""
    own = directory / f"cluster-{next(_databases)}"
    (own / "chat-logs").mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        with on_core(SERVER_CORE):
            bus = stack.enter_context(_bus(own, replicas, sync_interval))
        server.create_database(own.name)
        place = Place(own, server, own.name, bus_of(bus), new_secrets_key())
        running = []
        for _ in range(nodes):
            running.append(Node(place))
            stack.callback(running[-1].stop)
        yield Cluster(name, running, bus, server)


@contextlib.contextmanager
def _bus(directory: Path, replicas: int, sync_interval: str) -> Iterator[list[NatsServer]]:
    if replicas == 1:
        with nats_server(directory, sync_interval=sync_interval) as server:
            yield [server]
        return
    with nats_cluster(directory, replicas, sync_interval=sync_interval) as servers:
        yield servers
