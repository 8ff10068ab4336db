"""What receiving costs `greenroom.client.ChatRoom`: messages a second of a core, memory of a room.

The rooms are in one process, on the load's core and Python's own event loop, with a listener each.
Every one must see every message once and in order. The messages have 300 bytes.
"""

import asyncio
import gc
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import msgspec

from benchmarks.plot import Bar
from benchmarks.processes import (
    LOAD_CORE,
    allow_descriptors,
    end,
    on_core,
    start_server,
    wait_until_ready,
)
from benchmarks.report import Table, write
from benchmarks.runs import Plan, plan
from benchmarks.series import Series, progress
from benchmarks.service import Greenroom
from greenroom.client import ChatMessage, ChatRoom

ROOMS = 1_000
AT_ONCE = 20
"""Rooms that connect at a time."""

TOGETHER = "one, as fast as they come"
APART = "one, each read for itself"
MANY = f"{ROOMS:,}, of the service"
WANTED = 10_000
"""Messages a second that a core is to receive."""

APART_MICROSECONDS = 200
TOGETHER_A_SECOND = 50_000
"""Of the messages that are written at once, so that a run lasts a while."""


class Figures(msgspec.Struct, frozen=True):
    """Of one run: messages received, CPU for one in µs; of a room, CPU to connect and memory."""

    received: int
    cpu: float
    connect_ms: float = 0
    kib: float = 0

    @property
    def of_a_core(self) -> float:
        """Return how many messages a second a core would receive."""
        return 1e6 / self.cpu


def measure(plan: Plan) -> dict[str, list[Figures]]:
    """Return the figures of each case, one for each round."""
    allow_descriptors()
    runs: dict[str, Callable[[Path], Figures]] = {
        TOGETHER: lambda path: _of_source(path, int(plan.seconds * TOGETHER_A_SECOND), 0),
        APART: lambda path: _of_source(
            path, int(plan.seconds * 1e6 / APART_MICROSECONDS), APART_MICROSECONDS
        ),
        MANY: lambda path: _of_service(path, plan),
    }
    outcomes: dict[str, list[Figures]] = {case: [] for case in runs if plan.wanted(case)}
    for number in range(1, plan.rounds + 1):
        progress(f"round {number} of {plan.rounds}")
        for case, found in outcomes.items():
            with tempfile.TemporaryDirectory() as directory:
                found.append(runs[case](Path(directory)))
            progress(f"{case}: {found[-1].of_a_core:,.0f} messages a second of a core")
    return outcomes


def _of_source(directory: Path, count: int, microseconds: int) -> Figures:
    log = directory / "log"
    command = [sys.executable, "-m", "benchmarks.source", str(count), str(microseconds)]
    process = start_server(command, log)
    try:
        port = int(wait_until_ready(process, log, "port ").split()[1])
        with on_core(LOAD_CORE):
            return asyncio.run(_receive(f"ws://127.0.0.1:{port}/", count))
    finally:
        end(process)


async def _receive(url: str, count: int) -> Figures:
    """Receive messages in one room until the server closes."""
    seen: list[str] = []
    room = _room(url, "token", seen)
    over = asyncio.Event()
    room.add_listener("disconnect", lambda _: over.set())
    await room.connect()
    used = _cpu()
    await over.wait()
    used = _cpu() - used
    if seen != [f"{number:012}" for number in range(count)]:
        raise RuntimeError(f"{len(seen)} of {count} messages came, or in another order")
    return Figures(count, used / count * 1e6)


def _of_service(directory: Path, plan: Plan) -> Figures:
    server = Greenroom(directory)
    try:
        count = plan.connections(ROOMS)
        tokens = server.tokens(server.room(), count)
        url = f"ws://127.0.0.1:{server.port}/"
        # A process of its own: what another run gave back would be taken again, and not counted.
        with on_core(LOAD_CORE), ProcessPoolExecutor(1, get_context("spawn")) as process:
            return process.submit(_run_many, url, list(tokens), plan.seconds).result()
    finally:
        server.stop()


def _run_many(url: str, tokens: list[str], seconds: float) -> Figures:
    return asyncio.run(_receive_in_many(url, tokens, seconds))


async def _receive_in_many(url: str, tokens: list[str], seconds: float) -> Figures:
    """Connect a room for each token; let one send, and all receive, for some seconds."""
    seen: list[list[str]] = [[] for _ in tokens]
    gc.collect()
    resident, used = _resident_kib(), _cpu()
    rooms = [_room(url, token, of) for token, of in zip(tokens, seen, strict=True)]
    await _each_few(room.connect() for room in rooms)
    connect = (_cpu() - used) / len(rooms) * 1e3
    kib = (_resident_kib() - resident) / len(rooms)
    used, until = _cpu(), time.monotonic() + seconds
    sent: list[str] = []
    while time.monotonic() < until:
        sent.append((await rooms[0].send_message("x" * 100)).id)
    async with asyncio.timeout(60):
        while sum(map(len, seen)) < len(sent) * len(rooms):  # noqa: ASYNC110 - a hook would cost
            await asyncio.sleep(0.01)
    used = _cpu() - used
    if any(each != sent for each in seen):
        raise RuntimeError("a room missed, repeated or reordered a message")
    await _each_few(room.disconnect() for room in rooms)
    received = len(sent) * len(rooms)
    return Figures(received, used / received * 1e6, connect, kib)


def _room(url: str, token: str, seen: list[str]) -> ChatRoom:
    async def provide() -> str:
        return token

    def take(message: ChatMessage) -> None:
        seen.append(message.id)

    room = ChatRoom(url, provide)
    room.add_listener("message", take)
    return room


async def _each_few(calls: Iterator[Awaitable[None]]) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(call: Awaitable[None]) -> None:
        async with turns:
            await call

    await asyncio.gather(*map(one, calls))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident_kib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1024


def table(outcomes: dict[str, list[Figures]]) -> Table:
    """Return the table of what was measured."""
    rows, bars = [], []
    for case, found in outcomes.items():
        of_a_core = Series([each.of_a_core for each in found])
        row = [case, of_a_core.text(0), Series([each.cpu for each in found]).text(1)]
        if case == MANY:
            row.append(Series([each.connect_ms for each in found]).text(1))
            row.append(Series([each.kib for each in found]).text(0))
        rows.append([*row, *[""] * (5 - len(row))])
        bars.append(Bar(case, "ChatRoom", of_a_core))
    return Table(
        name="chatroom",
        title="Messages received by the Python client",
        columns=[
            "ChatRooms",
            "messages a second of a core",
            "CPU µs of a message",
            "CPU ms to connect one",
            "KiB of one",
        ],
        rows=rows,
        bars=bars,
        axis="messages a second of a core",
        notes=[
            f"A core is to receive {WANTED:,} a second.",
            "Each room has a listener; every room saw every message once and in order.",
            "One of the many sends, one message after the other; its CPU is among that of all.",
        ],
    )


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "")
    measured = measure(chosen)
    write(table(measured), chosen, measured)


if __name__ == "__main__":
    main()
