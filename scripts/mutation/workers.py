"""Decides changes, several at a time: each process has a copy of the tree and a pytest of its own.

Each change is decided when the next one is begun: first in a fork, which costs next to nothing
where a test notices; what survives there, or cannot be tried so, at once in the file. So the time
may end at any change, and what was tried until then is a fair sample.
"""

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from scripts.mutation.changes import Change
from scripts.mutation.fork_server import Collected
from scripts.mutation.selection import Selection
from scripts.mutation.table import Group, Table
from scripts.mutation.trial import Outcome, Result, Trials

MOST_SECONDS = 60.0
"""How long the tests that are tried on a change take at most, as they were looked at with coverage.
Without it pure code takes a fifth of that, and what a test notices is over at once."""
AGAIN_SECONDS = 4.0
"""Those of them that are tried once more, on the changed file, if the change survives."""
SERVERS_SECONDS = 20.0
"""And those of the real process, which are tried then, too, as long with coverage as without."""


class Worker:
    """Decides one change after the other."""

    def __init__(self, trials: Trials, collected: Collected, selection: Selection) -> None:
        self._trials = trials
        self._in_forks, self._with_servers = collected
        self._selection = selection

    def decided(self, change: Change, group: Group) -> Result:
        """Try a change quickly, and if need be once more in the file."""
        selection, tests = self._selection, self._selection.tests_for(change)
        quick = selection.within([test for test in tests if test in self._in_forks], MOST_SECONDS)
        result = self._trials.quickly_tried(change, quick, selection.seconds(quick))
        if result is not None and result.outcome is not Outcome.SURVIVED:
            return result
        again = selection.within(quick, MOST_SECONDS if result is None else AGAIN_SECONDS)
        servers = self._with_servers if group.servers else self._with_servers - self._in_forks
        more = selection.within([test for test in tests if test in servers], SERVERS_SECONDS)
        return self._in_the_file(change, list(dict.fromkeys([*again, *more])), group.also)

    def _in_the_file(self, change: Change, tests: list[str], also: Sequence[str]) -> Result:
        """Try a change in the file, also with tests of the real process."""
        if not tests and not also:
            return Result(Outcome.SURVIVED, None)
        more = SERVERS_SECONDS if also else 0.0
        seconds = self._selection.seconds(tests) + more
        slowest = max(self._selection.longest(tests), more)
        return self._trials.tried(change, [*tests, *also], seconds, slowest)

    def failing(self, tests: Sequence[str]) -> str | None:
        """Return a test that fails twice where nothing is changed, or None."""
        seconds = self._selection.seconds(tests) + SERVERS_SECONDS
        ended = self._trials.run(tests, seconds, SERVERS_SECONDS)
        if ended.outcome is not Outcome.SURVIVED:
            ended = self._trials.run(tests, seconds, SERVERS_SECONDS)
        if ended.outcome is Outcome.SURVIVED:
            return None
        return ended.killer or "a test that has killed"


_worker: Worker
"""The one of this process."""


class Workers:
    """So many processes that decide changes, with their copies of the tree below a folder."""

    def __init__(
        self, jobs: int, root: Path, folder: Path, table: Table, selection: Selection
    ) -> None:
        self._jobs = jobs
        self._groups = {group.name: group for group in table.groups}
        begun = (root, folder, table, selection)
        fork = multiprocessing.get_context("fork")
        self._pool = ProcessPoolExecutor(jobs, fork, initializer=_begin, initargs=begun)

    def decided(
        self, some: Sequence[tuple[str, Change]], until: float
    ) -> Iterator[tuple[str, Change, Result]]:
        """Yield each change with what it came to, those left out that were not begun in time."""
        asked = {
            self._pool.submit(_decided, change, self._groups[name], until): (name, change)
            for name, change in some
        }
        for each in as_completed(asked):
            result = each.result()
            if result is not None:
                yield *asked[each], result

    def failing(self, tests: Sequence[str]) -> list[str]:
        """Return tests that fail where nothing is changed; not all of them."""
        parts = [tests[number :: self._jobs] for number in range(self._jobs)]
        found = self._pool.map(_failing, [part for part in parts if part])
        return [each for each in found if each is not None]

    def close(self) -> None:
        """End the processes, after what they are at."""
        self._pool.shutdown(cancel_futures=True)


def _begin(root: Path, folder: Path, table: Table, selection: Selection) -> None:
    global _worker  # noqa: PLW0603 - a pool gives its processes no other place
    trials = Trials(root, folder / str(os.getpid()))
    collected = trials.collect(table.tests, table.left_out_tests)
    _worker = Worker(trials, collected, selection)


def _decided(change: Change, group: Group, until: float) -> Result | None:
    return None if time.monotonic() > until else _worker.decided(change, group)


def _failing(tests: Sequence[str]) -> str | None:
    return _worker.failing(tests)
