"""Runs of the C load client: what it does to a server, and what it saw."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from benchmarks.processes import BUILT, LOAD_CORE, on_core

PAYLOAD_BYTES = 300
"""What every server delivers for one message, give or take a few: a chat message of two lines."""

CONNECTIONS_PER_SOURCE = 10_000
"""A loopback address has 28,000 ports; finding a free one gets slow long before."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A server as the load client needs it. `pattern` is what a client sends for a message.

    Connections go to `url` and to `further_urls` in turn, the first one to `url`. The account is
    that of `pid` and of `further_pids` together.
    """

    pid: int
    url: str
    further_pids: Sequence[int] = ()
    further_urls: Sequence[str] = ()
    pattern: str = '{"Content":"{message}"}'
    content: int = PAYLOAD_BYTES - len('{"Content":""}')
    protocols: Path | None = None
    publish_url: str | None = None
    socketio: bool = False


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What the client does: connect, be idle for `hold` seconds, publish for `seconds`.

    With a `rate` in messages a second the loop is open, and latency counts from when a message was
    due: at regular times, or at `random` ones, the same in every run. Without, `window` messages
    are on the way at most, published `burst` at a time. What has not arrived when nothing came for
    `patience` seconds is lost.
    """

    connections: int
    rooms: int = 1
    window: int = 1
    burst: int = 1
    rate: float = 0
    random: bool = False
    seconds: float = 0
    warm_up: float = 0.5
    settle: float = 0.2
    hold: float = 0
    concurrency: int = 64
    patience: float = 2
    doze: int = 0
    """Milliseconds that the client sleeps at most while it measures, where it leaves its core to
    another one; else never."""
    sources: int = 0
    """Addresses of loopback that connections come from; 0 for as many as there must be."""


class Outcome(msgspec.Struct, frozen=True):
    """What the client saw. Times are seconds, latencies microseconds, memory KiB."""

    connections: int
    rooms: int
    connect_seconds: float
    connect_cpu: float
    connect_user: float
    resident_before: int
    resident_after: int
    resident_held: int
    hold_seconds: float
    hold_cpu: float
    seconds: float
    published: int
    delivered: int
    server_cpu: float
    server_user: float
    client_cpu: float
    frame_bytes: float
    p50: float
    p90: float
    p99: float
    longest: float
    total_published: int
    total_delivered: int
    pings: int
    other: int
    server_cpus: Sequence[float] = ()
    """Seconds of `server_cpu` by process, in the order of the target's."""

    @property
    def cpu(self) -> float:
        """Microseconds of the server's CPU for one delivery."""
        return self.server_cpu * 1e6 / self.delivered

    @property
    def user(self) -> float:
        """Microseconds of `cpu` outside of the kernel."""
        return self.server_user * 1e6 / self.delivered

    @property
    def client_share(self) -> float:
        """What the client used of its core while it measured, 0 to 1: it never sleeps then."""
        return self.client_cpu / self.seconds

    @property
    def connect(self) -> float:
        """Microseconds of the server's CPU for one accepted connection."""
        return self.connect_cpu * 1e6 / self.connections


class LoadFailed(Exception):
    """The server lost, repeated or reordered something, refused a connection or hung."""


class Server(Protocol):
    """A running server that a load can be sent to."""

    name: str

    def target(self, load: Load) -> Target:
        """Prepare for a load: rooms and tokens, where the server has them."""

    def stop(self) -> None:
        """End the server at once."""


def run(server: Server, load: Load, limit: float = 180) -> Outcome:
    """Send a load to a server; end it after `limit` seconds in any case.

    Raises:
        LoadFailed: not every connection received each message of its room once and in order.
    """
    return send(server.name, server.target(load), load, limit)


def send(name: str, target: Target, load: Load, limit: float = 180) -> Outcome:
    """Send a load to a target that was prepared for it; raises as `run` does."""
    command = [str(BUILT / "load"), *_arguments(target), "--limit", str(limit)]
    sources = load.sources or 1 + load.connections // CONNECTIONS_PER_SOURCE
    load = msgspec.structs.replace(load, sources=sources)
    for option_name, value in msgspec.structs.asdict(load).items():
        option = f"--{option_name.replace('_', '-')}"
        if isinstance(value, bool):
            command += [option] * value
        else:
            command += [option, str(value)]
    with on_core(LOAD_CORE):
        done = subprocess.run(  # noqa: S603 - our own program
            command, capture_output=True, text=True, timeout=limit + 30, check=False
        )
    if done.returncode:
        raise LoadFailed(f"{name}: {done.stderr}{done.stdout}")
    return msgspec.json.decode(done.stdout, type=Outcome)


def _arguments(target: Target) -> list[str]:
    words = [word for url in (target.url, *target.further_urls) for word in ("--url", url)]
    for pid in (target.pid, *target.further_pids):
        words += ["--pid", str(pid)]
    words += ["--pattern", target.pattern, "--content", str(target.content)]
    if target.protocols is not None:
        words += ["--protocols", str(target.protocols)]
    if target.publish_url is not None:
        words += ["--publish-url", target.publish_url]
    return [*words, "--socketio"] if target.socketio else words
