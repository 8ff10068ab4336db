"""A service that obeys the process which started it, and ends with it.

Covers: greenroom.testing.link, greenroom.testing.obedient, greenroom.server.parts
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from greenroom.testing.link import Host, HostFailed
from tests.conftest import Measured
from tests.running.service import COMPILED, environment

MODULES = 760
"""Modules, Python's own among them, that a start may import: time goes there. It imports 710."""

ROUNDS = 5
"""How often a start is measured."""

NOT_NEEDED = (
    "aiohttp",
    "boto3",
    "botocore.session",
    "click",
    "greenroom.cli",
    "greenroom.storage.sqlite.store",
    "rich",
    "typing_extensions",
    "uvicorn.main",
)
"""What a start does without."""


@pytest.fixture
def host() -> Iterator[Host]:
    """Return a running one."""
    made = Host({})
    yield made
    made.close()


def test_it_does_what_it_is_told_and_ends_cleanly(host: Host) -> None:
    """It answers, refuses with a reason, and its end is that of a service that drained."""
    assert host.ready["data_dir"] is None
    assert host.ask("made") == []
    with pytest.raises(HostFailed, match="nowhere cannot be imported"):
        host.ask("review", function="nowhere:function", path=[])
    assert host.ask("requests") == []
    assert host.close() == 0


def test_the_end_of_the_service_is_told(host: Host) -> None:
    """Who asks a service that is gone is told so, and waits for nothing."""
    os.kill(host.pid, signal.SIGKILL)
    with pytest.raises(HostFailed, match="the service has ended"):
        host.ask("made")
    with pytest.raises(HostFailed, match="the service has ended"):
        host.ask("made")
    assert host.close() == -signal.SIGKILL


def test_a_service_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever ends it does not wait for ever."""
    monkeypatch.setattr("greenroom.testing.link.STOP_SECONDS", 0.2)
    made = Host({})
    os.kill(made.pid, signal.SIGSTOP)
    assert made.close() == -signal.SIGKILL


def test_nothing_can_be_said_to_a_service_that_was_left(host: Host) -> None:
    """It is refused as the service's end is, and nothing is waited for."""
    host.close()
    with pytest.raises(HostFailed, match="the service has ended"):
        host._write({"id": 1})


def test_it_does_not_outlive_its_owner() -> None:
    """A process that is killed leaves no service behind."""
    code = (
        "import os, signal; from greenroom.testing.link import Host; host = Host({});"
        "print(host.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    owner = subprocess.run(
        [sys.executable, "-c", code], env=environment(), stdout=subprocess.PIPE, check=False
    )
    assert owner.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while _is_there(int(owner.stdout)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_there(pid: int) -> bool:
    """Return whether a process runs; one that nobody has waited for yet does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:  # noqa: PTH123 - a kernel's file
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_setting_that_is_none_is_refused() -> None:
    """The error of a start is the one that `greenroom serve` would show."""
    with pytest.raises(HostFailed, match="unknown setting --regoins: did you mean regions"):
        Host({"regoins": "*"})


def test_a_start_imports_little() -> None:
    """What nobody uses at a start is not imported; afterwards it can be, and is whole."""
    code = (
        "import sys\nfrom greenroom.testing.host import lean_imports\n"
        "with lean_imports():\n    import greenroom.testing.obedient\n"
        "print(*(name for name in sys.argv[1:] if name in sys.modules))\n"
        f"print(len(sys.modules) <= {MODULES})\n"
        "import rich, uvicorn\nprint(uvicorn.Config.__module__, rich.__name__)\n"
    )
    kept = {name: text for name, text in environment().items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [sys.executable, "-c", code, *NOT_NEEDED], env=kept, stdout=subprocess.PIPE, check=True
    )
    assert ended.stdout.decode() == "\nTrue\nuvicorn.config rich\n"


def test_how_long_a_start_takes(monkeypatch: pytest.MonkeyPatch, measured: Measured) -> None:
    """Some 15 times of what Python itself takes: by turns, and judged so that only a fault fails.

    On a quiet machine it is to take 20 times at most; a busy one adds to both unevenly, so that
    what is held exactly are the modules (`MODULES`).
    """
    # pip compiles what it installs; this checkout may not be.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(COMPILED))
    Host({}).close()
    nothing: list[float] = []
    ready: list[float] = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        nothing.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        host = Host({})
        ready.append(time.perf_counter() - begun)
        host.close()
    ratio = min(ready) / min(nothing)
    measured("start of a service for tests, in times of `python -c pass`", round(ratio, 1))
    assert ratio < 60
