"""nats-server with JetStream on files: one, or three that replicate."""

import contextlib
import json
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec

from scripts.servers.ports import free_port
from scripts.servers.process import ServerProcess

ROOT = Path(__file__).resolve().parent.parent.parent
NEWEST = Path(sys.prefix) / "bin" / "nats-server"
OLDEST = ROOT / ".venv" / "nats-oldest" / "bin" / "nats-server"
"""The oldest that is supported; `scripts/install nats-oldest` brings it."""

SYNC_ALWAYS = "always"
"""The interval of who wants a message on the disk before it is acknowledged."""


class Routes(msgspec.Struct, frozen=True):
    """The port that a server hears others on, and those at which it reaches them."""

    port: int
    peers: tuple[int, ...]
    advertise: str = ""
    """Where others tell each other to reach it, if not there."""

    def line(self) -> str:
        """Return the line of its configuration."""
        peers = ", ".join(f'"nats://127.0.0.1:{peer}"' for peer in self.peers)
        told = f' advertise: "{self.advertise}",' if self.advertise else ""
        listen = f'listen: "127.0.0.1:{self.port}"'
        return f'cluster {{ name: "greenroom", {listen},{told} routes: [{peers}] }}\n'


class NatsServer(ServerProcess):
    """One nats-server on loopback, with its monitoring port, and its data in a directory.

    Args:
        directory: where its configuration, log and data are.
        name: the server's name.
        sync_interval: how often JetStream has the disk keep what was written.
        routes: how it speaks to those that it replicates with.
        extra: further lines of its configuration, such as `authorization` or `tls`.
        program: which nats-server.
        jetstream: whether it keeps streams.
    """

    def __init__(
        self,
        directory: Path,
        name: str = "nats",
        *,
        sync_interval: str = "2m",
        routes: Routes | None = None,
        extra: str = "",
        program: Path = NEWEST,
        jetstream: bool = True,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # Beside its directory: on a disk that is full nothing more would be read there.
        super().__init__(name, directory.with_name(f"{directory.name}.nats-server.log"))
        self.port, self.monitoring_port = free_port(), free_port()
        self.directory = directory
        self.program = program
        self.routes = routes
        self.configuration = directory / "nats-server.conf"
        self.configuration.touch(mode=0o600)
        self.configuration.write_text(
            self._lines(sync_interval, jetstream=jetstream)
            + ("" if routes is None else routes.line())
            + extra
        )

    @property
    def url(self) -> str:
        """Return the URL for clients."""
        return f"nats://127.0.0.1:{self.port}"

    def command(self) -> list[str | Path]:
        return [self.program, "-c", self.configuration]

    def is_ready(self) -> bool:
        """Return whether clients are served, and in a cluster whether it has a leader and peers."""
        return self.monitored("healthz") == {"status": "ok"} and (
            self.routes is None or self._has_leader()
        )

    def monitored(self, path: str) -> object:
        """Return what a path of the monitoring port answers, None when it does not."""
        url = f"http://127.0.0.1:{self.monitoring_port}/{path}"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return json.load(answer)
        except (OSError, urllib.error.URLError, ValueError):
            return None

    def forget(self) -> None:
        """Delete the data of a server that does not run."""
        shutil.rmtree(self.directory / "jetstream", ignore_errors=True)

    def _has_leader(self) -> bool:
        found = self.monitored("jsz")
        meta = found.get("meta_cluster") if isinstance(found, dict) else None
        return isinstance(meta, dict) and bool(meta.get("leader"))

    def _lines(self, sync_interval: str, *, jetstream: bool) -> str:
        kept = json.dumps(str(self.directory / "jetstream"))
        lines = [
            f'server_name: "{self.name}"',
            f'listen: "127.0.0.1:{self.port}"',
            f'http: "127.0.0.1:{self.monitoring_port}"',
        ]
        if jetstream:
            lines.append(f"jetstream {{ store_dir: {kept}, sync_interval: {sync_interval} }}")
        return "\n".join([*lines, ""])


def bus_of(servers: list[NatsServer]) -> str:
    """Return the setting `bus` for these servers."""
    return ",".join(server.url for server in servers)


@contextlib.contextmanager
def nats_server(
    directory: Path,
    *,
    sync_interval: str = "2m",
    extra: str = "",
    program: Path = NEWEST,
    jetstream: bool = True,
) -> Iterator[NatsServer]:
    """Run one server for the length of a `with` block."""
    server = NatsServer(
        directory, sync_interval=sync_interval, extra=extra, program=program, jetstream=jetstream
    )
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def nats_cluster(
    directory: Path,
    size: int = 3,
    *,
    sync_interval: str = "2m",
    extra: str = "",
    program: Path = NEWEST,
) -> Iterator[list[NatsServer]]:
    """Run servers that replicate for the length of a `with` block."""
    ports = tuple(free_port() for _ in range(size))
    servers = [
        NatsServer(
            directory / f"nats-{number}",
            f"nats-{number}",
            sync_interval=sync_interval,
            routes=Routes(port, ports),
            extra=extra,
            program=program,
        )
        for number, port in enumerate(ports, 1)
    ]
    try:
        for server in servers:
            server.start(wait=False)
        for server in servers:
            server.until_ready()
        yield servers
    finally:
        for server in servers:
            server.stop()
