"""A service for one command: a process of its own that keeps nothing and ends with the command."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from greenroom.cli.access import CommandRefused
from greenroom.cli.exit_codes import ExitCode
from greenroom.settings.table import PREFIX

START_SECONDS = 30
"""How long a start may take."""

STOP_SECONDS = 15
"""How long a stop may take before the process is killed."""


class Started(msgspec.Struct, frozen=True):
    """How to reach the service: some of what its ready file says."""

    api_url: str
    access_key_id: str
    secret_access_key: str
    region: str


@contextmanager
def private_server(settings: Mapping[str, str]) -> Iterator[Started]:
    """Run `greenroom serve` on a free port with these settings and no others.

    Raises:
        CommandRefused: it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="greenroom-") as name:
        directory = Path(name)
        process = _start(directory, settings)
        try:
            yield _ready(process, directory)
        finally:
            _stop(process)


def _start(directory: Path, settings: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "greenroom", "serve", "--port", "0"]
    command += ["--data-dir", str(directory / "data")]
    command += ["--ready-file", str(directory / "ready.json")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    given = {PREFIX + name.upper(): value for name, value in settings.items()}
    with (directory / "log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - this program, with options of ours
            command,
            env=kept | given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            # Ctrl-C is for the command, which still needs the service to end well.
            start_new_session=True,
        )


def _ready(process: "subprocess.Popen[bytes]", directory: Path) -> Started:
    deadline = time.monotonic() + START_SECONDS
    file = directory / "ready.json"
    while not file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            lines = (directory / "log").read_text("utf-8", "replace").splitlines()
            why = lines[-1] if lines else "it said nothing"
            raise CommandRefused(f"the private service did not start: {why}", ExitCode.FAILED)
        time.sleep(0.01)
    return msgspec.json.decode(file.read_bytes(), type=Started)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
