"""Rounds of runs, and what is said of them: medians, ranges, ratios within a round.

The machine's speed changes from minute to minute. So the servers of a comparison take turns (A B A
B), a ratio is that of two runs of the same round, and a table shows medians with the least and the
most.
"""

import argparse
import contextlib
import functools
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks.calibration import ATTEMPTS, Calibration
from benchmarks.client import Outcome, Server
from benchmarks.processes import ROOT, build, connections_at_most
from benchmarks.series import Series, progress

RESULTS = ROOT / "benchmarks" / "results"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured: `scale` makes every number of connections smaller, for a trial."""

    rounds: int = 5
    seconds: float = 2
    scale: float = 1
    only: str = ""
    results: Path = RESULTS
    attempts: int = ATTEMPTS
    """How often a case is tried for a stretch in which the machine's speed does not move."""

    def connections(self, number: int) -> int:
        """Return how many connections stand for a number of them here: whole tens."""
        here = connections_at_most(number) if self.scale == 1 else number
        return max(10, int(here * self.scale) // 10 * 10)

    @property
    def is_whole(self) -> bool:
        """Return whether this is the published measurement, not a trial or a part."""
        return self.scale == 1 and not self.only and self.results == RESULTS

    @property
    def warm_up(self) -> float:
        """Seconds of load before measuring."""
        return min(0.5, self.seconds)

    def wanted(self, name: str) -> bool:
        """Return whether a case or a server is to be measured."""
        return re.search(self.only, name) is not None


def plan(description: str, **defaults: float) -> Plan:
    """Read the command line of a table."""
    standard = {field.name: field.default for field in msgspec.structs.fields(Plan)} | defaults
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=standard["rounds"])
    parser.add_argument("--seconds", type=float, default=standard["seconds"], help="of one run")
    parser.add_argument("--scale", type=float, default=1.0, help="of every number of connections")
    parser.add_argument("--only", default="", help="cases whose name has this pattern")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory to write to")
    parser.add_argument("--attempts", type=int, default=ATTEMPTS, help="at a steady stretch")
    return Plan(**vars(parser.parse_args()))


class Measured(msgspec.Struct):
    """All outcomes of a table: of each case, of each server, one a round."""

    calibration: Calibration
    outcomes: dict[str, dict[str, list[Outcome]]] = {}

    def take(self, case: str, servers: Iterable[Server], turn: Callable[[Server], Outcome]) -> None:
        """Let servers have their turn, on a machine of one speed if it can be had."""
        chosen = list(servers)
        turns = [functools.partial(turn, server) for server in chosen]
        for server, outcome in zip(chosen, self.calibration.turns(case, turns), strict=True):
            self.outcomes.setdefault(case, {}).setdefault(server.name, []).append(outcome)
        progress(f"{case}: {', '.join(server.name for server in chosen)}")

    def series(self, case: str, server: str, figure: Callable[[Outcome], float]) -> Series:
        """Return a figure of a server in a case."""
        return Series.of(self.outcomes[case][server], figure)


@contextlib.contextmanager
def running(starts: Sequence[Callable[[Path], Server]]) -> Iterator[list[Server]]:
    """Start servers for the length of a `with` block; they are idle except in their turn."""
    with contextlib.ExitStack() as stack:
        directory = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="greenroom-bench-"))
        )
        servers = []
        for start in starts:
            server = start(directory)
            stack.callback(server.stop)
            servers.append(server)
        yield servers


def rounds(plan: Plan) -> Iterator[int]:
    """Build what is measured with, then count the rounds."""
    build()
    for number in range(1, plan.rounds + 1):
        progress(f"round {number} of {plan.rounds}")
        yield number
