"""`greenroom bench` as an operator runs it: real processes, real connections, an exit code."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import greenroom
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main
from tests.running.service import Service, environment, running
from tests.running.wire import PATIENCE, api_of

SOURCE = {"PYTHONPATH": str(Path(greenroom.__file__).parent.parent)}
COMMAND = [sys.executable, "-m", "greenroom", "bench"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a service with the default limits."""
    with running(tmp_path_factory.mktemp("bench") / "data", **SOURCE) as service:
        yield service


@pytest.fixture(scope="module")
def room(service: Service) -> str:
    """Return a room with the default rate of 10 messages a second."""
    with api_of(service) as api:
        return api.room()


def bench(*options: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *options],
        env=environment(**SOURCE, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def at(service: Service, *options: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the command against a service, with the key in its data directory."""
    known = {"GREENROOM_DATA_DIR": service.ready["data_dir"]} | variables
    return bench("--endpoint-url", service.api_url, *options, **known)


def result_of(ended: "subprocess.CompletedProcess[str]") -> Any:
    """Return the result that a good run printed, and nothing else."""
    assert (ended.returncode, ended.stderr) == (ExitCode.OK, "")
    return json.loads(ended.stdout)


def test_a_service_of_its_own() -> None:
    """With --self every message comes to every client, above what a room usually allows."""
    ended = bench("--self", "--connections", "20", "--duration", "1", "--rate", "50", "--json")
    result = result_of(ended)
    assert result["exact"] is True
    assert result["connections"]["opened"] == 20
    assert result["messages"]["sent"] == 50
    assert result["deliveries"]["received"] == result["deliveries"]["expected"] == 1000
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["max"]
    # It ended with the command: nobody answers there any more.
    gone = bench(
        *(result["room"], "--endpoint-url", result["endpoint"]),
        AWS_ACCESS_KEY_ID="A" * 16,
        AWS_SECRET_ACCESS_KEY="s",
    )
    assert (gone.returncode, gone.stdout) == (ExitCode.UNREACHABLE, "")
    assert gone.stderr == f"Error: cannot reach {result['endpoint']}: Connection refused\n"


def test_a_running_service(service: Service, room: str) -> None:
    """A room of a running service is measured within its limits, in lines for people."""
    ended = at(service, room, "--connections", "10", "--duration", "0.3")
    assert (ended.returncode, ended.stderr) == (ExitCode.OK, "")
    assert "connections  10 of 10 opened, 0 lost" in ended.stdout
    assert "deliveries   30 of 30, " in ended.stdout
    assert "refusals     none" in ended.stdout


@pytest.mark.parametrize("case", ["rate", "room", "key"])
def test_refusals(service: Service, room: str, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate above the room's, a room that is not there and a foreign key end in one line."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("greenroom.cli.bench.command.allow_files", lambda: None)
    foreign: dict[str, str | None] = {
        "AWS_ACCESS_KEY_ID": "AKIA" + "A" * 16,
        "AWS_SECRET_ACCESS_KEY": "not-shown",
    }
    own: dict[str, str | None] = dict.fromkeys(foreign)
    cases: dict[str, tuple[list[str], dict[str, str | None], ExitCode, str]] = {
        "rate": (["--rate", "11"], own, ExitCode.USAGE, "maximumMessageRatePerSecond, 10"),
        "room": ([], own, ExitCode.REFUSED, "ResourceNotFoundException"),
        "key": ([], foreign, ExitCode.REFUSED, "UnrecognizedClientException"),
    }
    options, key, code, words = cases[case]
    asked = room[:-4] + "gone" if case == "room" else room
    # In this process: each start of the command would take most of a second.
    ended = CliRunner().invoke(
        main,
        ["bench", asked, "--endpoint-url", service.api_url, *options],
        # Beside the key in the directory a foreign one would be passed over.
        env={"GREENROOM_DATA_DIR": service.ready["data_dir"] if key is own else "nowhere", **key},
    )
    assert (ended.exit_code, ended.stdout) == (code, "")
    assert re.fullmatch(r"Error: [^\n]+\n", ended.stderr), ended.stderr
    assert words in ended.stderr
    assert "not-shown" not in ended.stderr


def test_ctrl_c_shows_the_result_so_far(service: Service, room: str) -> None:
    """On a terminal there is a progress bar; Ctrl-C ends early, with a result and its code."""
    terminal, other_end = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, room, "--endpoint-url", service.api_url, "--duration", "600"],
        env=environment(**SOURCE, TERM="xterm", GREENROOM_DATA_DIR=service.ready["data_dir"]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=other_end,
        text=True,
    )
    os.close(other_end)
    giving_up = threading.Timer(PATIENCE, process.kill)
    giving_up.start()
    shown = b""
    while b"Sending" not in shown:
        shown += os.read(terminal, 4096)
    process.send_signal(signal.SIGINT)
    # Read on, so that the command is not kept waiting by a terminal that is full.
    reader = threading.Thread(target=_drain, args=(terminal,))
    reader.start()
    stdout, _ = process.communicate()
    giving_up.cancel()
    reader.join()
    os.close(terminal)
    assert b"Connecting" in shown
    assert process.returncode == ExitCode.OK
    assert "100 of 100 opened" in stdout
    assert "Ended early: this is the result so far." in stdout


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:
        return
