"""The command: draw changes, try them, print what survived, judge."""

import argparse
import difflib
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from scripts.mutation.changes import Change
from scripts.mutation.selection import Selection, selected
from scripts.mutation.table import TABLE, Group, Table, read_table
from scripts.mutation.trial import Outcome, Result, Trials

ROOT = Path(__file__).resolve().parents[2]
BAR_OVER_ALL = 97.0
BAR_IN_A_GROUP = 95.0
MOST_SECONDS = 20.0
"""How long the tests take, at most, that are tried on a change."""
AGAIN_SECONDS = 4.0
"""Those of them that are tried once more, on the changed file, if the change survives."""
MORE_SECONDS = 20.0
"""And those of the real process, which are tried then, too."""
PROGRESS = 25
"""After how many changes a line says how far it is."""


class Tried(NamedTuple):
    """A change that was tried."""

    group: str
    change: Change
    outcome: Outcome


def drawn(
    changes: dict[str, list[Change]], sample: int, least: int, chance: random.Random
) -> list[tuple[str, Change]]:
    """Return a sample of the changes: each group's share, but so many at least; in any order."""
    total = sum(map(len, changes.values()))
    some: list[tuple[str, Change]] = []
    for group, of_group in changes.items():
        wanted = max(least, round(sample * len(of_group) / max(1, total)))
        some += [(group, each) for each in chance.sample(of_group, min(wanted, len(of_group)))]
    chance.shuffle(some)
    return some


def difference(root: Path, change: Change) -> str:
    """Return a change as a diff."""
    before = (root / "src" / "greenroom" / change.path).read_bytes()
    after = change.made(before)
    lines = difflib.unified_diff(
        before.decode().splitlines(), after.decode().splitlines(), lineterm="", n=1
    )
    return "\n".join([f"{change.path}:{change.number} in {change.where}", *list(lines)[3:]])


def verdict(tried: Sequence[Tried]) -> tuple[str, bool]:
    """Return the table of kill rates, and whether all of them are high enough."""
    rows = [f"{'group':<12} {'tried':>6} {'survived':>9} {'timed out':>10} {'killed':>7}"]
    good = True
    per_group: dict[str, Counter[Outcome]] = {}
    for each in tried:
        per_group.setdefault(each.group, Counter())[each.outcome] += 1
    per_group = dict(sorted(per_group.items()))
    per_group["over all"] = sum(per_group.values(), Counter())
    for group, outcomes in per_group.items():
        total, survived = outcomes.total(), outcomes[Outcome.SURVIVED]
        rate = 100 * (total - survived) / max(1, total)
        bar = BAR_OVER_ALL if group == "over all" else BAR_IN_A_GROUP
        good = good and rate >= bar
        below = "" if rate >= bar else f"  below {bar:g} %"
        late = outcomes[Outcome.TIMED_OUT]
        rows.append(f"{group:<12} {total:>6} {survived:>9} {late:>10} {rate:>5.1f} %{below}")
    return "\n".join(rows), good


class Run:
    """Tries changes one after the other until the time is over."""

    def __init__(self, table: Table, trials: Trials, selection: Selection) -> None:
        self.tried: list[Tried] = []
        self._table = table
        self._trials = trials
        self._selection = selection
        self._killers: set[str] = set()

    def try_all(self, some: Sequence[tuple[str, Change]], until: float) -> None:
        """Try changes, and print each that survives.

        First all of them where that is quick, then those once more that survived: while the time
        lasts. One that is not tried again counts as survived.
        """
        groups = {group.name: group for group in self._table.groups}
        left: list[tuple[str, Change]] = []
        for number, (name, change) in enumerate(some):
            if time.monotonic() > until:
                print(f"the time is over: {number} of {len(some)} were tried", flush=True)
                break
            outcome = self._quickly(change)
            if outcome is Outcome.SURVIVED:
                left.append((name, change))
            else:
                self.tried.append(Tried(name, change, outcome))
            if (number + 1) % PROGRESS == 0:
                told = f"{number + 1} of {len(some)} tried, {len(left)} to be tried again"
                print(told, file=sys.stderr, flush=True)
        for name, change in left:
            in_time = time.monotonic() <= until
            outcome = self._again(change, groups[name]) if in_time else Outcome.SURVIVED
            self.tried.append(Tried(name, change, outcome))
            if outcome is Outcome.SURVIVED:
                late = "" if in_time else " (no time to try it again)"
                print(f"survived{late}: {difference(self._trials.tree, change)}\n", flush=True)

    def _quickly(self, change: Change) -> Outcome:
        tests = self._selection.within(self._selection.tests_for(change), MOST_SECONDS)
        if not tests:
            return Outcome.SURVIVED
        return self._noted(
            self._trials.quickly_tried(change, tests, self._selection.seconds(tests))
        )

    def _again(self, change: Change, group: Group) -> Outcome:
        """Try a change in the file, also with tests of the real process."""
        tests = self._selection.within(self._selection.tests_for(change), AGAIN_SECONDS)
        if not tests and not group.also:
            return Outcome.SURVIVED
        more = MORE_SECONDS if group.also else 0.0
        seconds = self._selection.seconds(tests) + more
        slowest = max(self._selection.longest(tests), more)
        return self._noted(self._trials.tried(change, [*tests, *group.also], seconds, slowest))

    def _noted(self, result: Result) -> Outcome:
        self._killers.update([result.killer] if result.killer else [])
        return result.outcome

    def is_trustworthy(self) -> bool:
        """Return whether the tests that have killed pass where nothing is changed."""
        killers = sorted(self._killers)
        if not killers:
            return True
        seconds = self._selection.seconds(killers) + MORE_SECONDS
        result = self._trials.run(killers, seconds, MORE_SECONDS)
        if result.outcome is not Outcome.SURVIVED:
            print(f"{result.killer or 'a test that has killed'} fails without any change, too")
        return result.outcome is Outcome.SURVIVED


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="scripts/mutants", description=__doc__)
    parser.add_argument("--seed", type=int, help="which sample is drawn; at random by default")
    parser.add_argument("--sample", type=int, default=250, help="how many changes, about")
    parser.add_argument("--least", type=int, default=20, help="how many of each group, at least")
    parser.add_argument("--minutes", type=float, default=15, help="when to stop; 0: never")
    parser.add_argument("--all", action="store_true", help="every change, however long it takes")
    parser.add_argument("--only", default="*", help="a pattern for modules: 'chatlog/*'")
    parser.add_argument("--list", action="store_true", help="print the changes, try none")
    parser.add_argument("--root", type=Path, default=ROOT, help="which checkout; this one")
    parser.add_argument("--table", type=Path, default=TABLE, help="groups and equivalents")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the command; return 1 when a rate is below its bar."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the copy is removed
    told = options(arguments)
    table, root = read_table(told.table), told.root.resolve()
    seed = random.SystemRandom().randrange(1_000_000) if told.seed is None else told.seed
    known, all_changes = table.equivalents, table.changes(root)
    changes = {
        group: [each for each in found if each.key not in known and fnmatch(each.path, told.only)]
        for group, found in all_changes.items()
    }
    if told.list:
        for of_group in changes.values():
            for change in of_group:
                print(f"{difference(root, change)}\n")
        return 0
    everything = sum(map(len, changes.values()))
    sample, least = (everything, everything) if told.all else (told.sample, told.least)
    some = drawn(changes, sample, least, random.Random(seed))
    minutes = 0 if told.all else told.minutes
    print(f"{len(some)} of {everything} changes; --seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trials = Trials(root, Path(folder))
        cache = root / "build" / "mutants" / "selection.json"
        every = [change for found in all_changes.values() for change in found]
        selection = selected(Path(folder), table.tests, table.left_out_tests, every, cache)
        trials.collect(table.tests, table.left_out_tests)
        run = Run(table, trials, selection)
        until = time.monotonic() + minutes * 60 if minutes else float("inf")
        run.try_all(some, until)
        rates, good = verdict(run.tried)
        print(rates)
        return 0 if run.is_trustworthy() and good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
