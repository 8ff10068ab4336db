"""Many nodes in one process, by the service's own code: what grows with their number, and how fast.

Two things do. Each node tells all others once a second what is new of its rooms: here so many
`Presence` objects hear each other. And NATS carries a message to each node that has a viewer of the
room: here so many buses follow rooms on real nats-servers. Viewers are spread at random, as behind
a balancer that knows no rooms.

    python -m benchmarks.simulation    # run it, keep what it found, and reckon the page with that
"""

import asyncio
import logging
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import psutil
import structlog

from benchmarks.capacity import HEARING, PAGE, SIMULATED, TELLING, write
from benchmarks.machine import machine
from benchmarks.over_nats import Node
from benchmarks.processes import cpu_seconds
from benchmarks.runs import RESULTS
from benchmarks.simulated import Heard, Spread, Told
from greenroom.bus.base import About, Arrival, Position, RoomLine
from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.connection import Options
from greenroom.chat.presence import Presence
from greenroom.clock import Clock
from scripts.servers.nats_server import NatsServer, bus_of, nats_cluster

HEARING_SECONDS = 5.0

SETTLING = 8
"""Seconds after which all nodes know everything of each other."""


class _Air:
    """Carries what one node announces to all the others."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[bytes], None]] = []
        self.said = 0
        self._waiting: list[bytes] = []

    def on_announcement(
        self, receiver: Callable[[bytes], None], about: About = About.PRESENCE
    ) -> None:
        self.listeners.append(receiver)

    def announce(self, payload: bytes, about: About = About.PRESENCE) -> None:
        self.said += len(payload)
        self._waiting.append(payload)

    def carry(self) -> None:
        """Have everything heard by everybody, and what they say to that as well."""
        while self._waiting:
            carried, self._waiting = self._waiting, []
            for payload in carried:
                for listener in self.listeners:
                    listener(payload)


class _Line:
    """Gives a node what arrives in its rooms."""

    def __init__(self) -> None:
        self.listener: Callable[[Arrival], None] = lambda _: None

    def on_arrival(self, listener: Callable[[Arrival], None]) -> None:
        self.listener = listener


def placed(spread: Spread, seed: int = 1) -> list[dict[str, int]]:
    """Return for each node how many viewers it has of which rooms."""
    drawn = random.Random(seed)  # noqa: S311 - a sample that is the same every time
    there: list[dict[str, int]] = [{} for _ in range(spread.nodes)]
    for viewer in range(spread.viewers):
        room = f"arn:aws:ivschat:us-east-1:123456789012:room/Room{viewer % spread.rooms:08}"
        node = there[drawn.randrange(spread.nodes)]
        node[room] = node.get(room, 0) + 1
    return there


def telling(spread: Spread) -> Told:
    """Let nodes tell each other of all their viewers, and then of a second's messages."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    air, lines, nodes = _Air(), [], []
    before = _resident()
    for _ in range(spread.nodes):
        line = _Line()
        lines.append(line)
        nodes.append(Presence(air, _as_line(line), Clock(), b"key", _say_nothing))
    there = placed(spread)
    for number, node in enumerate(nodes):
        for room, viewers in there[number].items():
            for viewer in range(viewers):
                node.joined(room, f"user-{number}-{viewer}")
    for _ in range(SETTLING):
        _tick(nodes, air)
    kept = (_resident() - before) / max(1, spread.viewers * spread.nodes)
    said = air.said
    rooms = sum(map(len, there))
    for line, at in zip(lines, there, strict=True):
        for room in at:
            line.listener(Arrival(room, 1, []))
    began = time.process_time()
    _tick(nodes, air)
    cpu = time.process_time() - began
    news = rooms * (spread.nodes - 1)
    return Told(
        rooms=rooms / spread.nodes,
        news=news / spread.nodes,
        cpu=cpu / max(1, news) * 1e6,
        said=(air.said - said) / spread.nodes,
        kept=kept,
    )


def _tick(nodes: Sequence[Presence], air: _Air) -> None:
    for node in nodes:
        node.tick()
    air.carry()


def _as_line(line: _Line) -> RoomLine:
    """Take what a node listens to for the line that it would have."""
    return line  # type: ignore[return-value]  # nothing else of a line is asked for


def _say_nothing(room: str, position: Position) -> None:
    """Nothing is ever behind here."""


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


def hearing(spread: Spread, seconds: float) -> Heard:
    """Let a node of each room speak, one message after the other; count who hears them."""
    with tempfile.TemporaryDirectory() as name, nats_cluster(Path(name)) as servers:
        return heard_by(servers, spread, seconds)


def heard_by(servers: Sequence[NatsServer], spread: Spread, seconds: float) -> Heard:
    """Do it with servers that run."""
    return asyncio.run(_hearing(servers, spread, seconds))


async def _hearing(servers: Sequence[NatsServer], spread: Spread, seconds: float) -> Heard:
    options = Options(servers=bus_of(list(servers)).split(","), stream_bytes=8 << 20)
    nodes = [Node(await NatsBus.open(options)) for _ in range(spread.nodes)]
    there = placed(spread)
    for node, rooms in zip(nodes, there, strict=True):
        await node.begin(list(rooms))
    for node in nodes:
        node.arrived = 0
    processes = [psutil.Process(each.pid) for each in servers]
    family = [one for each in processes for one in (each, *each.children(recursive=True))]
    before = sum(cpu_seconds(each.pid) for each in family)
    theirs: dict[int, list[str]] = {}
    for room in {room for rooms in there for room in rooms}:
        theirs.setdefault(next(n for n, rooms in enumerate(there) if room in rooms), []).append(
            room
        )
    await asyncio.gather(*(nodes[number].speak(own, seconds) for number, own in theirs.items()))
    published = sum(len(node.times) for node in nodes)
    await asyncio.sleep(0.2)
    cpu = sum(cpu_seconds(each.pid) for each in family) - before
    heard = sum(node.arrived for node in nodes)
    for node in nodes:
        await node.bus.close()
    return Heard(nodes=heard / published, servers=cpu / published * 1e6)


def keep(results: Path, told: Sequence[Told], heard: Sequence[Heard]) -> None:
    """Keep among the results what was found with simulated nodes."""
    values = {"machine": machine(), "raw": {"told": told, "heard": heard}}
    text = msgspec.json.format(msgspec.json.encode(values), indent=1)
    (results / SIMULATED).parent.mkdir(exist_ok=True)
    (results / SIMULATED).write_bytes(text + b"\n")


if __name__ == "__main__":
    heard = [hearing(each, HEARING_SECONDS) for each in HEARING]
    keep(RESULTS, [telling(each) for each in TELLING], heard)
    write(PAGE)
