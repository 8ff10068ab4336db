"""`make bench-cores`: what two processes behind one port carry, compared with one.

The same load goes to a service of one process and to one of two, in turns. The second process is on
the load's core, so that the rate says nothing: the account does. A service carries what its busiest
process can: twice as much when that has half to do.
"""

import functools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import psutil

from benchmarks.calibration import Calibration
from benchmarks.client import Load, Outcome, Target, run
from benchmarks.nodes import Node, Place, database
from benchmarks.plot import Bar
from benchmarks.processes import LOAD_CORE, SERVER_CORE, on_core
from benchmarks.report import Table, write
from benchmarks.runs import Measured, Plan, plan, rounds
from benchmarks.series import Series
from scripts.servers.nats_server import nats_server
from scripts.servers.node import new_secrets_key

WANTED = 1.7
ONE, TWO = "one process", "two processes"
IN_FLIGHT = 20
"""Messages on the way when these go to many rooms in turn."""


class Service(Node):
    """A service of so many processes, each on a core of its own as far as there are any."""

    def __init__(self, name: str, place: Place, processes: int) -> None:
        self.name = name
        own = msgspec.structs.replace(place, processes=processes)
        super().__init__(own)
        for pid, core in zip(self.pids, (SERVER_CORE, LOAD_CORE), strict=False):
            psutil.Process(pid).cpu_affinity([core])

    @property
    def pids(self) -> list[int]:
        """The processes that serve."""
        found: list[int] = self._ready["processes"]
        return found or [self.pid]

    def target(self, load: Load) -> Target:
        first, *others = self.pids
        return msgspec.structs.replace(super().target(load), pid=first, further_pids=others)


def cases(plan: Plan) -> dict[str, Load]:
    """Return the loads."""
    thousand, many = plan.connections(1_000), plan.connections(2_000)
    load = Load(connections=thousand, seconds=plan.seconds, warm_up=plan.warm_up)
    change = msgspec.structs.replace
    loads = {
        f"one at a time, {thousand:,} connections": load,
        f"one at a time, {5 * thousand:,} connections": change(load, connections=5 * thousand),
        f"{many // 100:,} rooms of 100": change(
            load, connections=many, rooms=many // 100, window=IN_FLIGHT
        ),
    }
    return {name: each for name, each in loads.items() if plan.wanted(name)}


@contextmanager
def services(directory: Path) -> Iterator[list[Service]]:
    """Run both services for the length of a `with` block, on one PostgreSQL and NATS."""
    with ExitStack() as stack:
        server = stack.enter_context(database())
        with on_core(SERVER_CORE):
            bus = stack.enter_context(nats_server(directory / "nats"))
        server.create_database("cores")
        place = Place(directory, server, "cores", bus.url, new_secrets_key())
        made = []
        for name, processes in ((ONE, 1), (TWO, 2)):
            made.append(Service(name, place, processes))
            stack.callback(made[-1].stop)
        yield made


def measure(plan: Plan) -> Measured:
    """Run every case on both, in turns, in every round."""
    measured = Measured(Calibration(plan.attempts))
    with TemporaryDirectory(prefix="greenroom-bench-") as name, services(Path(name)) as both:
        for _ in rounds(plan):
            for case, load in cases(plan).items():
                measured.take(case, both, functools.partial(run, load=load))
    return measured


def busiest(outcome: Outcome) -> float:
    """Return the CPU of the process with most to do, in microseconds for each delivery."""
    return max(outcome.server_cpus) * 1e6 / outcome.delivered


def carries(measured: Measured, case: str) -> Series:
    """Return how much more two processes carry than one."""
    return measured.series(case, ONE, busiest).over(measured.series(case, TWO, busiest))


def table(plan: Plan, measured: Measured) -> Table:
    """Return the table of what was measured."""
    names = list(cases(plan))
    return Table(
        name="cores",
        title="Two processes behind one port",
        columns=[
            "case",
            "CPU µs per delivery of one process",
            "of the busiest of two",
            "two carry, times one",
            "all CPU of two, times one's",
        ],
        rows=[_row(measured, name) for name in names],
        bars=[
            Bar(f"{name}: {server}", server, measured.series(name, server, busiest))
            for name in names
            for server in (ONE, TWO)
        ],
        axis="CPU of the busiest process for each delivery of the service, µs",
        notes=(
            "The load is the same for both; the second process shares its core with the load.",
            f"Two are to carry {WANTED} times as much as one.",
            measured.calibration.note(),
        ),
    )


def _row(measured: Measured, case: str) -> list[str]:
    one, two = (measured.series(case, each, busiest) for each in (ONE, TWO))
    every = measured.series(case, TWO, _all).over(measured.series(case, ONE, _all))
    more = carries(measured, case)
    return [measured.calibration.shown(case), one.text(), two.text(), more.text(), every.text()]


def _all(outcome: Outcome) -> float:
    return sum(outcome.server_cpus) / outcome.delivered


def main() -> None:
    """Measure and write the table."""
    chosen = plan(__doc__ or "")
    measured = measure(chosen)
    write(table(chosen, measured), chosen, measured.outcomes)


if __name__ == "__main__":
    main()
