"""The command: draw changes, try them, print what survived, judge."""

import argparse
import difflib
import itertools
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from scripts.mutation.changes import Change
from scripts.mutation.selection import selected
from scripts.mutation.table import TABLE, Table, read_table
from scripts.mutation.trial import Outcome, copied
from scripts.mutation.workers import Workers

ROOT = Path(__file__).resolve().parents[2]
BAR_OVER_ALL = 97.0
BAR_IN_A_GROUP = 95.0
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


def try_all(
    workers: Workers, some: Sequence[tuple[str, Change]], until: float, root: Path
) -> tuple[list[Tried], set[str]]:
    """Try changes until the time is over, and print each that survives.

    Returns what they came to, and the tests that have killed.
    """
    tried: list[Tried] = []
    killers: set[str] = set()
    for name, change, result in workers.decided(some, until):
        tried.append(Tried(name, change, result.outcome))
        killers.update([result.killer] if result.killer else [])
        if result.outcome is Outcome.SURVIVED:
            print(f"survived: {difference(root, change)}\n", flush=True)
        if len(tried) % PROGRESS == 0:
            print(f"{len(tried)} of {len(some)} tried", file=sys.stderr, flush=True)
    if len(tried) < len(some):
        print(f"the time is over: {len(tried)} of {len(some)} were tried", flush=True)
    return tried, killers


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="scripts/mutants", description=__doc__)
    parser.add_argument("--seed", type=int, help="which sample is drawn; at random by default")
    parser.add_argument("--sample", type=int, default=250, help="how many changes, about")
    parser.add_argument("--least", type=int, default=20, help="how many of each group, at least")
    parser.add_argument("--minutes", type=float, default=13, help="when to stop; 0: never")
    jobs = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
    parser.add_argument("--jobs", type=int, default=jobs, help="how many changes at a time")
    parser.add_argument("--all", action="store_true", help="every change, however long it takes")
    parser.add_argument("--only", default="*", help="a pattern for modules: 'chatlog/*'")
    parser.add_argument("--list", action="store_true", help="print the changes, try none")
    parser.add_argument("--root", type=Path, default=ROOT, help="which checkout; this one")
    parser.add_argument("--table", type=Path, default=TABLE, help="groups and equivalents")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the command; return 1 when a rate is below its bar."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the copies are removed
    told = options(arguments)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        # What is changed meanwhile in the checkout changes nothing of the sample.
        tree = copied(told.root.resolve(), Path(folder) / "tree")
        return run(told, read_table(told.table), tree, Path(folder))


def run(told: argparse.Namespace, table: Table, tree: Path, folder: Path) -> int:
    """Draw changes of the tree, try them, judge; the other copies come into the folder."""
    seed = random.SystemRandom().randrange(1_000_000) if told.seed is None else told.seed
    known, all_changes = table.equivalents, table.changes(tree)
    changes = {
        group: [each for each in found if each.key not in known and fnmatch(each.path, told.only)]
        for group, found in all_changes.items()
    }
    if told.list:
        for change in itertools.chain.from_iterable(changes.values()):
            print(f"{difference(tree, change)}\n")
        return 0
    everything = sum(map(len, changes.values()))
    sample, least = (everything, everything) if told.all else (told.sample, told.least)
    some = drawn(changes, sample, least, random.Random(seed))
    minutes = 0 if told.all else told.minutes
    print(f"{len(some)} of {everything} changes; --seed {seed}", flush=True)
    every = itertools.chain.from_iterable(all_changes.values())
    cache = told.root / "build" / "mutants" / "selection.json"
    selection = selected(tree, table.tests, table.left_out_tests, every, cache)
    until = time.monotonic() + minutes * 60 if minutes else float("inf")
    with closing(Workers(told.jobs, tree, folder, table, selection)) as workers:
        tried, killers = try_all(workers, some, until, tree)
        rates, good = verdict(tried)
        print(rates, flush=True)
        failing = workers.failing(sorted(killers))
    for each in failing:
        print(f"{each} fails without any change, too")
    return 0 if good and not failing else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
