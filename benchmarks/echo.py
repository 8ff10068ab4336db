"""How much later a sender's own message comes back through NATS, at one node that is at rest."""

import functools
from collections.abc import Callable, Mapping, Sequence

from benchmarks.client import Load, Outcome, Server, run
from benchmarks.plot import Bar
from benchmarks.report import Table
from benchmarks.runs import Measured, Plan
from benchmarks.series import Series

CASE = "a sender's echo"
WANTED: Mapping[str, float] = {"R1": 3.0, "R3": 4.0, "R3, sync always": 15.0}
"""Milliseconds that each kind may add at most, at the median."""

NOTES = (
    "One viewer, alone in the room, sends a message when the one before came back.",
    "All servers share one core, and one disk.",
    "R1: one nats-server. R3: three that replicate. Sync always: the disk keeps a message first.",
)


class Echo:
    """The table: the same through each of some servers, of which the first has no NATS."""

    cases = (CASE,)

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers

    def measure(self, plan: Plan, measured: Measured) -> None:
        """Let all servers have their turn, once."""
        load = Load(connections=1, seconds=plan.seconds, warm_up=plan.warm_up)
        measured.take(CASE, self._servers, functools.partial(run, load=load))

    def table(self, plan: Plan, measured: Measured) -> Table:
        """Return the table of what was measured."""
        alone, *others = self._servers
        p50, p99 = (_series(measured, alone, figure).text(2) for figure in (_p50, _p99))
        return Table(
            name="cluster-echo",
            command="cluster",
            title="From a message to its echo",
            columns=["through", "p50 ms", "p50 added ms", "at most", "p99 ms", "p99 added ms"],
            rows=[[alone.name, p50, "", "", p99, ""]]
            + [self._row(measured, each) for each in others],
            bars=[
                Bar(each.name, "Greenroom", self._added(measured, each, _p50)) for each in others
            ],
            axis="added at the median, ms",
            notes=[
                *NOTES,
                measured.calibration.note(),
            ],
        )

    def _row(self, measured: Measured, server: Server) -> list[str]:
        wanted = WANTED.get(server.name)
        return [
            server.name,
            _series(measured, server, _p50).text(),
            self._added(measured, server, _p50).text(),
            "" if wanted is None else f"{wanted:g}",
            _series(measured, server, _p99).text(),
            self._added(measured, server, _p99).text(),
        ]

    def _added(
        self, measured: Measured, server: Server, figure: Callable[[Outcome], float]
    ) -> Series:
        alone = _series(measured, self._servers[0], figure)
        return _series(measured, server, figure).minus(alone)


def _series(measured: Measured, server: Server, figure: Callable[[Outcome], float]) -> Series:
    return measured.series(CASE, server.name, figure)


def _p50(outcome: Outcome) -> float:
    return outcome.p50 / 1e3


def _p99(outcome: Outcome) -> float:
    return outcome.p99 / 1e3
