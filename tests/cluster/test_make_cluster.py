"""`make cluster`: three nodes to try, which end with Ctrl-C."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from click.testing import CliRunner

from greenroom.cli.main import main
from scripts.servers.cluster import LOGS, STOP
from tests.running.service import environment, until_ready

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "scripts.servers.cluster", "--port", "0"]


@pytest.mark.timeout(180)
def test_it_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    """It prints what a person needs, starts again, takes another node; the logs alone are left."""
    # Where root's PostgreSQL may be, everybody may enter.
    temporary = {} if os.geteuid() == 0 else {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        PROGRAM,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(**temporary),
    ) as running:
        try:
            said = _until_ready(running)
            endpoints = re.findall(r"^  node-\d  (\S+)  process", said, re.MULTILINE)
            assert len(endpoints) == 3
            file = re.findall(r"^Credentials  (\S+)$", said, re.MULTILINE)[0]
            room = _client(endpoints[0], file).create_room(name="one")["arn"]
            for endpoint in endpoints[1:]:
                assert _client(endpoint, file).get_room(identifier=room)["name"] == "one"
            family = psutil.Process(running.pid).children(recursive=True)
            assert len([each for each in family if each.name() == "nats-server"]) == 3
            _kill_and_start_again(running, said)
            _add_a_node(said, tmp_path, room)
            _look_at_it(said)
            family += psutil.Process(running.pid).children(recursive=True)
            running.send_signal(signal.SIGINT)
            assert running.wait(60) == 0
            _, alive = psutil.wait_procs(family, timeout=10)
            assert not alive
            assert not Path(file).parent.parent.exists()
            assert (LOGS / "node-2.log").read_text()
            assert (LOGS / "nats-1.log").exists()
        finally:
            running.kill()


def _kill_and_start_again(running: "subprocess.Popen[str]", said: str) -> None:
    """Enter starts again what was killed, and its process is told."""
    assert running.stdin is not None
    assert running.stdout is not None
    ((url, pid),) = re.findall(r"^  node-2  (\S+)  process (\d+)$", said, re.MULTILINE)
    os.kill(int(pid), signal.SIGKILL)
    assert running.stdout.readline().startswith("node-2 has ended; its log is ")
    print(file=running.stdin, flush=True)
    again = running.stdout.readline()
    assert re.match(rf"node-2 runs again  {url}  process \d+\n", again)
    assert pid not in again


def _add_a_node(said: str, tmp_path: Path, room: str) -> None:
    """The command that is shown adds one, which knows what the others do."""
    (command,) = re.findall(r"^Add a node:  \S*greenroom (.*)$", said, re.MULTILINE)
    assert "secret" not in command
    ready = tmp_path / "fourth.json"
    told = [*shlex.split(command), "--ready-file", str(ready)]
    with (tmp_path / "log").open("wb") as log:
        fourth = subprocess.Popen(
            [sys.executable, "-m", "greenroom", *told], stderr=log, env=environment()
        )
    try:
        found = until_ready(fourth, ready, tmp_path / "log")
        made = _client(found["api_url"], found["credentials_file"])
        assert made.get_room(identifier=room)["name"] == "one"
    finally:
        fourth.terminate()
        fourth.wait(30)


def _look_at_it(said: str) -> None:
    """The command that is shown says how all of it is."""
    (command,) = re.findall(r"^Look at it:  \S*greenroom (.*)$", said, re.MULTILINE)
    seen = CliRunner().invoke(main, shlex.split(command))
    assert "17 of 17 have leaders" in seen.stdout
    assert "ready" in seen.stdout


def _until_ready(running: "subprocess.Popen[str]") -> str:
    assert running.stdout is not None
    said = ""
    while not said.endswith(f"{STOP}\n"):
        line = running.stdout.readline()
        assert line, said
        said += line
    return said


def _client(endpoint: str, file: str) -> Any:
    text = Path(file).read_text()
    key = re.findall(r"= (\S+)", text)
    return boto3.client(
        "ivschat",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key[0],
        aws_secret_access_key=key[1],
    )
