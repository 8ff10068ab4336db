"""One change made in a copy of the tree, and tests run on it.

First in a fork of a pytest that has collected everything; a change that survives is made in the
file, and tests are run in a fork of this process. It has imported pytest and the libraries, which
saves a second each time, but never imports the package itself, nor any test.
"""

import contextlib
import importlib
import os
import re
import shutil
import sys
import traceback
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

from scripts.mutation.changes import Change
from scripts.mutation.fork_server import (
    NOT_TRIED,
    Asking,
    Collected,
    ForkServer,
    limit_memory,
    waited,
)

COPIED = ("src", "tests", "scripts", "docs", "examples", "deploy", "benchmarks", "requirements",
          "changelog.d", "pyproject.toml", "Makefile", "README.md", "CHANGELOG.md",
          "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "NOTICE")  # fmt: skip
LIBRARIES = ("aiohttp", "botocore.session", "botocore.client", "click", "cryptography.x509",
             "hypothesis", "moto.server", "msgspec", "prometheus_client", "pytest_asyncio",
             "structlog", "uvicorn", "uvloop", "websockets")  # fmt: skip
TEST_SECONDS = 20
"""How long one test may take where a change is tried quickly: endless ones cost the most."""
_OPTIONS = ("-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:cov", "-p",
            "no:xdist", "-W", "ignore::pytest.PytestAssertRewriteWarning")  # fmt: skip
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?::[^\[\s]+)", re.MULTILINE)


def copied(root: Path, tree: Path) -> Path:
    """Copy a checkout to `tree`, and let the processes to come import the package from there."""
    tree.mkdir()
    for name in COPIED:
        source = root / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("node_modules", "__pycache__")
            shutil.copytree(source, tree / name, ignore=ignored)
        elif source.exists():
            shutil.copy2(source, tree / name)
    (tree / ".venv").symlink_to(sys.prefix)
    os.environ["PYTHONPATH"] = str(tree / "src")
    return tree


class Outcome(StrEnum):
    """What a change came to."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    """The tests took so much longer that they were ended; that counts as killed."""
    SURVIVED = "survived"


class Result(NamedTuple):
    """An outcome, and the test that killed if one said so."""

    outcome: Outcome
    killer: str | None


class Trials:
    """Tries changes in a copy of the tree at `tree`, which it makes."""

    def __init__(self, root: Path, tree: Path) -> None:
        self.tree = copied(root, tree)
        self._output = tree / "output.txt"
        self._made = 0
        for name in LIBRARIES:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)

    def collect(self, tests: Sequence[str], left_out: Sequence[str]) -> Collected:
        """Start the pytest that is forked for each change, with those tests."""
        asked, asks = os.pipe()
        answered, answers = os.pipe()
        if not os.fork():
            os.close(asks)
            server = ForkServer(self.tree, os.fdopen(asked), os.fdopen(answers, "w"))
            ignored = [f"--ignore={path}" for path in left_out]
            self._become_pytest([*tests, *ignored, f"--timeout={TEST_SECONDS}"], [server])
        os.close(asked)
        os.close(answers)
        self._server = Asking(os.fdopen(asks, "w"), os.fdopen(answered))
        return self._server.collected()

    def quickly_tried(self, change: Change, tests: Sequence[str], seconds: float) -> Result | None:
        """Run tests that take so long on the code with a change; that they pass proves nothing.

        Return None if the change cannot be tried so.
        """
        ended = self._server.tried(change, tests, TEST_SECONDS + 4 * seconds)
        if ended.code == NOT_TRIED:
            return None
        if ended.code is None:
            return Result(Outcome.TIMED_OUT, None)
        return Result(Outcome.KILLED if ended.code else Outcome.SURVIVED, ended.failed)

    def tried(self, change: Change, tests: Sequence[str], seconds: float, slowest: float) -> Result:
        """Make a change, run tests that take so long without it, and take the change back."""
        path = self.tree / "src" / "greenroom" / change.path
        source = path.read_bytes()
        self._write(path, change.made(source))
        try:
            return self.run(tests, seconds, slowest)
        finally:
            self._write(path, source)

    def run(self, tests: Sequence[str], seconds: float, slowest: float) -> Result:
        """Run tests on the tree as it is; one that takes far too long has failed, too.

        They take `seconds` in all, the slowest of them `slowest`, where nothing is changed.
        """
        child = os.fork()
        if not child:
            os.setsid()
            limit_memory()
            self._become_pytest([*tests, "-x", "-rfE", f"--timeout={8 + 4 * slowest:.0f}"])
        status = waited(child, 30 + 6 * seconds)
        if status is None:
            return Result(Outcome.TIMED_OUT, None)
        if status in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            return Result(Outcome.SURVIVED, None)
        found = _FAILED.search(self._output.read_text(errors="replace"))
        return Result(Outcome.KILLED, found[1] if found else None)

    def _write(self, path: Path, source: bytes) -> None:
        """Write a module, with a time at which no compiled one was made: they go by seconds."""
        self._made += 1
        path.write_bytes(source)
        os.utime(path, (self._made, self._made))

    def _become_pytest(self, arguments: Sequence[str], plugins: Sequence[object] = ()) -> NoReturn:
        code = 3
        try:
            os.chdir(self.tree)
            output = os.open(self._output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
                del sys.modules[name]
            sys.path[:] = [str(self.tree / "src"), *(each for each in sys.path[1:] if each)]
            code = int(pytest.main([*arguments, *_OPTIONS], plugins=plugins))
        except BaseException:  # noqa: BLE001 - a fork must never go on as its parent
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
