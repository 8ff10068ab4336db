"""What NATS between nodes costs a node, and the servers, for each message.

The measured node runs in this process on the servers' core: a bus as the service has it, without
connections. nats-server and the node that speaks to it run on the other core. In each of so many
rooms one message is on its way at a time, so that each has a round trip of its own: in a burst they
would share one. Every message must arrive, in its room's order.

Where eight nodes hear what one says, seven are connections of one process on the other core. It has
more to do then, and carries fewer messages; so the two are compared at a rate that both manage.
"""

import asyncio
import contextlib
import functools
import itertools
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.synchronize import Event
from pathlib import Path

import msgspec
import psutil
import uvloop

from benchmarks.calibration import Calibration
from benchmarks.plot import Bar
from benchmarks.processes import LOAD_CORE, SERVER_CORE, cpu_seconds
from benchmarks.report import Table
from benchmarks.runs import Plan
from benchmarks.series import Series, progress
from greenroom.bus.base import Arrival, Before, Deliver, RoomEnvelope
from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.connection import Options
from scripts.servers.nats_server import NatsServer, bus_of, nats_cluster, nats_server

ROOMS = 200
PAYLOAD = b'{"Type":"MESSAGE","Id":"AbCdEf012345","Content":"%s"}' % (b"x" * 350)
SERVERS = {"R1": 1, "R3": 3}
RATE = 2_000
"""Messages a second at which hearers are compared: the other core is half busy with seven more."""

HEARERS = 8
WANTED = 1.2
"""What a message may cost a node at most when eight hear it, over what it costs one alone."""


class Case(msgspec.Struct, frozen=True):
    """What the measured node does; `rate` of 0 is as many messages a second as there can be."""

    name: str
    own: bool = False
    hearers: int = 1
    rate: int = 0


OWN = Case("a message of its own: published, answered and seen", own=True)
OTHERS = Case("a message of another node")
ALONE = Case(f"the same at {RATE:,} a second, heard by 1 node", rate=RATE)
BESIDE = Case(f"the same at {RATE:,} a second, heard by {HEARERS}", hearers=HEARERS, rate=RATE)
CASES = (OWN, OTHERS, ALONE, BESIDE)

NOTES = (
    f"One message on its way in each of {ROOMS} rooms, {len(PAYLOAD)} bytes each.",
    "R1: one server, streams in files. R3: three servers that replicate them.",
    "The servers and the node that speaks share one core, which bounds R3's rate.",
    f"{HEARERS} nodes are to cost each of them {WANTED} times as much as one, at most.",
    "Seven of these share the other core. At so low a rate most of the cost is to be woken up.",
)


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

    async def speak(self, rooms: Sequence[str], seconds: float, rate: int = 0) -> None:
        """Have one message on its way in each room, for so many seconds.

        With a rate, each room has its turn so often that so many a second are sent in all.
        """
        begin = time.monotonic()
        end = begin + seconds

        async def one_after_the_other(number: int, room: str) -> None:
            due = begin + number / rate if rate else begin
            while (began := time.monotonic()) < end:
                if began < due:
                    await asyncio.sleep(due - began)
                    began = time.monotonic()
                await self.bus.publish(room, _grant)
                self.times.append(time.monotonic() - began)
                due += len(rooms) / rate if rate else 0

        await asyncio.gather(*map(one_after_the_other, itertools.count(), rooms))

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


def measure(plan: Plan, calibration: Calibration) -> dict[str, list[Figures]]:
    """Return the figures of each case, one for each round."""
    outcomes: dict[str, list[Figures]] = {}
    for kind, number in SERVERS.items():
        cases = {name: case for case in CASES if plan.wanted(name := named(kind, case))}
        if not cases:
            continue
        with _servers(number) as servers:
            for each in range(1, plan.rounds + 1):
                progress(f"{kind}, round {each} of {plan.rounds}")
                for name, case in cases.items():
                    turn = functools.partial(_run, servers, plan, case)
                    (found,) = calibration.turns(name, [turn])
                    outcomes.setdefault(name, []).append(found)
                    progress(f"{name}: {found.node:.1f} us of the node's CPU")
    return outcomes


def named(kind: str, case: Case) -> str:
    """Return the name of a case with a kind of servers."""
    return f"{kind}, {case.name}"


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


def _run(servers: list[NatsServer], plan: Plan, case: Case) -> Figures:
    with _on(SERVER_CORE):
        return uvloop.run(_measure(servers, plan, case))


async def _measure(servers: list[NatsServer], plan: Plan, case: Case) -> Figures:
    url, rooms = bus_of(servers), _rooms(plan.connections(ROOMS))
    bus = await NatsBus.open(Options(servers=url.split(",")))
    node = Node(bus)
    await node.begin(rooms)
    with contextlib.ExitStack() as stack:
        if case.hearers > 1:
            heard = stack.enter_context(_another(_hear, url, len(rooms), case.hearers - 1))
            await asyncio.to_thread(heard.wait)
        if not case.own:
            stack.enter_context(_another(_speak, url, len(rooms), case.rate))
        if case.own:
            await node.speak(rooms, plan.warm_up)
        else:
            await node.heard.wait()
            await asyncio.sleep(plan.warm_up)
        node.arrived, node.times = 0, []
        # Of this thread: calibration has one of its own.
        cpu, theirs, began = time.thread_time(), sum(map(_cpu_of, servers)), time.monotonic()
        await (node.speak(rooms, plan.seconds) if case.own else asyncio.sleep(plan.seconds))
        seconds, cpu = time.monotonic() - began, time.thread_time() - cpu
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
def _another(work: Callable[[Event, str, int, int], None], *words: object) -> Iterator[Event]:
    """Run other nodes in a process, for the length of a `with` block; give what tells they run."""
    spawning = multiprocessing.get_context("spawn")
    running = spawning.Event()
    process = spawning.Process(target=work, args=(running, *words), daemon=True)
    process.start()
    try:
        yield running
    finally:
        process.kill()
        process.join()


def _speak(running: Event, url: str, rooms: int, rate: int) -> None:
    os.sched_setaffinity(0, {LOAD_CORE})

    async def speak() -> None:
        bus = await NatsBus.open(Options(servers=url.split(",")))
        node = Node(bus)
        await node.begin(_rooms(rooms))
        running.set()
        await node.speak(_rooms(rooms), 3600, rate)

    uvloop.run(speak())


def _hear(running: Event, url: str, rooms: int, number: int) -> None:
    os.sched_setaffinity(0, {LOAD_CORE})

    async def hear() -> None:
        for _ in range(number):
            node = Node(await NatsBus.open(Options(servers=url.split(","))))
            await node.begin(_rooms(rooms))
        running.set()
        await asyncio.sleep(3600)

    uvloop.run(hear())


def _cpu_of(server: NatsServer) -> float:
    return sum(cpu_seconds(process.pid) for process in _processes(server))


@functools.cache
def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _processes(server: NatsServer) -> list[psutil.Process]:
    return _family(server.pid)


def hearing(outcomes: Mapping[str, Sequence[Figures]]) -> float:
    """Return what a message costs a node that hears it, in microseconds; 0 if not measured."""
    found = outcomes.get(named("R3", ALONE))
    return Series([each.node for each in found]).median if found else 0.0


def table(outcomes: dict[str, list[Figures]], calibration: Calibration) -> Table:
    """Return the table of what was measured."""
    rows, bars = [], []
    for case, found in outcomes.items():
        node = Series([each.node for each in found])
        times = Series([each.p50 for each in found])
        rows.append(
            [
                calibration.shown(case),
                node.text(1),
                _ratio(case, outcomes),
                Series([each.servers for each in found]).text(1),
                Series([each.rate for each in found]).text(0),
                times.text(1) if case.endswith(OWN.name) else "",
            ]
        )
        bars.append(Bar(case, "Greenroom", node))
    return Table(
        name="cluster",
        title="Messages over NATS",
        columns=[
            "case",
            "CPU µs of the node",
            "ratio to 1 node",
            "CPU µs of the servers",
            "messages a second",
            "p50 ms to its echo",
        ],
        rows=rows,
        bars=bars,
        axis="CPU of the node for each message, µs",
        notes=[
            *NOTES,
            calibration.note(),
        ],
    )


def _ratio(case: str, outcomes: dict[str, list[Figures]]) -> str:
    """Return what a message costs the node over what it costs when no other one hears it."""
    alone = outcomes.get(case.replace(BESIDE.name, ALONE.name))
    if not case.endswith(BESIDE.name) or alone is None:
        return ""
    node = Series([each.node for each in outcomes[case]])
    return node.over(Series([each.node for each in alone])).text()
