"""`make bench-cluster`: what NATS between nodes costs a node, and the servers, for each message.

The measured node runs in this process on the servers' core: a bus as the service has it, without
connections. nats-server and the node that speaks to it run on the other core. In each of so many
rooms one message is on its way at a time, so that each has a round trip of its own: in a burst they
would share one. Every message must arrive, in its room's order.
"""

import asyncio
import contextlib
import functools
import itertools
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import msgspec
import psutil
import uvloop

from benchmarks.plot import Bar
from benchmarks.processes import LOAD_CORE, SERVER_CORE
from benchmarks.report import Table, write
from benchmarks.runs import Plan, plan
from benchmarks.series import Series, progress
from greenroom.bus.base import Arrival, Before, Deliver, RoomEnvelope
from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.connection import Options
from scripts.servers.nats_server import NatsServer, bus_of, nats_cluster, nats_server

ROOMS = 200
PAYLOAD = b'{"Type":"MESSAGE","Id":"AbCdEf012345","Content":"%s"}' % (b"x" * 350)
SERVERS = {"R1": 1, "R3": 3}
OWN, OTHERS = "a message of its own: published, answered and seen", "a message of another node"


class Figures(msgspec.Struct, frozen=True):
    """Of one run: messages a second, CPU for each in microseconds, ms from publishing to seeing."""

    rate: float
    node: float
    servers: float
    p50: float


class Node:
    """A node that follows every room, and counts what arrives."""

    def __init__(self, bus: NatsBus) -> None:
        self.bus = bus
        self.arrived = 0
        self.times: list[float] = []
        self.heard = asyncio.Event()
        self._positions: dict[str, int] = {}
        bus.on_arrival(self._receive)

    async def begin(self, rooms: Sequence[str]) -> None:
        """Follow the rooms."""
        await self.bus.start()
        for room in rooms:
            following = self.bus.follow(room)
            if following is not None:
                await following

    async def speak(self, rooms: Sequence[str], seconds: float) -> None:
        """Have one message on its way in each room, for so many seconds."""
        end = time.monotonic() + seconds

        async def one_after_the_other(room: str) -> None:
            while (began := time.monotonic()) < end:
                await self.bus.publish(room, _grant)
                self.times.append(time.monotonic() - began)

        await asyncio.gather(*map(one_after_the_other, rooms))

    def _receive(self, arrival: Arrival) -> None:
        if arrival.position <= self._positions.get(arrival.room, 0):
            raise RuntimeError("a message came twice, or out of its order")
        self._positions[arrival.room] = arrival.position
        self.arrived += len(arrival.envelopes)
        self.heard.set()


def _grant(before: Before) -> RoomEnvelope:
    time_ns = max(time.time_ns(), before.time_ns + 1)
    return Deliver(PAYLOAD, "SendMessage", id="AbCdEf012345", time_ns=time_ns, rate=100)


def _rooms(number: int) -> list[str]:
    return [f"arn:aws:ivschat:us-east-1:123456789012:room/Room{each:08}" for each in range(number)]


def measure(plan: Plan) -> dict[str, list[Figures]]:
    """Return the figures of each case, one for each round."""
    names = [f"{kind}, {what}" for kind, what in itertools.product(SERVERS, (OWN, OTHERS))]
    outcomes: dict[str, list[Figures]] = {name: [] for name in names if plan.wanted(name)}
    for kind, number in SERVERS.items():
        cases = {name: found for name, found in outcomes.items() if name.startswith(kind)}
        if not cases:
            continue
        with _servers(number) as servers:
            for each in range(1, plan.rounds + 1):
                progress(f"{kind}, round {each} of {plan.rounds}")
                for name, found in cases.items():
                    found.append(_run(servers, plan, own=name.endswith(OWN)))
                    progress(f"{name}: {found[-1].node:.1f} us of the node's CPU")
    return outcomes


@contextlib.contextmanager
def _servers(number: int) -> Iterator[list[NatsServer]]:
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        with _on(LOAD_CORE):
            if number == 1:
                servers = [stack.enter_context(nats_server(directory))]
            else:
                servers = stack.enter_context(nats_cluster(directory, number))
        yield servers


@contextlib.contextmanager
def _on(core: int) -> Iterator[None]:
    """Run this process, and what it starts, on one core for the length of a `with` block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _run(servers: list[NatsServer], plan: Plan, *, own: bool) -> Figures:
    with _on(SERVER_CORE):
        return uvloop.run(_measure(servers, plan, own=own))


async def _measure(servers: list[NatsServer], plan: Plan, *, own: bool) -> Figures:
    url, rooms = bus_of(servers), _rooms(plan.connections(ROOMS))
    bus = await NatsBus.open(Options(servers=url.split(",")))
    node = Node(bus)
    await node.begin(rooms)
    with contextlib.nullcontext() if own else _speaker(url, len(rooms)):
        if own:
            await node.speak(rooms, plan.warm_up)
        else:
            await node.heard.wait()
            await asyncio.sleep(plan.warm_up)
        node.arrived, node.times = 0, []
        cpu, theirs, began = _cpu(), sum(map(_cpu_of, servers)), time.monotonic()
        await (node.speak(rooms, plan.seconds) if own else asyncio.sleep(plan.seconds))
        seconds, cpu = time.monotonic() - began, _cpu() - cpu
        theirs = sum(map(_cpu_of, servers)) - theirs
        count = node.arrived
    await bus.close()
    return Figures(
        rate=count / seconds,
        node=cpu / count * 1e6,
        servers=theirs / count * 1e6,
        p50=statistics.median(node.times) * 1e3 if node.times else 0.0,
    )


@contextlib.contextmanager
def _speaker(url: str, rooms: int) -> Iterator[BaseProcess]:
    """Run another node that speaks, for the length of a `with` block."""
    speaker = multiprocessing.get_context("spawn").Process(
        target=_speak, args=(url, rooms), daemon=True
    )
    speaker.start()
    try:
        yield speaker
    finally:
        speaker.kill()
        speaker.join()


def _speak(url: str, rooms: int) -> None:
    os.sched_setaffinity(0, {LOAD_CORE})

    async def speak() -> None:
        bus = await NatsBus.open(Options(servers=url.split(",")))
        node = Node(bus)
        await node.begin(_rooms(rooms))
        await node.speak(_rooms(rooms), 3600)

    uvloop.run(speak())


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _cpu_of(server: NatsServer) -> float:
    return sum(
        process.cpu_times().user + process.cpu_times().system for process in _processes(server)
    )


@functools.cache
def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _processes(server: NatsServer) -> list[psutil.Process]:
    return _family(server.pid)


def table(outcomes: dict[str, list[Figures]]) -> Table:
    """Return the table of what was measured."""
    rows, bars = [], []
    for case, found in outcomes.items():
        node = Series([each.node for each in found])
        times = Series([each.p50 for each in found])
        rows.append(
            [
                case,
                node.text(1),
                Series([each.servers for each in found]).text(1),
                Series([each.rate for each in found]).text(0),
                times.text(1) if case.endswith(OWN) else "",
            ]
        )
        bars.append(Bar(case, "Greenroom", node))
    return Table(
        name="cluster",
        title="Messages over NATS",
        columns=[
            "case",
            "CPU µs of the node",
            "CPU µs of the servers",
            "messages a second",
            "p50 ms to its echo",
        ],
        rows=rows,
        bars=bars,
        axis="CPU of the node for each message, µs",
        notes=[
            f"One message on its way in each of {ROOMS} rooms, {len(PAYLOAD)} bytes each.",
            "R1: one server, streams in files. R3: three servers that replicate them.",
            "The servers and the node that speaks share one core, which bounds R3's rate.",
        ],
    )


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "")
    measured = measure(chosen)
    write(table(measured), chosen, measured)


if __name__ == "__main__":
    main()
