"""Where measured processes run: servers on one core, load on another, with many descriptors."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "build" / "bench"
"""Where `make` puts the C programs of `load/`."""

START_SECONDS = 30
"""Far more than a start takes; a busy machine must not fail a run."""

WANTED_DESCRIPTORS = 25_000
SPARE_DESCRIPTORS = 500

_ALL_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = _ALL_CORES[0]
LOAD_CORE = _ALL_CORES[-1]
BESIDE_CORE = _ALL_CORES[len(_ALL_CORES) // 2]
"""Where what is neither measured nor measures runs: with two cores that is the load's."""


def cpu_seconds(pid: int) -> float:
    """Return what a process has used of cores so far, to the nanosecond: the kernel's own account.

    What it says of itself elsewhere is counted in ticks of 10 ms.
    """
    # The clock of a process's CPU time, as clock_getcpuclockid(3) puts it together from the number.
    return time.clock_gettime((~pid << 3) | 2)


class NotHere(Exception):
    """A program that a measurement needs is not installed; the message says which."""


def build() -> None:
    """Build the C programs when they are older than their source, one process at a time."""
    make = shutil.which("make")
    if make is None:
        raise NotHere("needs make and a C compiler")
    source = ROOT / "benchmarks" / "load"
    alone = [sys.executable, str(ROOT / "scripts" / "alone.py"), str(source)]
    command = [*alone, make, "--silent", "--directory", str(source)]
    subprocess.run(command, check=True)  # noqa: S603 - our own Makefile


def allow_descriptors() -> int:
    """Let this process and its children open many descriptors; return how many.

    A process without the right to raise its hard limit gets that limit.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (max(hard, WANTED_DESCRIPTORS), hard):
        with contextlib.suppress(ValueError, PermissionError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
    raise NotHere("the limit of descriptors cannot be set")


def connections_at_most(wanted: int) -> int:
    """Return how many connections one process can have here: `wanted`, or fewer whole thousands."""
    possible = allow_descriptors() - SPARE_DESCRIPTORS
    return wanted if wanted <= possible else possible // 1000 * 1000


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Start the processes of a `with` block on one core; they and their threads stay there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return this environment, without what would configure the service otherwise, and more."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GREENROOM_")}
    return {**kept, **variables}


def start_server(
    command: Sequence[str | Path],
    log: Path,
    variables: Mapping[str, str] | None = None,
    directory: Path | None = None,
    core: int = SERVER_CORE,
) -> "subprocess.Popen[bytes]":
    """Start a server on its core; what it prints goes to the log."""
    with on_core(core), log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - the servers that are measured
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(variables or {}),
            cwd=directory or ROOT,
            start_new_session=True,
        )


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a server at once, with the processes that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


def wait_until_ready(process: "subprocess.Popen[bytes]", log: Path, sign: Path | str) -> str:
    """Wait for a file to appear, or for a text in the log; return what the file or log says.

    Raises:
        RuntimeError: the server ended or hung instead; the message holds its log.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if isinstance(sign, Path) and sign.exists():
            return sign.read_text()
        if isinstance(sign, str) and sign in (said := log.read_text(errors="replace")):
            return said
        time.sleep(0.02)
    end(process)
    raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')}")
