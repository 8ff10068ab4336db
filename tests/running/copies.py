"""Processes of `greenroom` that begin as copies of one that has imported what it consists of.

To import that takes several times as long as all else of a start, and tests start hundreds. Copies
are processes like any other: environment, directory, streams, descriptors, limits, signals and exit
code are their own, and they are children of who asked for them.
"""

import atexit
import ctypes
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from tests.running.original import LIMITS, Wish

ROOT = Path(__file__).parents[2]

FOR_PYTHON = ("LD_", "MALLOC_", "PYTHON")
"""How variables begin that count before a module is imported."""

GREENROOM = (
    "greenroom.cli.admin.command",
    "greenroom.cli.backup.command",
    "greenroom.cli.config",
    "greenroom.cli.main",
    "greenroom.cli.serve",
    "greenroom.server.cluster",
    "greenroom.server.serve",
    "greenroom.storage.sqlite.store",
    "uvloop",
)
"""Modules that import what services need, and what commands do that tests run often."""

CHILD_SUBREAPER = 36
"""prctl(2), PR_SET_CHILD_SUBREAPER: who becomes the parent of those whose own has ended."""


class Copy:
    """A process, with what `subprocess.Popen` has."""

    def __init__(self, pid: int, args: Sequence[str]) -> None:
        self.pid = pid
        self.args = args
        self.returncode: int | None = None
        self._looking = threading.Lock()

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        with self._looking:
            if self.returncode is None:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
                self.returncode = os.waitstatus_to_exitcode(status) if ended else None
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code.

        Raises:
            subprocess.TimeoutExpired: it has not ended in so many seconds.
        """
        if self.poll() is None:
            # Another thread may have seen the end since then.
            with suppress(ProcessLookupError):
                _wait_for_end(self.pid, timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired("greenroom", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _wait_for_end(pid: int, timeout: float | None) -> None:
    end = os.pidfd_open(pid)
    try:
        waiting = select.poll()
        waiting.register(end, select.POLLIN)
        waiting.poll(None if timeout is None else timeout * 1000)
    finally:
        os.close(end)


class Copies:
    """Makes copies, of a process that the first one starts, and that runs as long as this one.

    Args:
        environment: its variables; copies have their own, but for those that Python reads at first.
        program: what the copies are: that of `python -m PROGRAM`.
        imported: the modules that it has imported.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        program: str = "greenroom",
        imported: Sequence[str] = GREENROOM,
    ) -> None:
        self.program = program
        self._environment = environment
        self._imported = imported
        self._one_at_a_time = threading.Lock()
        self._asking: socket.socket | None = None

    def are_as_started(self, environment: Mapping[str, str]) -> bool:
        """Return whether a copy is what Python would start with these variables.

        Linux alone has what it takes to make one.
        """
        here = sys.platform == "linux"
        return here and _for_python(environment) == _for_python(self._environment)

    def make(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        streams: Sequence[int],
        kept: Sequence[int] = (),
        directory: Path | None = None,
        umask: int = -1,
    ) -> Copy:
        """Start the program with its three standard streams and the descriptors that it keeps.

        Raises:
            RuntimeError: there is nothing to copy.
        """
        limits = [resource.getrlimit(each) for each in LIMITS]
        place = str(directory or Path.cwd())
        wish = Wish(arguments, environment, place, [0, 1, 2, *kept], limits, umask)
        with self._one_at_a_time, _adopting():
            if self._asking is None:
                self._asking = self._started()
            socket.send_fds(self._asking, [msgspec.json.encode(wish)], [*streams, *kept])
            if answer := self._asking.recv(64):
                return Copy(int(answer), arguments)
        raise RuntimeError("the process that is copied has ended: what it said is above")

    def _started(self) -> socket.socket:
        """Start the process that is copied; return the socket at which it is asked."""
        asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with asked:
            told = (str(asked.fileno()), self.program, *self._imported)
            original = subprocess.Popen(
                [sys.executable, "-m", "tests.running.original", *told],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=ROOT,
                env=self._environment,
                pass_fds=(asked.fileno(),),
            )

        def end() -> None:
            asking.close()
            original.wait()

        atexit.register(end)
        return asking


def _for_python(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: each for name, each in environment.items() if name.startswith(FOR_PYTHON)}


@contextmanager
def _adopting() -> Iterator[None]:
    """Be the parent of the grandchildren whose parent ends meanwhile."""
    system = ctypes.CDLL(None)
    system.prctl(CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        system.prctl(CHILD_SUBREAPER, 0)
