"""`make bench-connect`: what the server spends on one accepted connection.

Greenroom: accept, upgrade, open the token, redeem it once and durably, join the room. The C
reference: accept and a bare handshake. Both are warm: a tenth of the connections was opened and
closed before.
"""

from benchmarks.client import Load, run
from benchmarks.plot import Bar
from benchmarks.reference import Reference
from benchmarks.report import Table, write
from benchmarks.runs import Measured, Plan, plan, rounds, running
from benchmarks.service import Greenroom

CONNECTIONS = 5_000


def measure(plan: Plan) -> Measured:
    """Connect to both servers, in turns, in every round."""
    measured = Measured()
    number = plan.connections(CONNECTIONS)
    for _ in rounds(plan):
        with running([Reference, Greenroom]) as servers:
            for server in servers:
                run(server, Load(connections=max(1, number // 10)))
            for server in servers:
                outcome = run(server, Load(connections=number))
                measured.add(_case(plan), server.name, outcome)
    return measured


def table(plan: Plan, measured: Measured) -> Table:
    """Return the table of what was measured."""
    case = _case(plan)
    series = {
        server: measured.series(case, server, lambda outcome: outcome.connect)
        for server in (Reference.name, Greenroom.name)
    }
    rows = [
        [
            server,
            cpu.text(1),
            cpu.over(series[Reference.name]).text(),
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
        title=f"Connecting: {case}",
        columns=[
            "server",
            "CPU µs per connection",
            "ratio to C reference",
            "user-space µs",
            "connections per second",
        ],
        rows=rows,
        bars=[Bar(server, server, cpu, 1) for server, cpu in series.items()],
        axis="server CPU per accepted connection, µs",
        notes=[f"{Load(connections=1).concurrency} handshakes are on the way at a time."],
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
