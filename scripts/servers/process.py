"""One server as a process, which can be killed, paused and started again on the same data."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

START_SECONDS = 30
"""Far more than a start takes; a busy machine is no failure."""

LOOK_SECONDS = 0.05
"""Between two looks whether a server is ready: one of NATS looks at all its streams for it."""

STOP_SECONDS = 20
"""How long a server may take to end before it is killed."""

STILL = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
"""What a process is that does nothing: a parent that stands still waits for no child that ended."""

SAME_USER = (-1, -1)
"""The user and the group that the caller has."""


class ServerFailed(Exception):
    """A server did not start: the message says which, and the end of its log."""


class ServerProcess:
    """A program that serves. Its subclasses say which, and when it is ready."""

    stop_signal = signal.SIGTERM

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the number of the process.

        Raises:
            ProcessLookupError: it does not run.
        """
        if self._process is None or self._process.poll() is not None:
            raise ProcessLookupError(f"{self.name} does not run")
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Return whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Return how it ended, None while it runs or was not started."""
        return None if self._process is None else self._process.poll()

    def command(self) -> Sequence[str | Path]:
        """Return the program, by its path, and what it is told."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Return whether it serves."""
        raise NotImplementedError

    def owner(self) -> tuple[int, int]:
        """Return the user and the group that it runs as."""
        return SAME_USER

    def environment(self) -> Mapping[str, str]:
        """Return the variables that it gets beside those of the caller."""
        return {}

    def start(self, *, wait: bool = True) -> None:
        """Start it on the data that is there, and wait until it serves.

        Raises:
            ServerFailed: it ended or hung instead.
        """
        user, group = self.owner()
        tied = [sys.executable, "-I", str(Path(__file__).with_name("child.py"))]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*tied, str(os.getpid()), str(user), str(group), *map(str, self.command())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.log.parent,
                env={**os.environ, **self.environment()},
                # Ctrl-C is for who started it, and ends the servers in their order.
                process_group=0,
            )
        if wait:
            self.until_ready()

    def until_ready(self) -> None:
        """Wait until it serves.

        Raises:
            ServerFailed: it ended or hung instead.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if self._process is None or self._process.poll() is not None:
                raise ServerFailed(f"{self.name} ended at its start:\n{self._last_words()}")
            if time.monotonic() > deadline:
                self.kill()
                raise ServerFailed(f"{self.name} did not get ready:\n{self._last_words()}")
            time.sleep(LOOK_SECONDS)

    def kill(self) -> None:
        """End it and what it started as `kill -9` does."""
        family = self._family_at_rest()
        for process in family:
            _signal(process, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        psutil.wait_procs(family, STOP_SECONDS)

    def stop(self) -> None:
        """End it as an operator does."""
        if self._process is None or self._process.poll() is not None:
            return
        self.resume()
        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def pause(self) -> None:
        """Let it and what it started stand still, as a machine does that hangs."""
        _stop(self._family_at_rest())

    def resume(self) -> None:
        """Let it go on after a pause."""
        for process in self._family():
            _signal(process, signal.SIGCONT)

    def _family_at_rest(self) -> list[psutil.Process]:
        """Let the process stand still, and return it and what it started: no child is missed.

        One that it starts between a look at its children and the signal would run on.
        """
        _stop(self._family()[:1])
        return self._family()

    def _family(self) -> list[psutil.Process]:
        """Return the process, and those that it started and that have not ended."""
        if self._process is None or self._process.poll() is not None:
            return []
        try:
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _stop(processes: Sequence[psutil.Process]) -> None:
    """Let processes stand still, and return when they do."""
    for process in processes:
        _signal(process, signal.SIGSTOP)
    deadline = time.monotonic() + STOP_SECONDS
    while not all(map(_stands_still, processes)) and time.monotonic() < deadline:
        time.sleep(0.001)


def _stands_still(process: psutil.Process) -> bool:
    try:
        return process.status() in STILL
    except psutil.NoSuchProcess:
        return True
