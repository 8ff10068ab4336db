"""What a delivery costs over two nodes, beside other servers with what carries messages for them.

Each peer is as in `make bench-peers`, twice, with the adapter for Redis that its documentation
names. Redis writes nothing to its disk, and keeps no message: who is away misses it. Greenroom's
messages are stored before they are shown, by one nats-server or by three.
"""

import functools
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks.client import Load, Outcome, Server, Target, run
from benchmarks.peers import (
    PEERS,
    SOCKETIO_PATH,
    Peer,
    Recipe,
    npm_version,
    program,
    python_version,
    python_with,
)
from benchmarks.plot import Bar
from benchmarks.processes import BUILT, START_SECONDS, NotHere, end, start_server
from benchmarks.report import Table
from benchmarks.runs import Measured, Plan, running
from benchmarks.series import progress
from scripts.servers.ports import free_port

CONNECTIONS = 1_000
CASES = {1: "two nodes, one at a time", 10: "two nodes, bursts of 10"}
"""By the number of messages on the way."""

NOTES = (
    "The account is of both nodes and of what is between them, all on one core.",
    "Greenroom stores a message in its room's order before it is shown; Redis keeps none.",
    "Centrifugo is left out: no registry for Python, Node.js or Debian has it.",
)

UNPACKED = BUILT / "redis"
"""Debian's packages; `scripts/bench` brings them."""


class Redis:
    """A redis-server that keeps nothing."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        log = directory / f"redis-{self.port}.log"
        command: list[str | Path] = [redis_program(), "--port", str(self.port)]
        command += ["--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", str(directory)]
        self._process = start_server(command, log, _libraries())
        self._wait(log)

    @property
    def pid(self) -> int:
        """The process to take the account of."""
        return self._process.pid

    def stop(self) -> None:
        """End it."""
        end(self._process)

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                time.sleep(0.05)
            else:
                return
        self.stop()
        raise RuntimeError(f"Redis did not start:\n{log.read_text(errors='replace')}")


class Pair:
    """Two servers of somebody else's, and the Redis between them."""

    def __init__(self, recipe: Callable[[int], Recipe], directory: Path) -> None:
        self._redis = Redis(directory)
        self._peers = list[Peer]()
        try:
            for _ in range(2):
                self._peers.append(Peer(recipe(self._redis.port), directory))
        except BaseException:
            self.stop()
            raise
        self.name = self._peers[0].name

    def target(self, load: Load) -> Target:
        """Return both addresses; the account is of all three."""
        first, second = (peer.target(load) for peer in self._peers)
        further = [second.pid, self._redis.pid]
        return msgspec.structs.replace(first, further_urls=[second.url], further_pids=further)

    def stop(self) -> None:
        """End all of it at once."""
        for peer in self._peers:
            peer.stop()
        self._redis.stop()


def _socketio(redis: int) -> Recipe:
    return Recipe(
        name="Socket.IO on Node, Redis adapter",
        command=lambda port, _: [
            program("node"),
            PEERS / "socketio_redis_server.js",
            str(port),
            str(redis),
        ],
        version=_socketio_version,
        path=SOCKETIO_PATH,
        socketio=True,
    )


def _python_socketio(redis: int) -> Recipe:
    return Recipe(
        name="python-socketio, uvicorn, Redis",
        command=lambda port, _: [
            python_with("uvicorn", "socketio", "redis"),
            PEERS / "socketio_redis_server.py",
            str(port),
            str(redis),
        ],
        version=_python_socketio_version,
        path=SOCKETIO_PATH,
        socketio=True,
    )


def _socketio_version() -> str:
    server, adapter, client = (
        npm_version(package)() for package in ("socket.io", "@socket.io/redis-adapter", "redis")
    )
    return f"{server} with its adapter {adapter} and redis {client}"


def _python_socketio_version() -> str:
    server = python_version("python-socketio", "socketio")()
    return f"{server} with redis {python_version('redis', 'redis')()}"


RECIPES = (_socketio, _python_socketio)


class Field(msgspec.Struct, frozen=True):
    """Who is compared: how to start each, versions, and who is missing here for what reason."""

    starts: Sequence[Callable[[Path], Server]]
    versions: Mapping[str, str]
    missing: Mapping[str, str]


def field() -> Field:
    """Return the peers that can be started here."""
    starts, versions, missing = list[Callable[[Path], Server]](), dict[str, str](), {}
    for recipe in RECIPES:
        name = recipe(0).name
        try:
            found = {"Redis": _redis_version(), name: recipe(0).version()}
        except NotHere as error:
            missing[name] = str(error)
            progress(f"{name} is left out: {error}")
        else:
            versions |= found
            starts.append(functools.partial(Pair, recipe))
    return Field(starts, versions, missing)


class OverTwo:
    """The table: clusters of ours, and the peers."""

    cases = tuple(CASES.values())

    def __init__(self, ours: Sequence[Server], field: Field) -> None:
        self._ours = ours
        self._field = field

    def measure(self, plan: Plan, measured: Measured) -> None:
        """Let all have their turn, once; a peer runs in its own only."""
        self._take(plan, measured, self._ours)
        for start in self._field.starts:
            with running([start]) as servers:
                self._take(plan, measured, servers)

    def table(self, plan: Plan, measured: Measured) -> Table:
        """Return the table of what was measured, the cheapest first."""
        names = sorted(
            measured.outcomes[CASES[1]],
            key=lambda name: measured.series(CASES[1], name, _cpu).median,
        )
        versions = ", ".join(f"{name} {version}" for name, version in self._field.versions.items())
        missing = self._field.missing.items()
        columns = [
            text
            for load in (case.partition(", ")[2] for case in CASES.values())
            for text in (f"CPU µs per delivery, {load}", f"ratio, {load}")
        ]
        return Table(
            name="cluster-peers",
            command="cluster",
            title=f"Over two nodes, {plan.connections(CONNECTIONS):,} connections",
            columns=["servers", *columns, "p50 ms"],
            rows=[self._row(measured, name) for name in names],
            bars=[
                Bar(f"{name}, {case}", name.partition(",")[0], measured.series(case, name, _cpu))
                for case in reversed(CASES.values())
                for name in names
            ],
            axis="CPU of all servers for a delivery, µs",
            notes=[
                f"Ratios are to {self._ours[0].name}.",
                *NOTES,
                f"Versions: {versions or 'none'}.",
                *(f"{name} is left out: {reason}." for name, reason in missing),
                measured.calibration.note(),
            ],
        )

    def _take(self, plan: Plan, measured: Measured, servers: Sequence[Server]) -> None:
        for window, case in CASES.items():
            load = Load(
                connections=plan.connections(CONNECTIONS),
                seconds=plan.seconds,
                warm_up=plan.warm_up,
                window=window,
                burst=window,
            )
            measured.take(case, servers, functools.partial(run, load=load))

    def _row(self, measured: Measured, name: str) -> list[str]:
        row = [name]
        for case in CASES.values():
            series = measured.series(case, name, _cpu)
            row += [
                series.text(),
                series.over(measured.series(case, self._ours[0].name, _cpu)).text(),
            ]
        return [*row, measured.series(CASES[1], name, _p50).text(1)]


def _cpu(outcome: Outcome) -> float:
    return outcome.cpu


def _p50(outcome: Outcome) -> float:
    return outcome.p50 / 1e3


def redis_program() -> Path:
    """Return redis-server: Debian's packages, unpacked below `build/` or installed.

    Raises:
        NotHere: it is not there.
    """
    for path in (UNPACKED / "usr/bin/redis-server", Path("/usr/bin/redis-server")):
        if path.exists():
            return path
    raise NotHere("needs Debian's redis-server")


def _libraries() -> dict[str, str]:
    found = sorted({str(path.parent) for path in UNPACKED.glob("usr/lib/*/*.so*")})
    return {"LD_LIBRARY_PATH": ":".join(found)} if found else {}


def _redis_version() -> str:
    done = subprocess.run(  # noqa: S603 - asks a peer for its version
        [redis_program(), "--version"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | _libraries(),
    )
    return done.stdout.partition("v=")[2].partition(" ")[0]
