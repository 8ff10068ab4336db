"""`make bench-connect`: what the server spends on one accepted connection.

Greenroom: accept, upgrade, open the token, redeem it once and durably, join the room. The C
reference and the bare Python server: accept and a bare handshake. All are warm: a tenth of the
connections was opened and closed before.
"""

import functools

from benchmarks.bare import BarePython
from benchmarks.calibration import Calibration
from benchmarks.client import Load, run
from benchmarks.plot import Bar
from benchmarks.reference import Reference
from benchmarks.report import Table, write
from benchmarks.runs import Measured, Plan, plan, rounds, running
from benchmarks.service import Greenroom

CONNECTIONS = 5_000
SERVERS = (Reference, BarePython, Greenroom)


def measure(plan: Plan) -> Measured:
    """Connect to each server, in turns, in every round."""
    measured = Measured(Calibration(plan.attempts))
    number = plan.connections(CONNECTIONS)
    for _ in rounds(plan):
        with running(SERVERS) as servers:
            for server in servers:
                run(server, Load(connections=max(1, number // 10)))
            measured.take(
                _case(plan), servers, functools.partial(run, load=Load(connections=number))
            )
    return measured


def table(plan: Plan, measured: Measured) -> Table:
    """Return the table of what was measured."""
    case = _case(plan)
    series = {
        server: measured.series(case, server, lambda outcome: outcome.connect)
        for server in measured.outcomes[case]
    }
    rows = [
        [
            server,
            cpu.text(1),
            cpu.over(series[Reference.name]).text(),
            cpu.over(series[BarePython.name]).text(),
            measured.series(
                case, server, lambda outcome: outcome.connect_user * 1e6 / outcome.connections
            ).text(1),
            measured.series(
                case, server, lambda outcome: outcome.connections / outcome.connect_seconds
            ).text(0),
        ]
        for server, cpu in series.items()
    ]
    return Table(
        name="connect",
        title=f"Connecting: {measured.calibration.shown(case)}",
        columns=[
            "server",
            "CPU µs per connection",
            "ratio to C reference",
            "ratio to bare Python",
            "user-space µs",
            "connections per second",
        ],
        rows=rows,
        bars=[Bar(server, server, cpu, 1) for server, cpu in series.items()],
        axis="server CPU per accepted connection, µs",
        notes=[
            f"{Load(connections=1).concurrency} handshakes are on the way at a time.",
            measured.calibration.note(),
        ],
    )


def _case(plan: Plan) -> str:
    return f"{plan.connections(CONNECTIONS):,} connections"


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "")
    measured = measure(chosen)
    write(table(chosen, measured), chosen, measured.outcomes)


if __name__ == "__main__":
    main()
