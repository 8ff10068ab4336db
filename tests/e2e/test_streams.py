"""Every command with standard streams that are closed, or lead to a disk that is full."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running.service import STARTUP_SECONDS, Service, environment, running, until_ready

GREENROOM = f"{shlex.quote(sys.executable)} -m greenroom"
CLOSED = [">&-", "<&- >&- 2>&-"]
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, as Linux has")


def shell(command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command line to its end."""
    return subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=STARTUP_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("streams", [*CLOSED, pytest.param(">/dev/full 2>/dev/full", marks=FULL)])
def test_serve(tmp_path: Path, streams: str) -> None:
    """It serves, says where in the ready file, and prints into nothing that it opens later."""
    data, ready = tmp_path / "data", tmp_path / "ready.json"
    command = f"exec {GREENROOM} serve --port 0 --data-dir {data} --ready-file {ready} {streams}"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment(GREENROOM_LOG_LEVEL="debug"),
        )
    try:
        service = Service(process, until_ready(process, ready, tmp_path / "log"), tmp_path / "log")
        room = service.boto3().create_room()["arn"]
        assert service.token(room)
        for number in range(3):
            target = Path(f"/proc/{process.pid}/fd/{number}").resolve()
            assert data not in target.parents, "a file took the place of a stream"
        process.send_signal(signal.SIGTERM)
        assert process.wait(STARTUP_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
    said = (tmp_path / "log").read_text()
    assert "Traceback" not in said
    assert "Exception ignored" not in said


@pytest.mark.parametrize("streams", CLOSED)
def test_a_refused_start(tmp_path: Path, streams: str) -> None:
    """The exit code is the documented one, and the line stands where it can be read."""
    (tmp_path / "file").touch()
    ended = shell(f"{GREENROOM} serve --port 0 --data-dir {tmp_path / 'file'} {streams}")
    assert ended.returncode == 5
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == ("2>&-" not in streams)


@FULL
def test_a_refused_start_that_cannot_be_told(tmp_path: Path) -> None:
    """Also an error that cannot be written leaves the documented exit code."""
    (tmp_path / "file").touch()
    for data, code in ((f"{tmp_path}/file --port 0", 5), ("x --port y", 2)):
        ended = shell(f"{GREENROOM} serve --data-dir {data} 2>/dev/full")
        assert (ended.returncode, ended.stdout) == (code, "")


PRINTING = ["--version", "config --explain"]


@pytest.mark.parametrize("command", PRINTING)
def test_commands_that_print(command: str) -> None:
    """What is printed to a closed output is lost; what a full disk does not take is an error."""
    for streams in (">&-", "2>&-"):
        ended = shell(f"{GREENROOM} {command} {streams}")
        assert ended.returncode == 0, (streams, ended.stderr)
        assert ended.stderr == ""
    if Path("/dev/full").exists():
        ended = shell(f"{GREENROOM} {command} >/dev/full")
        assert ended.returncode == 1
        line = "Error: cannot write to standard output: No space left on device\n"
        assert ended.stderr == line
        assert shell(f"{GREENROOM} {command} >/dev/full 2>&1").returncode == 1


def test_a_terminal_that_lacks_characters() -> None:
    """What its encoding has not is escaped: no command fails for it."""
    ended = shell(f"PYTHONIOENCODING=latin-1 {GREENROOM} doctor --url http://127.0.0.1:1")
    assert ended.returncode == 13
    assert "\\u2192 start it" in ended.stdout


def test_commands_that_ask_a_service(tmp_path: Path) -> None:
    """Administration and measurements do the same."""
    with running(tmp_path / "data") as service:
        ask = f"--data-dir {tmp_path / 'data'} --endpoint-url {service.api_url}"
        room = service.boto3().create_room()["arn"]
        bench = f"bench {room} {ask} --connections 2 --duration 0.2 --rate 2"
        for command in (f"admin whoami {ask}", bench):
            ended = shell(f"{GREENROOM} {command} >&- 2>&-")
            assert ended.returncode == 0, command
            if Path("/dev/full").exists():
                ended = shell(f"{GREENROOM} {command} >/dev/full")
                assert ended.returncode == 1
                assert ended.stderr.endswith("standard output: No space left on device\n")
                assert "Traceback" not in ended.stderr


def test_a_reader_that_is_gone() -> None:
    """A pipe whose reader has ended ends the command quietly, as ever."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "greenroom", "config"],
            stdout=writing,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=STARTUP_SECONDS,
            check=False,
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")
