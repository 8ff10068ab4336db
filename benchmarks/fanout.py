"""`make bench-fanout`: what it costs to write one message to everybody in a room.

Greenroom, as it is and without io_uring, the C reference and the bare Python server take turns.
Every delivery is counted, and its order checked.
"""

import functools
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.bare import BarePython
from benchmarks.calibration import Calibration
from benchmarks.client import Load, Outcome, run
from benchmarks.plot import Bar
from benchmarks.reference import Reference
from benchmarks.report import Table, write
from benchmarks.runs import Measured, Plan, plan, rounds, running
from benchmarks.series import Series
from benchmarks.service import Greenroom

IN_FLIGHT_OVER_ROOMS = 100
"""Messages on the way when these go to many rooms in turn."""

SENDER_WINDOW = 2_048
"""Enough to keep a server busy that answers once in 20 ms."""

SENDER_BURST = 32
STEADY = 2.5
"""A steady room is measured so many times as long: it is idle for the most part."""


class OneByOne(Greenroom):
    """The service where the system refuses io_uring, as in most containers."""

    name = "Greenroom without io_uring"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, {"GREENROOM_IO_URING": "off"})


class Case(msgspec.Struct, frozen=True):
    """A row of the table; `base` names the row whose cost it may exceed by a factor only."""

    name: str
    load: Load
    base: str = ""

    def is_for(self, server: str) -> bool:
        """Return whether it says something of a server: io_uring counts in one room."""
        return server != OneByOne.name or (not self.base and self.load.connections > 1)


def cases(plan: Plan) -> list[Case]:
    """Return the rows, in the order in which they are measured."""
    thousand, five, most = (plan.connections(number) for number in (1_000, 5_000, 20_000))
    load = Load(connections=thousand, seconds=plan.seconds, warm_up=plan.warm_up)
    one = f"one at a time, {thousand:,} connections"
    all_cases = [
        Case(one, load),
        Case(f"one at a time, {five:,} connections", _replace(load, connections=five)),
        *(
            Case(
                f"bursts of 10, {number:,} connections",
                _replace(load, connections=number, window=10, burst=10),
            )
            for number in (thousand, five)
        ),
        *(
            Case(
                f"{how} {rate} a second, {thousand:,} connections",
                _replace(load, rate=rate, random=how == "random", seconds=plan.seconds * STEADY),
            )
            for how, rate in (("steady", 100), ("random", 100), ("steady", 10))
        ),
        Case(f"one at a time, {most:,} connections", _replace(load, connections=most), one),
        *(
            Case(
                f"{most // members:,} rooms, {most:,} connections",
                _replace(
                    load, connections=most, rooms=most // members, window=IN_FLIGHT_OVER_ROOMS
                ),
                one,
            )
            for members in (10, 2)
        ),
        Case(
            "one sender alone",
            _replace(load, connections=1, window=SENDER_WINDOW, burst=SENDER_BURST),
        ),
    ]
    return [case for case in all_cases if plan.wanted(case.name) or case.name == one]


_replace = msgspec.structs.replace


def measure(plan: Plan) -> Measured:
    """Run every case on its servers, in turns, in every round."""
    measured = Measured(Calibration(plan.attempts))
    for _ in rounds(plan):
        with running([Reference, BarePython, Greenroom, OneByOne]) as servers:
            for case in cases(plan):
                measured.take(
                    case.name,
                    [server for server in servers if case.is_for(server.name)],
                    functools.partial(run, load=case.load),
                )
    return measured


def table(plan: Plan, measured: Measured) -> Table:
    """Return the table of what was measured."""
    rows = [row for case in cases(plan) for row in _rows(case, measured)]
    bars = [
        Bar(f"{case.name}: {server}", server, Series.of(outcomes, _cpu))
        for case in cases(plan)
        if case.load.connections > 1
        for server, outcomes in measured.outcomes[case.name].items()
    ]
    return Table(
        name="fanout",
        title="Fan-out",
        columns=[
            "case",
            "server",
            "CPU µs per delivery",
            "ratio to C reference",
            "ratio to bare Python",
            "ratio to 1,000",
            "user-space µs",
            "deliveries per second of a core",
            "p50 ms",
            "p99 ms",
            "p50 added ms",
            "client CPU",
        ],
        rows=rows,
        bars=bars,
        axis="server CPU per delivery, µs",
        notes=(*NOTES, measured.calibration.note()),
    )


NOTES = (
    "CPU is the server's, all threads, from the scheduler's account.",
    "A ratio is that of two runs of one round; deliveries per second follow from the CPU.",
    "One at a time: a message is sent when everybody has the one before.",
    "Bursts of 10: ten messages are sent when everybody has the ten before.",
    "Steady: sent by the clock; latency counts from when a message was due to each delivery.",
    "Random: the same at the times of a Poisson process, as many senders make them together.",
    f"Rooms: {IN_FLIGHT_OVER_ROOMS} messages on the way, to the rooms in turn.",
    f"One sender alone: {SENDER_WINDOW:,} messages on the way; a delivery is its own echo.",
    "The client never sleeps: its CPU tells whether it had its core for itself.",
)


def _rows(case: Case, measured: Measured) -> Iterator[list[str]]:
    reference, bare = (
        measured.series(case.name, name, _cpu) for name in (Reference.name, BarePython.name)
    )
    base_p50 = measured.series(case.name, Reference.name, _p50)
    for server in measured.outcomes[case.name]:
        cpu = measured.series(case.name, server, _cpu)
        growth = cpu.over(measured.series(case.base, server, _cpu)).text() if case.base else ""
        p50 = measured.series(case.name, server, _p50)
        yield [
            measured.calibration.shown(case.name),
            server,
            cpu.text(),
            cpu.over(reference).text() if server != Reference.name else "1",
            cpu.over(bare).text() if server != BarePython.name else "1",
            growth,
            measured.series(case.name, server, lambda outcome: outcome.user).text(),
            f"{1e6 / cpu.median:,.0f}",
            p50.text(1),
            measured.series(case.name, server, lambda outcome: outcome.p99 / 1e3).text(1),
            p50.minus(base_p50).text(1) if case.load.rate and server != Reference.name else "",
            _share(measured.series(case.name, server, lambda outcome: outcome.client_share)),
        ]


def _share(series: Series) -> str:
    return f"{series.median:.0%}"


def _cpu(outcome: Outcome) -> float:
    return outcome.cpu


def _p50(outcome: Outcome) -> float:
    return outcome.p50 / 1e3


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "")
    measured = measure(chosen)
    write(table(chosen, measured), chosen, measured.outcomes)


if __name__ == "__main__":
    main()
