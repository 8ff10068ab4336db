"""A pytest that has collected all tests once, and runs some of them on a change in a fork of it.

To start pytest, import the package and collect takes seconds, a test that kills mostly none. So
the change is not made in the file: in the fork the module's functions get the code that they
would have with it. What ran when the modules were imported stays as it was, and so does what
other processes import: a change that survives here is tried once more in the file itself.
"""

import ast
import contextlib
import gc
import importlib
import json
import os
import resource
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import IO, NamedTuple

import pytest

from scripts.mutation.changes import Change

MAXIMUM_MEMORY = 3 << 30
"""Bytes that a test may take: a loop that a change made endless is not to fill the machine."""
NOT_TRIED = 99
"""The exit code of a fork that could not give the functions their code."""


SERVERS = ("nats_", "postgresql")
"""What the names of fixtures and parameters have of tests that start a server."""


def starts_a_server(item: pytest.Item) -> bool:
    """Return whether a test would start a server, in each fork anew: only the file is tried so.

    A fixture does so, by its name or its parameter; what a test itself is given only tells of one.
    """
    told = {
        name.strip()
        for mark in item.iter_markers("parametrize")
        for name in (mark.args[0].split(",") if isinstance(mark.args[0], str) else mark.args[0])
    }
    callspec = getattr(item, "callspec", None)
    parameters = {} if callspec is None else callspec.params
    names = [str(value) for name, value in parameters.items() if name not in told]
    names += getattr(item, "fixturenames", ())
    return any(server in name for name in names for server in SERVERS)


class Collected(NamedTuple):
    """The tests that forks run, and those that start a server; some do both, by parameters."""

    in_forks: frozenset[str]
    with_servers: frozenset[str]


class Ended(NamedTuple):
    """How a fork ended: its exit code, None when its time was over, and the test that failed."""

    code: int | None
    failed: str | None


def waited(child: int, seconds: float) -> int | None:
    """Wait for a process, and end it with all it has started; return its exit code if in time."""
    until = time.monotonic() + seconds
    status: int | None = None
    while status is None and time.monotonic() < until:
        done, how = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(how) if done else None
        time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if status is None:
        os.waitpid(child, 0)
    return status


def limit_memory() -> None:
    """Let this process and those that it starts have no more than `MAXIMUM_MEMORY`."""
    resource.setrlimit(resource.RLIMIT_DATA, (MAXIMUM_MEMORY, MAXIMUM_MEMORY))


class Asking:
    """The side that asks: sends a change and the names of tests, and is told how they ended."""

    def __init__(self, requests: IO[str], answers: IO[str]) -> None:
        self._requests = requests
        self._answers = answers

    def collected(self) -> Collected:
        """Wait until all tests are collected."""
        return Collected(*map(frozenset, json.loads(self._answers.readline())))

    def tried(self, change: Change, tests: Sequence[str], seconds: float) -> Ended:
        """Run tests on a change for so many seconds at most."""
        wanted = [change.path, change.start, change.end, change.new, list(tests), seconds]
        print(json.dumps(wanted), file=self._requests, flush=True)
        return Ended(*json.loads(self._answers.readline()))

    def close(self) -> None:
        """Let the other side end."""
        self._requests.close()


class ForkServer:
    """A plugin of pytest that takes requests instead of running all tests."""

    def __init__(self, tree: Path, requests: IO[str], answers: IO[str]) -> None:
        self._tree = tree
        self._requests = requests
        self._answers = answers
        self._note = tree / "failed.txt"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Answer requests until there are no more."""
        items: dict[str, list[pytest.Item]] = defaultdict(list)
        with_servers: set[str] = set()
        for item in session.items:
            name = item.nodeid.split("[", 1)[0]
            if starts_a_server(item):
                with_servers.add(name)
            else:
                items[name].append(item)
        package = self._tree / "src" / "greenroom"
        functions = functions_of(package)
        gc.collect()
        gc.freeze()  # or each fork would copy what it only looks at
        self._answer([list(items), list(with_servers)])
        for line in self._requests:
            path, start, end, new, tests, seconds = json.loads(line)
            before = (package / path).read_bytes()
            # Of a statement that never runs the function still knows the names.
            kept = f"if 0: {before[start:end].decode()}" if new == "pass" else new
            after = before[:start] + kept.encode() + before[end:]
            wanted = [item for test in tests for item in items.get(test, ())]
            recode = partial(recoded, functions[path], before, after)
            self._answer(self._in_a_fork(recode, wanted, seconds))
        return True

    def _answer(self, answer: object) -> None:
        print(json.dumps(answer), file=self._answers, flush=True)

    def _in_a_fork(
        self, recode: Callable[[], bool], items: Sequence[pytest.Item], seconds: float
    ) -> Ended:
        self._note.unlink(missing_ok=True)
        child = os.fork()
        if not child:
            code = NOT_TRIED
            try:
                os.setsid()
                limit_memory()
                if items and recode():
                    code = 1  # an exit or an interrupt within a test is a failure, too
                    code = self._run(items)
            finally:
                os._exit(code)
        status = waited(child, seconds)
        return Ended(status, self._note.read_text() if self._note.exists() else None)

    def _run(self, items: Sequence[pytest.Item]) -> int:
        """Run tests until one fails; return the exit code."""
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._note.exists():
                return 1
        return 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that failed."""
        if report.failed:
            self._note.write_text(report.nodeid.split("[", 1)[0])


Functions = dict[str, list[FunctionType]]
"""The functions of each module, by its path below the package."""


def functions_of(package: Path) -> Functions:
    """Import all modules of a package, and return their functions."""
    for path in sorted(package.rglob("*.py")):
        if path.name != "__main__.py":
            parts = path.relative_to(package.parent).with_suffix("").parts
            importlib.import_module(".".join(part for part in parts if part != "__init__"))
    gc.unfreeze()  # what is frozen is not among the objects that are looked at
    found: Functions = defaultdict(list)
    for each in gc.get_objects():
        if isinstance(each, FunctionType):
            path = Path(each.__code__.co_filename)
            if path.is_relative_to(package):
                found[str(path.relative_to(package))].append(each)
    return found


def recoded(functions: Sequence[FunctionType], before: bytes, after: bytes) -> bool:
    """Give a module's functions the code of a changed source; return whether that went."""
    if not functions:
        return False
    old, new = _codes(before), _codes(after)
    for function in functions:
        code = function.__code__
        lines = [each.co_firstlineno for each in old[code.co_qualname]]
        codes = new[code.co_qualname]
        if not codes:
            continue  # it was made by what is taken out, before that was
        if len(lines) != len(codes) or code.co_firstlineno not in lines:
            return False
        changed = codes[lines.index(code.co_firstlineno)]
        if len(changed.co_freevars) != len(code.co_freevars):
            return False
        function.__code__ = changed
    header = _changed_header(before, after)
    for function in functions:
        if header and function.__code__.co_firstlineno == _first_line(header):
            _set_defaults(function, header.args)
    return True


_Header = ast.FunctionDef | ast.AsyncFunctionDef


def _changed_header(before: bytes, after: bytes) -> _Header | None:
    """Return the function whose defaults differ, as it is afterwards."""
    headers = [
        [each for each in ast.walk(ast.parse(source)) if isinstance(each, _Header)]
        for source in (before, after)
    ]
    pairs = zip(*headers, strict=True)
    return next((new for old, new in pairs if ast.dump(old.args) != ast.dump(new.args)), None)


def _first_line(function: _Header) -> int:
    return min(each.lineno for each in (function, *function.decorator_list))


def _set_defaults(function: FunctionType, wanted: ast.arguments) -> None:
    """Give a function the defaults that stand in its header now; those were made at the import."""

    def value(node: ast.expr) -> object:
        code = compile(ast.Expression(node), "changed", "eval")
        return eval(code, function.__globals__)  # noqa: S307 - an expression of our own code

    function.__defaults__ = tuple(map(value, wanted.defaults)) or None
    function.__kwdefaults__ = {
        each.arg: value(node)
        for each, node in zip(wanted.kwonlyargs, wanted.kw_defaults, strict=True)
        if node is not None
    } or None


def _codes(source: bytes) -> dict[str, list[CodeType]]:
    """Return the codes of a source by their qualified names, those of one name in their order."""
    found: dict[str, list[CodeType]] = defaultdict(list)
    left = [compile(source, "changed", "exec")]
    while left:
        code = left.pop()
        found[code.co_qualname].append(code)
        left += [each for each in code.co_consts if isinstance(each, CodeType)][::-1]
    return found
