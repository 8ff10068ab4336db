"""`make bench-idle`: what a server spends on connections that do nothing but answer its pings."""

import functools

from benchmarks.calibration import Calibration
from benchmarks.client import Load, run
from benchmarks.plot import Bar
from benchmarks.report import Table, write
from benchmarks.runs import Measured, Plan, plan, rounds, running
from benchmarks.service import Greenroom

CONNECTIONS = 20_000
SECONDS = 60.0
"""Two of the service's default intervals between pings."""


def measure(plan: Plan, ping_seconds: int = 30) -> Measured:
    """Hold connections for a while, and one alone, in every round; pings are on."""
    measured = Measured(Calibration(plan.attempts))
    settings = {"GREENROOM_PING_INTERVAL_SECONDS": str(ping_seconds)}
    for _ in rounds(plan):
        with running([functools.partial(Greenroom, settings=settings)]) as servers:
            for number in (1, plan.connections(CONNECTIONS)):
                if plan.wanted(f"{number:,}"):
                    load = Load(connections=number, hold=plan.seconds)
                    measured.take(f"{number:,}", servers, functools.partial(run, load=load))
    return measured


def table(plan: Plan, measured: Measured) -> Table:
    """Return the table of what was measured."""
    rows, bars = [], []
    for case in measured.outcomes:
        share = measured.series(
            case, Greenroom.name, lambda outcome: 100 * outcome.hold_cpu / outcome.hold_seconds
        )
        pings = measured.series(
            case, Greenroom.name, lambda outcome: outcome.pings / outcome.connections
        )
        rows.append([measured.calibration.shown(case), share.text(), pings.text(1)])
        bars.append(Bar(f"{case} connections", Greenroom.name, share))
    return Table(
        name="idle",
        title=f"Idle for {plan.seconds:.0f} seconds, with pings",
        columns=["connections", "server CPU, % of a core", "pings to a connection"],
        rows=rows,
        bars=bars,
        axis="server CPU, % of a core",
        notes=[measured.calibration.note()],
    )


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "", seconds=SECONDS)
    measured = measure(chosen)
    write(table(chosen, measured), chosen, measured.outcomes)


if __name__ == "__main__":
    main()
