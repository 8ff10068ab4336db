"""`make bench-cluster`: what it costs that rooms are served by several nodes, over NATS.

Four tables of one run: what a message costs a node and NATS; viewers of a room at one, two, four
and eight nodes; how late a sender hears of his own message; and other servers over two nodes.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import msgspec

from benchmarks import cluster_peers, echo, over_nats, spread
from benchmarks.calibration import Calibration
from benchmarks.client import Server
from benchmarks.nodes import Cluster, cluster, database
from benchmarks.report import Table, write
from benchmarks.runs import Measured, Plan, plan, rounds
from benchmarks.service import Greenroom

SYNC = "R3, sync always"


class Alone(Greenroom):
    """The service without NATS, beside the clusters."""

    name = "one node, no NATS"


class Stage(msgspec.Struct, frozen=True):
    """All servers of ours that are measured; they are idle except in their turn."""

    alone: Alone
    many: Cluster
    """Three nats-servers that replicate."""
    two: Cluster
    """One nats-server."""
    synchronous: Cluster


class Part(Protocol):
    """What one table is of."""

    @property
    def cases(self) -> Sequence[str]:
        """The names of its cases."""

    def measure(self, plan: Plan, measured: Measured) -> None:
        """Let all servers have their turn, once."""

    def table(self, plan: Plan, measured: Measured) -> Table:
        """Return the table of what was measured."""


@contextlib.contextmanager
def stage(nodes: int) -> Iterator[Stage]:
    """Run it for the length of a `with` block; the largest cluster has as many nodes."""
    with contextlib.ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="greenroom-bench-"))
        directory = Path(name)
        server = stack.enter_context(database())
        alone = Alone(directory)
        stack.callback(alone.stop)
        many, two, synchronous = (
            stack.enter_context(running)
            for running in (
                cluster("R3", server, directory, nodes=nodes, replicas=3),
                cluster("R1", server, directory, nodes=2, replicas=1),
                cluster(SYNC, server, directory, nodes=1, replicas=3, sync_interval="always"),
            )
        )
        yield Stage(alone, many, two, synchronous)


def measure(
    plan: Plan,
    calibration: Calibration,
    starting: AbstractContextManager[Stage],
    nodes: Sequence[int],
) -> Iterator[tuple[Table, object]]:
    """Measure everything that is wanted; give each table, and what it was made of."""
    heard = over_nats.measure(plan, calibration)
    if heard:
        yield over_nats.table(heard, calibration), heard
    measured = Measured(calibration)
    with starting as servers:
        parts = [
            part for part in _parts(servers, nodes, heard) if any(map(plan.wanted, part.cases))
        ]
        for _ in rounds(plan):
            for part in parts:
                part.measure(plan, measured)
    for part in parts:
        raw = {case: measured.outcomes[case] for case in part.cases if case in measured.outcomes}
        yield part.table(plan, measured), raw


def _parts(
    servers: Stage, nodes: Sequence[int], heard: dict[str, list[over_nats.Figures]]
) -> list[Part]:
    ours: list[Server] = [
        servers.many.of("Greenroom, NATS with three copies", 2),
        servers.two.of("Greenroom, NATS with one copy", 2),
    ]
    ways: list[Server] = [
        servers.alone,
        servers.two.of("R1", 1),
        servers.many.of("R3", 1),
        servers.synchronous,
    ]
    hearing = over_nats.hearing(heard)
    return [
        spread.Spread(servers.alone, servers.many, nodes, hearing),
        echo.Echo(ways),
        cluster_peers.OverTwo(ours, cluster_peers.field()),
    ]


def main() -> None:
    """Measure and write the tables."""
    chosen, starting = plan(__doc__ or ""), stage(spread.NODES[-1])
    for table, raw in measure(chosen, Calibration(chosen.attempts), starting, spread.NODES):
        write(table, chosen, raw)


if __name__ == "__main__":
    main()
