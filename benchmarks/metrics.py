"""`make bench-metrics`: what counting adds to the fan-out.

The service and the same service with a fan-out that counts nothing take turns. Every delivery is
counted by the client, and its order checked.
"""

import functools
from collections.abc import Iterator

import msgspec

from benchmarks.calibration import Calibration
from benchmarks.client import Load, Outcome, run
from benchmarks.plot import Bar
from benchmarks.report import Table, write
from benchmarks.runs import Measured, Plan, plan, rounds, running
from benchmarks.series import Series
from benchmarks.service import Greenroom

ROUNDS = 15
"""More than other tables: the difference is smaller than what the machine's speed varies by."""

MAXIMUM_PERCENT = 3.0


class Uncounted(Greenroom):
    """The service without counting in its fan-out."""

    name = "without counting"
    module = "benchmarks.uncounted"


def cases(plan: Plan) -> dict[str, Load]:
    """Return the loads: from counting that many connections share, to counting for two."""
    thousand = plan.connections(1_000)
    load = Load(connections=thousand, seconds=plan.seconds, warm_up=plan.warm_up)
    change = msgspec.structs.replace
    loads = {
        f"one at a time, {thousand:,} connections": load,
        f"bursts of 10, {thousand:,} connections": change(load, window=10, burst=10),
        f"{thousand // 10:,} rooms of 10": change(load, rooms=thousand // 10, window=100),
        f"{thousand // 2:,} rooms of 2": change(load, rooms=thousand // 2, window=100),
    }
    return {name: each for name, each in loads.items() if plan.wanted(name)}


def measure(plan: Plan) -> Measured:
    """Run every case on both, in turns, in every round; who begins alternates."""
    measured = Measured(Calibration(plan.attempts))
    for number in rounds(plan):
        with running([Greenroom, Uncounted]) as servers:
            for name, load in cases(plan).items():
                order = servers[:: 1 if number % 2 else -1]
                measured.take(name, order, functools.partial(run, load=load))
    return measured


def table(plan: Plan, measured: Measured) -> Table:
    """Return the table of what was measured."""
    names = list(cases(plan))
    return Table(
        name="metrics",
        title="What metrics cost the fan-out",
        columns=[
            "case",
            "CPU µs per delivery",
            "without counting",
            "what counting adds, %",
        ],
        rows=list(_rows(names, measured)),
        bars=[
            Bar(f"{name}: {server}", server, measured.series(name, server, _cpu))
            for name in names
            for server in (Greenroom.name, Uncounted.name)
        ],
        axis="server CPU per delivery, µs",
        notes=(
            "CPU is the server's, all threads, from the scheduler's account.",
            "What counting adds compares two runs of one round; who begins alternates.",
            f"The bound is {MAXIMUM_PERCENT:.0f} % for the median.",
            "Rooms: 100 messages on the way, to the rooms in turn.",
            measured.calibration.note(),
        ),
    )


def _rows(names: list[str], measured: Measured) -> Iterator[list[str]]:
    for name in names:
        counting = measured.series(name, Greenroom.name, _cpu)
        silent = measured.series(name, Uncounted.name, _cpu)
        ratios = counting.over(silent)
        added = Series([(ratio - 1) * 100 for ratio in ratios.values])
        yield [measured.calibration.shown(name), counting.text(), silent.text(), added.text(1)]


def _cpu(outcome: Outcome) -> float:
    return outcome.cpu


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "", rounds=ROUNDS)
    measured = measure(chosen)
    write(table(chosen, measured), chosen, measured.outcomes)


if __name__ == "__main__":
    main()
