"""`make cluster`: three nodes to try, which end with Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from tests.running.service import environment

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "scripts.servers.cluster", "--port", "0"]


@pytest.mark.timeout(180)
def test_it_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    """It prints an endpoint of each node and the credentials; afterwards nothing is left."""
    # Where root's PostgreSQL may be, everybody may enter.
    temporary = {} if os.geteuid() == 0 else {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        PROGRAM, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment(**temporary)
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
            running.send_signal(signal.SIGINT)
            assert running.wait(60) == 0
            _, alive = psutil.wait_procs(family, timeout=10)
            assert not alive
            assert not Path(file).parent.parent.exists()
        finally:
            running.kill()


def _until_ready(running: "subprocess.Popen[str]") -> str:
    assert running.stdout is not None
    said = ""
    while not said.endswith("Stop it: Ctrl-C\n"):
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
