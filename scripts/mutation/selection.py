"""Which tests run a function, and how long each of them takes: found out once, by running them.

Coverage says of each line which tests ran it. On Python 3.11 it misses lines that run after an
exception was thrown into a coroutine, so tests are looked up for the whole function. What only the
real process runs is not seen: the groups of the table name the tests for that.
"""

import hashlib
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from scripts.mutation.changes import Change

MAP_SECONDS = 1800.0
_FAILING = re.compile(r"^(?:FAILED|ERROR) (\S+?::.+?)(?: - .*)?$", re.MULTILINE)
_DURATION = re.compile(r"^([\d.]+)s (?:call|setup|teardown) +(\S.*)$", re.MULTILINE)


class Selection:
    """The tests of each line, and their seconds."""

    def __init__(self, lines: dict[str, dict[int, list[str]]], seconds: dict[str, float]) -> None:
        self._lines = lines
        self._seconds = seconds

    def tests_for(self, change: Change) -> list[str]:
        """Return the tests that run the changed function: the module's own first, then by time.

        Of a function that runs at an import, whose test nobody knows, all tests of the module.
        """
        by_line = self._lines.get(change.path, {})
        found = {test for line in change.lines for test in by_line.get(line, ())}
        if not found:
            found = {test for tests in by_line.values() for test in tests}
        own = f"test_{Path(change.path).stem}.py"
        return sorted(
            found, key=lambda test: (Path(_file(test)).name != own, self.seconds([test]), test)
        )

    def seconds(self, tests: Iterable[str]) -> float:
        """Return how long those tests took."""
        return sum(self._seconds.get(test, 0.01) for test in tests)

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


def _file(test: str) -> str:
    return test.split("::", 1)[0]


def selected(tree: Path, tests: Sequence[str], left_out: Sequence[str], cache: Path) -> Selection:
    """Return the selection for a tree, from the cache if nothing has changed since."""
    digest = _digest(tree)
    if cache.exists():
        kept = json.loads(cache.read_bytes())
        if kept["digest"] == digest:
            lines = {
                path: {int(line): [kept["tests"][test] for test in ran] for line, ran in of.items()}
                for path, of in kept["lines"].items()
            }
            return Selection(lines, kept["seconds"])
    seconds, failing = _run(tree, tests, left_out)
    lines = _lines(tree, failing)
    names = sorted({test for of in lines.values() for ran in of.values() for test in ran})
    places = {name: place for place, name in enumerate(names)}
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(
        json.dumps(
            {
                "digest": digest,
                "tests": names,
                "seconds": seconds,
                "lines": {
                    path: {line: [places[test] for test in ran] for line, ran in of.items()}
                    for path, of in lines.items()
                },
            }
        )
    )
    return Selection(lines, seconds)


def _digest(tree: Path) -> str:
    digest = hashlib.sha256()
    for folder in ("src", "tests"):
        for path in sorted((tree / folder).rglob("*.py")):
            digest.update(str(path.relative_to(tree)).encode() + path.read_bytes())
    return digest.hexdigest()


def _run(
    tree: Path, tests: Sequence[str], left_out: Sequence[str]
) -> tuple[dict[str, float], set[str]]:
    """Run the tests with coverage; return how long each took, and which fail."""
    command = [
        sys.executable, "-m", "pytest", *tests, *(f"--ignore={path}" for path in left_out),
        "-q", "-p", "no:cacheprovider", "--cov=greenroom", "--cov-context=test", "--cov-report=",
        "--durations=0", "--durations-min=0",
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


def _lines(tree: Path, failing: set[str]) -> dict[str, dict[int, list[str]]]:
    """Return which tests ran each line, by the paths of modules; not those that fail."""
    from coverage import CoverageData

    data = CoverageData(basename=str(tree / ".coverage"))
    data.read()
    root = tree / "src" / "greenroom"
    lines: dict[str, dict[int, list[str]]] = {}
    skipped = {"", *failing}  # the empty one is what runs outside of tests
    for name in data.measured_files():
        path = Path(name)
        if path.is_relative_to(root):
            lines[str(path.relative_to(root))] = {
                line: tests
                for line, contexts in data.contexts_by_lineno(name).items()
                if (tests := sorted({_function(each.split("|")[0]) for each in contexts} - skipped))
            }
    return lines


def _function(test: str) -> str:
    """Return a test's name without its parameters: all of them are run."""
    return test.split("[", 1)[0]
