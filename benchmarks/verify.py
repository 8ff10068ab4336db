"""`make bench-verify`: measure the README's ratios again, and say which hold.

A ratio is that of two servers in the same minutes on the same machine, so it should hold anywhere.
The published number is read from the README's text: there is one place to change it. A claim holds
when what is measured is worse by less than `MARGIN`; it is `disturbed` when it is worse, and the
machine's speed moved too much to blame the service. The exit code is 1 when a claim does not hold,
else 2 when one was disturbed. The peers' ratios are not among them: `make bench-peers`.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks import connect, fanout, review
from benchmarks.bare import BarePython
from benchmarks.calibration import Calibration
from benchmarks.client import Outcome
from benchmarks.markdown import row
from benchmarks.processes import ROOT
from benchmarks.reference import Reference
from benchmarks.report import circumstances
from benchmarks.runs import Measured, Plan, plan
from benchmarks.series import Series
from benchmarks.service import Greenroom

README = ROOT / "README.md"
MARGIN = 1.2
"""What medians of three short rounds differ by on a machine that does nothing else."""

ROUNDS, SECONDS = 3, 1.5
COLUMNS = (Reference.name, BarePython.name)
"""What the README's columns of ratios are ratios to, from the left."""

HELD, FAILED, DISTURBED = "holds", "does not hold", "disturbed"
FANOUT = {
    "one message at a time to 1,000 connections": ("one at a time, {:,} connections", 1_000),
    "bursts of ten to 1,000 connections": ("bursts of 10, {:,} connections", 1_000),
    "a steady 100 a second to 1,000 connections": ("steady 100 a second, {:,} connections", 1_000),
    "100 a second at random times to 1,000 connections": (
        "random 100 a second, {:,} connections",
        1_000,
    ),
    "one at a time to 19,000 connections in one room": ("one at a time, {:,} connections", 20_000),
    "19,000 connections in 1,900 rooms": ("{1:,} rooms, {0:,} connections", 20_000),
    "19,000 connections in 9,500 rooms": ("{2:,} rooms, {0:,} connections", 20_000),
}
"""Rows of the README, and the case of the fan-out's table that each of them is."""

WITHOUT = "one message at a time where io_uring is refused"
CONNECT = "accepting a connection"
REVIEW = "a room beside one whose review handler hangs"


class Checked(msgspec.Struct, frozen=True):
    """A published ratio, and what was measured here."""

    claim: str
    published: float
    measured: Series
    disturbed: bool

    @property
    def verdict(self) -> str:
        """Whether it holds, or that nobody can tell."""
        if self.measured.median <= self.published * MARGIN:
            return HELD
        return DISTURBED if self.disturbed else FAILED


def check(plan: Plan, readme: str) -> Iterator[Checked]:
    """Measure everything that the README compares, and compare it with what it says."""
    yield from check_fanout(plan, readme)
    connected = connect.measure(plan)
    yield from _columns(CONNECT, readme, connected, next(iter(connected.outcomes)), "connect")
    yield check_review(plan, readme)


def check_fanout(plan: Plan, readme: str) -> Iterator[Checked]:
    """Measure the rows about deliveries."""
    cases = {claim: _case(plan, *case) for claim, case in FANOUT.items()}
    only = "|".join(f"^{re.escape(case)}$" for case in cases.values())
    measured = fanout.measure(msgspec.structs.replace(plan, only=only))
    for claim, case in cases.items():
        yield from _columns(claim, readme, measured, case, "cpu")
    one = next(iter(cases.values()))
    yield from _columns(WITHOUT, readme, measured, one, "cpu", fanout.OneByOne.name)


def check_review(plan: Plan, readme: str) -> Checked:
    """Measure the row about review handlers: of the room alone, not of another server."""
    calibration = Calibration(plan.attempts)
    runs = review.measure(plan, calibration)
    hangs, alone = (
        Series([run.outcome.p50 for run in runs[case]]) for case in (review.HANGS, review.ALONE)
    )
    found = re.search(rf"^\| {REVIEW} \|.*? ([\d.]+) times", readme, re.MULTILINE)
    return Checked(
        f"{REVIEW}, of the room alone",
        float(found[1]) if found else _missing(REVIEW),
        hangs.over(alone),
        calibration.is_disturbed(review.ROUND),
    )


def _case(plan: Plan, name: str, number: int) -> str:
    connections = plan.connections(number)
    return name.format(connections, connections // 10, connections // 2)


def _columns(
    claim: str,
    readme: str,
    measured: Measured,
    case: str,
    figure: str,
    server: str = Greenroom.name,
) -> Iterator[Checked]:
    """Compare a row's ratios: the figure of a server over that of each reference."""

    def take(outcome: Outcome) -> float:
        value: float = getattr(outcome, figure)
        return value

    ours = measured.series(case, server, take)
    for base, published in zip(COLUMNS, published_ratios(readme, claim), strict=True):
        ratio = ours.over(measured.series(case, base, take))
        disturbed = measured.calibration.is_disturbed(case)
        yield Checked(f"{claim}, of the {base}", published, ratio, disturbed)


def published_ratios(readme: str, claim: str) -> list[float]:
    """Return the ratios of a row of the README's table.

    Raises:
        ValueError: the README has no such row, or something else in it.
    """
    found = re.search(rf"^\| {re.escape(claim)}((?: \| [\d.]+){{2}}) \|", readme, re.MULTILINE)
    return [float(cell) for cell in found[1].split(" | ")[1:]] if found else [_missing(claim)]


def _missing(claim: str) -> float:
    raise ValueError(f"README.md has no row of ratios that begins with: | {claim} |")


def shown(checked: Checked) -> str:
    """Return a row of the printed table."""
    cells = [checked.claim, f"{checked.published:.2f}", checked.measured.text(), checked.verdict]
    return row(cells)


def code(verdicts: list[str]) -> int:
    """Return the exit code."""
    return 1 if FAILED in verdicts else 2 if DISTURBED in verdicts else 0


def main() -> None:
    """Measure, print one row for each claim as soon as it is known, and tell by the exit code."""
    chosen = plan(__doc__ or "", rounds=ROUNDS, seconds=SECONDS)
    sys.stdout.write(f"{circumstances(chosen)}\n\n{row(['claim', 'README', 'here', 'verdict'])}\n")
    sys.stdout.write(f"{row(['---'] * 4)}\n")
    verdicts = []
    for checked in check(chosen, Path(README).read_text()):
        sys.stdout.write(f"{shown(checked)}\n")
        sys.stdout.flush()
        verdicts.append(checked.verdict)
    sys.exit(code(verdicts))


if __name__ == "__main__":
    main()
