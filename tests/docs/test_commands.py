"""A command of a page that begins as a copy is the program that it stands for."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.docs.commands import copied
from tests.running.said import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux has what that takes")

PROGRAM = f"""#!{sys.executable}
import os, pathlib, signal, subprocess, sys, time
where, *words = sys.argv[1:]
def interrupted(*_):
    pathlib.Path(where).write_text("interrupted")
    sys.exit(5)
signal.signal(signal.SIGINT, interrupted)
if words == ["stays"]:
    child = subprocess.Popen(["sleep", "600"])
    pathlib.Path(where).write_text(f"{{os.getpid()}} {{child.pid}}\\n")
    time.sleep(600)
known = "colorsys" in sys.modules
umask = os.umask(0)
print(os.getcwd(), words, sys.argv[0], os.environ.get("GIVEN"), umask, sys.stdin.read(), known)
print("an error", file=sys.stderr)
sys.exit(3)
"""


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Return the program."""
    program = tmp_path / "whole"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    return program


@pytest.fixture
def command(whole: Path, tmp_path: Path) -> Iterator[Path]:
    """Return the command in its place."""
    kept = {name: each for name, each in os.environ.items() if not name.startswith("PYTHON")}
    with copied(tmp_path / "command", whole, ["colorsys"], kept, anew=["colorsys"]):
        yield tmp_path / "command"


def run(program: Path, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a program as a page does."""
    kept = {name: each for name, each in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [program, "where", *words],
        cwd=program.parent,
        env={**kept, "GIVEN": "ü", **variables},
        input="read",
        capture_output=True,
        text=True,
        check=False,
        umask=0o027,
    )


def test_it_is_the_program(command: Path, whole: Path) -> None:
    """Arguments, variables, directory, streams and exit code are those of the whole one."""
    copy, other = run(command, "a b", "c"), run(whole, "a b", "c")
    assert (copy.returncode, copy.stderr) == (other.returncode, other.stderr) == (3, "an error\n")
    assert copy.stdout == other.stdout.replace("False", "True")
    assert "['a b', 'c']" in copy.stdout


def test_where_a_copy_would_differ_it_is_no_copy(command: Path) -> None:
    """Variables that Python reads at first count."""
    assert run(command, PYTHONUTF8="1").stdout.endswith("False\n")


def test_without_the_process_that_is_copied(whole: Path, tmp_path: Path) -> None:
    """It is what it stands for."""
    with copied(tmp_path / "command", whole, [], os.environ):
        pass
    assert run(tmp_path / "command").stdout.endswith("False\n")


class Staying(NamedTuple):
    """A command that stays, and the processes that it is behind."""

    process: "subprocess.Popen[bytes]"
    where: Path
    behind: list[psutil.Process]


@pytest.fixture
def staying(command: Path) -> Iterator[Staying]:
    """Give one, as a terminal starts it."""
    kept = {name: each for name, each in os.environ.items() if not name.startswith("PYTHON")}
    where = command.with_name("where")
    where.touch()
    with subprocess.Popen([command, where, "stays"], env=kept, start_new_session=True) as process:
        until(lambda: where.read_text().endswith("\n"), "it stays")
        behind = [psutil.Process(int(each)) for each in where.read_text().split()]
        yield Staying(process, where, behind)
        process.kill()
        for each in behind:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()


def test_it_is_told_of_ctrl_c(staying: Staying) -> None:
    """It ends in its own way, which is the command's; what it started is told, too."""
    os.killpg(staying.process.pid, signal.SIGINT)
    assert staying.process.wait(20) == 5
    assert staying.where.read_text() == "interrupted"
    assert psutil.wait_procs(staying.behind, 20)[1] == []


def test_its_end_by_a_signal_is_the_commands(staying: Staying) -> None:
    """As a shell sees it."""
    staying.process.terminate()
    assert staying.process.wait(20) == -signal.SIGTERM


def test_a_killed_command_leaves_nothing(staying: Staying) -> None:
    """Neither the copy nor what it started."""
    os.killpg(staying.process.pid, signal.SIGKILL)
    assert psutil.wait_procs(staying.behind, 20)[1] == []
