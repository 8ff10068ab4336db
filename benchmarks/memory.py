"""`make bench-memory`: resident memory of an idle connection.

The growth of the server's resident memory from before the first connection to when all of them have
been idle for a while, divided by their number; a fresh server in every run. It does not depend on
the machine's speed: no run is taken again.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import cast

from benchmarks.bare import BarePython
from benchmarks.calibration import Calibration
from benchmarks.client import Load, Outcome, Server, run
from benchmarks.plot import Bar
from benchmarks.reference import Reference
from benchmarks.report import Table, write
from benchmarks.runs import Measured, Plan, plan, rounds, running
from benchmarks.service import Greenroom
from benchmarks.tls import idle_over_tls

SIZES = (1_000, 10_000)

TLS = ", TLS"
"""What the names of cases end with whose connections are encrypted."""


def measure(plan: Plan) -> Measured:
    """Fill a fresh server of each kind with each number of connections, in every round."""
    measured = Measured(Calibration(attempts=1))
    for _ in rounds(plan):
        for case, number in _cases(plan).items():
            if TLS in case:
                with running([_OverTls]) as servers:
                    measured.take(case, servers, _over_tls(plan, number))
                continue
            with running([Reference, BarePython, Greenroom]) as servers:
                load = Load(connections=number, hold=plan.seconds)
                measured.take(case, servers, functools.partial(run, load=load))
    return measured


class _OverTls(Greenroom):
    """The service with a certificate of its own."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, {"GREENROOM_DEV_TLS": "on"})


def _over_tls(plan: Plan, number: int) -> Callable[[Server], Outcome]:
    def turn(server: Server) -> Outcome:
        return idle_over_tls(cast(Greenroom, server), number, plan.seconds)

    return turn


def _cases(plan: Plan) -> dict[str, int]:
    numbers = [plan.connections(size) for size in SIZES]
    cases = {f"{number:,} connections": number for number in numbers}
    cases |= {f"{number:,} connections{TLS}": number for number in numbers}
    return {case: number for case, number in cases.items() if plan.wanted(case)}


def table(measured: Measured) -> Table:
    """Return the table of what was measured."""
    rows, bars = [], []
    for case, servers in measured.outcomes.items():
        for server in servers:
            memory = measured.series(case, server, per_connection)
            before = measured.series(case, server, lambda outcome: outcome.resident_before / 1024)
            ratio = (
                memory.over(measured.series(case, BarePython.name, per_connection)).text()
                if BarePython.name in servers
                else ""
            )
            rows.append([case, server, memory.text(), ratio, before.text(1)])
            bars.append(Bar(f"{case}: {server}", server, memory))
    return Table(
        name="memory",
        title="Memory of an idle connection",
        columns=[
            "case",
            "server",
            "KiB per connection",
            "ratio to bare Python",
            "MiB without connections",
        ],
        rows=rows,
        bars=bars,
        axis="resident memory per idle connection, KiB",
        notes=["Resident memory of the process; the kernel's own, for its sockets, is not in it."],
    )


def per_connection(outcome: Outcome) -> float:
    """Return KiB for each connection."""
    return (outcome.resident_held - outcome.resident_before) / outcome.connections


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "")
    measured = measure(chosen)
    write(table(measured), chosen, measured.outcomes)


if __name__ == "__main__":
    main()
