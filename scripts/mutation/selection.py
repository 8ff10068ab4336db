"""Which tests run a function, and how long each of them takes: found out by running them.

Coverage says of each line which tests ran it. On Python 3.11 it misses lines that run after an
exception was thrown into a coroutine, so tests are kept for the whole function. What only the
real process runs is not seen: the groups of the table name the tests for that.

What was found is kept, and only files of tests that have changed since are run again. A change of
the code itself seldom lets a test run other functions; of functions that are newer than the last
run of all tests, more tests are tried.
"""

import ast
import hashlib
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from scripts.mutation.changes import Change

MAP_SECONDS = 3600.0
_FAILING = re.compile(r"^(?:FAILED|ERROR) (\S+?::.+?)(?: - .*)?$", re.MULTILINE)
_COVERS = re.compile(r"^Covers:((?:\s+[\w.]+,?)+)", re.MULTILINE)
_DURATION = re.compile(r"^([\d.]+)s (?:call|setup|teardown) +(\S.*)$", re.MULTILINE)

Functions = dict[str, dict[str, set[str]]]
"""Tests by the path of a module and the qualified name of a function."""
Place = tuple[str, str]
"""The path of a module, and the qualified name of a function in it."""


class Selection:
    """The tests of each function, and their seconds."""

    def __init__(
        self,
        functions: Functions,
        seconds: dict[str, float],
        suites: Mapping[str, set[str]] | None = None,
        known: set[Place] | None = None,
    ) -> None:
        self.functions = functions
        self.spent = seconds
        self.suites = suites or {}
        """The files of tests that say that they cover a module, by the module's path."""
        self.known = known
        """The functions that were there when all tests were run; None: all of them."""

    def tests_for(self, change: Change) -> list[str]:
        """Return the tests that run the changed function: the module's own and its folder's first.

        All of the module's own are among them: one that draws what it tries reaches the function
        now and then, and perhaps not when that was looked at. Of a function that nobody knows,
        because it is new or runs at an import, all tests of the module, and those of functions of
        that name: it was moved.
        """
        by_function = self.functions.get(change.path, {})
        found = by_function.get(change.where, set())
        is_known = self.known is None or (change.path, change.where) in self.known
        if not found or not is_known:
            everywhere = (of.get(change.where, set()) for of in self.functions.values())
            found = found.union(*by_function.values(), *everywhere)
        path = Path(change.path)
        own = Path("tests", path).with_name(f"test_{path.name}")
        found = found.union(test for test in self.spent if _file(test) == str(own))
        first = {str(own), *self.suites.get(change.path, ())}

        def order(test: str) -> tuple[bool, bool, float, str]:
            file = _file(test)
            beside = Path(file).parent == own.parent
            return file not in first, not beside, self.seconds([test]), test

        return sorted(found, key=order)

    def seconds(self, tests: Iterable[str]) -> float:
        """Return how long those tests took."""
        return sum(self.spent.get(test, 0.01) for test in tests)

    def longest(self, tests: Iterable[str]) -> float:
        """Return how long the slowest of those tests took, with all its parameters."""
        return max((self.seconds([test]) for test in tests), default=0.0)

    def within(self, tests: Sequence[str], budget: float) -> list[str]:
        """Return the first of the tests that take no longer than the budget, at least one."""
        taken: list[str] = []
        for test in tests:
            budget -= self.seconds([test])
            if taken and budget < 0:
                break
            taken.append(test)
        return taken

    def without(self, files: set[str]) -> "Selection":
        """Return the selection without the tests of some files."""
        return Selection(
            {
                path: {
                    name: {test for test in tests if _file(test) not in files}
                    for name, tests in of.items()
                }
                for path, of in self.functions.items()
            },
            {test: spent for test, spent in self.spent.items() if _file(test) not in files},
            known=self.known,
        )

    def add(self, functions: Functions, seconds: dict[str, float]) -> None:
        """Take over what was found out about other tests."""
        for path, of in functions.items():
            for name, tests in of.items():
                self.functions.setdefault(path, {}).setdefault(name, set()).update(tests)
        self.spent.update(seconds)


def selected(
    tree: Path,
    tests: Sequence[str],
    left_out: Sequence[str],
    changes: Iterable[Change],
    cache: Path,
) -> Selection:
    """Return the selection for a tree: what is kept, and what the tests say that are new."""
    changes = list(changes)
    digests = _digests(tree, tests, left_out)
    kept, selection = _kept(cache)
    differ = {path for path, digest in digests.items() if kept.get(path) != digest}
    selection = selection.without(differ | (set(kept) - set(digests)))
    if differ:
        seconds, failing = _run(tree, sorted(differ))
        selection.add(_functions(tree, failing, changes), seconds)
        if differ == set(digests):
            selection.known = {(change.path, change.where) for change in changes}
        # A test that fails now is tried again the next time.
        failed = {_file(test) for test in failing}
        _keep(
            cache, {path: each for path, each in digests.items() if path not in failed}, selection
        )
    suites = suites_of(tree, digests)
    return Selection(selection.functions, selection.spent, suites, selection.known)


def suites_of(tree: Path, files: Iterable[str]) -> dict[str, set[str]]:
    """Return which files of tests say `Covers: greenroom.x.y`, by the paths of the modules."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in files:
        said = ast.get_docstring(ast.parse((tree / file).read_bytes())) or ""
        for names in _COVERS.findall(said):
            for name in re.split(r"[\s,]+", names.strip()):
                found[f"{name.removeprefix('greenroom.').replace('.', '/')}.py"].add(file)
    return found


def _digests(tree: Path, tests: Sequence[str], left_out: Sequence[str]) -> dict[str, str]:
    """Return a digest of each file of tests."""
    paths = sorted(path for folder in tests for path in (tree / folder).rglob("test_*.py"))
    skipped = [tree / each for each in left_out]
    return {
        str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if not any(path.is_relative_to(each) for each in skipped)
    }


def _kept(cache: Path) -> tuple[dict[str, str], Selection]:
    if not cache.exists():
        return {}, Selection({}, {}, known=set())
    kept = json.loads(cache.read_bytes())
    functions = {
        path: {name: {kept["tests"][test] for test in ran} for name, ran in of.items()}
        for path, of in kept["functions"].items()
    }
    known = {(path, where) for path, where in kept["known"]}
    return kept["digests"], Selection(functions, kept["seconds"], known=known)


def _keep(cache: Path, digests: dict[str, str], selection: Selection) -> None:
    every = (ran for of in selection.functions.values() for ran in of.values())
    names = sorted(set[str]().union(*every))
    places = {name: place for place, name in enumerate(names)}
    functions = {
        path: {name: sorted(places[test] for test in ran) for name, ran in of.items()}
        for path, of in selection.functions.items()
    }
    cache.parent.mkdir(parents=True, exist_ok=True)
    written = {
        "digests": digests,
        "tests": names,
        "seconds": selection.spent,
        "known": sorted(selection.known or ()),
        "functions": functions,
    }
    cache.write_text(json.dumps(written))


def _run(tree: Path, files: Sequence[str]) -> tuple[dict[str, float], set[str]]:
    """Run tests with coverage; return how long each took, and which fail."""
    command = [
        sys.executable, "-m", "pytest", *files, "-q", "-p", "no:cacheprovider", "--cov=greenroom",
        "--cov-context=test", "--cov-report=", "--durations=0", "--durations-min=0", "-n",
        "logical", "--dist", "loadfile",
    ]  # fmt: skip
    result = subprocess.run(
        command, cwd=tree, capture_output=True, text=True, timeout=MAP_SECONDS, check=False
    )
    if result.returncode not in {0, 1}:
        raise SystemExit(f"the tests do not run:\n{result.stdout[-3000:]}")
    failing = {_function(test) for test in _FAILING.findall(result.stdout)}
    for test in sorted(failing):
        print(f"left out, because it fails without any change: {test}", flush=True)
    seconds: dict[str, float] = defaultdict(float)
    for spent, test in _DURATION.findall(result.stdout):
        seconds[_function(test)] += float(spent)
    return dict(seconds), failing


def _functions(tree: Path, failing: set[str], changes: Iterable[Change]) -> Functions:
    """Return which tests ran each function that has changes; not those that fail."""
    from coverage import CoverageData

    data = CoverageData(basename=str(tree / ".coverage"))
    data.read()
    root = tree / "src" / "greenroom"
    skipped = {"", *failing}  # the empty one is what runs outside of tests
    spans = {(change.path, change.where, change.lines) for change in changes}
    found: Functions = defaultdict(lambda: defaultdict(set))
    for name in data.measured_files():
        path = str(Path(name).relative_to(root)) if Path(name).is_relative_to(root) else ""
        lines = {
            line: {_function(context.split("|")[0]) for context in contexts} - skipped
            for line, contexts in data.contexts_by_lineno(name).items()
        }
        for _, where, span in (each for each in spans if each[0] == path):
            found[path][where].update(*(lines.get(line, ()) for line in span))
    return found


def _file(test: str) -> str:
    return test.split("::", 1)[0]


def _function(test: str) -> str:
    """Return a test's name without its parameters: all of them are run."""
    return test.split("[", 1)[0]
