"""A process that begins as a copy is what Python itself would have started."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.running.copies import Copies, Copy
from tests.running.said import until
from tests.running.service import environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux has what that takes")


@pytest.fixture(scope="module")
def copies() -> Copies:
    """Return what makes them."""
    return Copies(environment())


@pytest.fixture
def begun(copies: Copies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Copy]:
    """Give a service, which keeps descriptor 99 and works in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    with Path("log").open("wb") as log:
        os.dup2(log.fileno(), 99)
        arguments = ["serve", "--port", "0", "--ready-file", "ready", "--storage", "memory"]
        given = environment(ONLY_HERE="1")
        made = copies.make(arguments, given, [log.fileno()] * 3, [99])
        os.close(99)
    until(Path("ready").exists, "the service is ready")
    yield made
    made.kill()
    made.wait()


@pytest.mark.parametrize("arguments", [["config"], ["config", "--explain"], ["--help"], ["sreve"]])
def test_a_command_says_the_same(
    copies: Copies, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its output, its errors and its exit code are those of `python -m greenroom`."""
    monkeypatch.chdir(tmp_path)
    given = environment(GREENROOM_DATA_DIR="here", GREENROOM_REGION="eu-west-1")
    command = [sys.executable, "-m", "greenroom", *arguments]
    ended = subprocess.run(command, env=given, capture_output=True, check=False)
    with Path("out").open("wb") as out, Path("err").open("wb") as err:
        made = copies.make(arguments, given, [out.fileno(), out.fileno(), err.fileno()])
        code = made.wait(60)
    assert (code, Path("out").read_bytes()) == (ended.returncode, ended.stdout)
    assert Path("err").read_bytes() == ended.stderr


def test_it_has_what_is_its_own(begun: Copy, copies: Copies, tmp_path: Path) -> None:
    """It is a child of who asked, and has that directory and those descriptors, not others'."""
    process = psutil.Process(begun.pid)
    assert process.ppid() == os.getpid()
    assert process.cwd() == str(tmp_path)
    files = {
        number: os.readlink(f"/proc/{begun.pid}/fd/{number}")  # noqa: PTH115 - a kernel's link
        for number in (0, 1, 2, 99)
    }
    assert set(files.values()) == {str(tmp_path / "log")}
    assert copies.are_as_started(environment(ONLY_HERE="1"))
    assert not copies.are_as_started(environment(PYTHONPATH="elsewhere"))


def test_its_end_is_that_of_a_process(begun: Copy) -> None:
    """It ends by signals, and waiting for it is bounded."""
    with pytest.raises(subprocess.TimeoutExpired):
        begun.wait(0.05)
    assert begun.poll() is None
    begun.terminate()
    assert (begun.wait(60), begun.poll(), begun.returncode) == (0, 0, 0)
    begun.send_signal(signal.SIGTERM)


def test_a_kill_is_told(begun: Copy) -> None:
    """As `subprocess` does: by the number of the signal."""
    begun.kill()
    assert begun.wait() == -signal.SIGKILL
