"""What using up chat tokens costs a node whose store is PostgreSQL: CPU, and tokens a second.

The node's part runs in this process on the servers' core, as it does behind each connection that is
opened: each token goes alone to the redeemer, which gathers those that are to be expected, and what
comes while a statement is under way is the next one. PostgreSQL waits for its disk, and runs on the
other core. So many tokens are under way at once as the case says; none is used twice.
"""

import asyncio
import contextlib
import os
import resource
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable

import msgspec
import psutil
import uvloop

from benchmarks.plot import Bar
from benchmarks.processes import LOAD_CORE, SERVER_CORE
from benchmarks.report import Table, write
from benchmarks.runs import Plan, plan
from benchmarks.series import Series, progress
from greenroom.clock import Clock
from greenroom.messaging.redeemer import Redeemer
from greenroom.storage.postgres.store import PostgresStore
from scripts.servers.postgresql import PostgreSQL, postgresql

UNDER_WAY = (1, 50, 200, 1_000)
WANTED = 10_000
"""Tokens a second that a core of a node is to manage."""

Redeem = Callable[[str, int], Awaitable[bool]]


class Figures(msgspec.Struct, frozen=True):
    """Of one run: tokens in a second, CPU for one in microseconds, the time of one in ms."""

    rate: float
    node: float
    database: float
    p50: float

    @property
    def of_a_core(self) -> float:
        """Return how many tokens a second a core of the node would manage."""
        return 1e6 / self.node


def measure(plan: Plan) -> dict[str, list[Figures]]:
    """Return the figures of each case, one for each round."""
    numbers = {f"{number:,} under way": number for number in UNDER_WAY}
    outcomes: dict[str, list[Figures]] = {case: [] for case in numbers if plan.wanted(case)}
    with postgresql() as server:
        for process in (psutil.Process(server.pid), *_backends(server)):
            process.cpu_affinity([LOAD_CORE])
        url = server.create_database("redeem")
        for number in range(1, plan.rounds + 1):
            progress(f"round {number} of {plan.rounds}")
            for case, found in outcomes.items():
                found.append(_run(server, url, numbers[case], plan))
                progress(f"{case}: {found[-1].of_a_core:,.0f} tokens a second of a core")
    return outcomes


def _run(server: PostgreSQL, url: str, number: int, plan: Plan) -> Figures:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        return uvloop.run(_redeem(server, url, number, plan))
    finally:
        os.sched_setaffinity(0, before)


async def _redeem(server: PostgreSQL, url: str, number: int, plan: Plan) -> Figures:
    store = await PostgresStore.open(url)
    async with asyncio.TaskGroup() as tasks:
        redeem = Redeemer(store.token_uses, Clock(), tasks).redeem
        await _for(plan.warm_up, redeem, number)
        node, database, began = _cpu(), _database_cpu(server), time.monotonic()
        times = await _for(plan.seconds, redeem, number)
        seconds = time.monotonic() - began
        node, database = _cpu() - node, _database_cpu(server) - database
    await store.close()
    count = len(times)
    return Figures(
        rate=count / seconds,
        node=node / count * 1e6,
        database=database / count * 1e6,
        p50=statistics.median(times) * 1e3,
    )


async def _for(seconds: float, redeem: Redeem, number: int) -> list[float]:
    """Have so many tokens under way for so many seconds; return the seconds that each took."""
    times: list[float] = []
    end = time.monotonic() + seconds

    async def one_after_the_other() -> None:
        while (began := time.monotonic()) < end:
            if not await redeem(secrets.token_urlsafe(12), int(time.time() * 1e3)):
                raise RuntimeError("a new token was used already")
            times.append(time.monotonic() - began)

    await asyncio.gather(*(one_after_the_other() for _ in range(number)))
    return times


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _database_cpu(server: PostgreSQL) -> float:
    total = 0.0
    for process in (psutil.Process(server.pid), *_backends(server)):
        with contextlib.suppress(psutil.NoSuchProcess):
            used = process.cpu_times()
            total += used.user + used.system
    return total


def _backends(server: PostgreSQL) -> list[psutil.Process]:
    return psutil.Process(server.pid).children(recursive=True)


def table(outcomes: dict[str, list[Figures]]) -> Table:
    """Return the table of what was measured."""
    rows, bars = [], []
    for case, found in outcomes.items():
        of_a_core = Series([each.of_a_core for each in found])
        rows.append(
            [
                case,
                Series([each.rate for each in found]).text(0),
                Series([each.node for each in found]).text(1),
                of_a_core.text(0),
                Series([each.database for each in found]).text(1),
                Series([each.p50 for each in found]).text(1),
            ]
        )
        bars.append(Bar(case, "Greenroom", of_a_core))
    return Table(
        name="redeem",
        title="Tokens used up in PostgreSQL",
        columns=[
            "case",
            "tokens a second",
            "CPU µs of the node",
            "tokens a second of a core",
            "CPU µs of the database",
            "p50 ms",
        ],
        rows=rows,
        bars=bars,
        axis="tokens a second of a node's core",
        notes=[
            f"A core of a node is to manage {WANTED:,} a second.",
            "The load is in its CPU: a random id and two looks at the clock for each token.",
        ],
    )


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "")
    measured = measure(chosen)
    write(table(measured), chosen, measured)


if __name__ == "__main__":
    main()
