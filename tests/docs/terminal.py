"""A terminal into which the blocks of a page are pasted one after the other."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

SECONDS = 60
"""What a block may take; a busy machine must not fail a test."""


class Failed(Exception):
    """A block does not do what the page says; the message is what the terminal shows."""


class Terminal:
    """A shell in which variables and jobs last; the first failure is the last command."""

    def __init__(self, directory: Path, environment: Mapping[str, str], notes: Path) -> None:
        self._notes, self._count = notes, 0
        self._shell = subprocess.Popen(
            ["bash", "-e", "-o", "pipefail"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=directory,
            env=environment,
            text=True,
            start_new_session=True,
        )

    def run(self, script: str) -> str:
        """Paste a script; return what it printed.

        Raises:
            Failed: it ended with an error, or not at all.
        """
        self._count += 1
        base = self._notes / f"block-{self._count}"
        pasted, printed, done = (base.with_suffix(end) for end in (".sh", ".out", ".done"))
        pasted.write_text(f"{script}\n")
        assert self._shell.stdin is not None
        self._shell.stdin.write(f". '{pasted}' </dev/null >'{printed}' 2>&1\n: >'{done}'\n")
        self._shell.stdin.flush()
        deadline = time.monotonic() + SECONDS
        while not done.exists():
            if self._shell.poll() is not None:
                raise Failed(printed.read_text(errors="replace"))
            if time.monotonic() > deadline:
                raise Failed(f"{printed.read_text(errors='replace')}\nit does not end")
            time.sleep(0.02)
        return printed.read_text(errors="replace")

    def close(self) -> None:
        """End the shell and what it left running."""
        assert self._shell.stdin is not None
        end(self._shell)
        self._shell.stdin.close()


class Lasting:
    """A script that runs until the page is through, in a terminal of its own."""

    def __init__(
        self, script: str, directory: Path, environment: Mapping[str, str], printed: Path
    ) -> None:
        self._printed = printed
        with printed.open("wb") as output:
            self._process = subprocess.Popen(
                ["bash", "-e", "-o", "pipefail", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory,
                env=environment,
                start_new_session=True,
            )

    @property
    def printed(self) -> str:
        """Return everything so far."""
        return self._printed.read_text(errors="replace")

    def shows(self, text: str) -> None:
        """Wait until a text was printed.

        Raises:
            Failed: the script ended before, or hangs.
        """
        deadline = time.monotonic() + SECONDS
        while text not in self.printed:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"never shown: {text}\n{self.printed}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it as Ctrl-C does, and wait."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        end(self._process)


def end(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """End a process and all of its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def agrees(shown: str, printed: str) -> bool:
    """Return whether a line is what a page shows, but for words with a digit: ids and times."""
    pattern = r"\s+".join(
        r"\S+" if re.search(r"\d", word) else re.escape(word).replace("…", ".*")
        for word in shown.split()
    )
    return re.fullmatch(pattern, printed.strip()) is not None
