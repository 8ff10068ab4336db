"""What it costs that a room's viewers are at several nodes.

One cluster, of which some nodes have viewers; a room without viewers costs a node nothing.
"""

import functools
from collections.abc import Callable, Sequence

import msgspec

from benchmarks.client import Load, Outcome, Server, run
from benchmarks.nodes import Cluster
from benchmarks.plot import Bar
from benchmarks.report import Table
from benchmarks.runs import Measured, Plan
from benchmarks.series import Series

VIEWERS = 1_000
OF_A_NODE = 100
NODES = (1, 2, 4, 8)
FLAT, SHARE = 1.1, 0.05
"""What a delivery may cost over what it costs at one node; which part of it bus and streams."""

ACCOUNT = (
    "The account is of the nodes with viewers, of three nats-servers that replicate, and of"
    " PostgreSQL, all on one core. One message at a time, sent at the first node."
)


class Case(msgspec.Struct, frozen=True):
    """So many viewers, messages on the way, and who bears that; the first has no NATS."""

    name: str
    viewers: int
    window: int
    servers: Sequence[Server]

    def load(self, plan: Plan) -> Load:
        """Return what is done to each of them."""
        return Load(
            connections=plan.connections(self.viewers),
            window=self.window,
            burst=self.window,
            seconds=plan.seconds,
            warm_up=plan.warm_up,
        )


class Spread:
    """The table: all viewers at so many nodes, and so many at each of the most."""

    def __init__(self, alone: Server, whole: Cluster, nodes: Sequence[int], hearing: float) -> None:
        """Make it; `hearing` is what a message costs a node besides its viewers, microseconds."""
        spread = [whole.of(named(number), number) for number in nodes]
        self._hearing = hearing
        all_of_them, most = [alone, *spread], [alone, spread[-1]]
        self._cases = (
            Case(f"{VIEWERS:,} viewers, one at a time", VIEWERS, 1, all_of_them),
            Case(f"{VIEWERS:,} viewers, bursts of 10", VIEWERS, 10, all_of_them),
            Case(f"{OF_A_NODE} viewers a node, one at a time", OF_A_NODE * nodes[-1], 1, most),
        )
        self.cases = [case.name for case in self._cases]

    def measure(self, plan: Plan, measured: Measured) -> None:
        """Let all servers have their turn, once."""
        for case in self._cases:
            measured.take(case.name, case.servers, functools.partial(run, load=case.load(plan)))

    def table(self, plan: Plan, measured: Measured) -> Table:
        """Return the table of what was measured."""
        return Table(
            name="cluster-spread",
            command="cluster",
            title="Viewers of a room at several nodes",
            columns=[
                "viewers",
                "at",
                "CPU µs per delivery",
                "ratio to one without NATS",
                "ratio to 1 node",
                "of it NATS µs",
                "bus and streams",
                "p50 ms",
            ],
            rows=[self._row(measured, case, each) for case, each in self._each()],
            bars=[
                Bar(f"{case.name}, {each.name}", "Greenroom", _series(measured, case, each, _cpu))
                for case, each in self._each()
            ],
            axis="CPU of all servers for a delivery, µs",
            notes=[
                ACCOUNT,
                self._targets(),
                measured.calibration.note(),
            ],
        )

    def _targets(self) -> str:
        return (
            f"At several nodes a delivery is to cost {FLAT} times as much as at one, at most, and"
            f" bus and streams {SHARE:.0%} of it at {OF_A_NODE} viewers a node: what nats-servers"
            f" use, and {self._hearing:.1f} µs of each node for each message, as measured above."
        )

    def _each(self) -> list[tuple[Case, Server]]:
        return [(case, each) for case in self._cases for each in case.servers]

    def _row(self, measured: Measured, case: Case, server: Server) -> list[str]:
        alone, one, *others = case.servers
        cpu, latency = (_series(measured, case, server, figure) for figure in (_cpu, _p50))
        row = [measured.calibration.shown(case.name), server.name, cpu.text()]
        row.append(cpu.over(_series(measured, case, alone, _cpu)).text())
        if not isinstance(server, Cluster):
            return [*row, "", "", "", latency.text(1)]
        outcomes = measured.outcomes[case.name][server.name]
        nats = Series.of(outcomes, server.cpu_of_bus)
        shares = Series.of(outcomes, functools.partial(self._share, server))
        over_one = cpu.over(_series(measured, case, one, _cpu)).text() if server in others else ""
        return [*row, over_one, nats.text(), f"{shares.text(1)} %", latency.text(1)]

    def _share(self, server: Cluster, outcome: Outcome) -> float:
        """Return which part of a delivery's CPU bus and streams are, in percent."""
        heard = self._hearing * server.size * outcome.published / outcome.delivered
        return 100 * (server.cpu_of_bus(outcome) + heard) / outcome.cpu


def named(number: int) -> str:
    """Return how a cluster of so many nodes is called."""
    return "1 node" if number == 1 else f"{number} nodes"


def _series(
    measured: Measured, case: Case, server: Server, figure: Callable[[Outcome], float]
) -> Series:
    return measured.series(case.name, server.name, figure)


def _cpu(outcome: Outcome) -> float:
    return outcome.cpu


def _p50(outcome: Outcome) -> float:
    return outcome.p50 / 1e3
