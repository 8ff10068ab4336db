"""Clients that speak to two nodes behind one port get what they get of one process.

`CLUSTER_NODES=2 make test PYTEST_ARGS=tests/interop` runs all of them; here is a part.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PART = ("test_boto3_tags.py", "test_boto3_lists.py", "test_websockets.py")

NEWS = "not at_once and not deleted"
"""What a change does "at once" takes some milliseconds to the other node: see test_partitions."""


def test_clients_of_two_nodes() -> None:
    """boto3 and a WebSocket client, each connection with another node, by the same tests."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "-k",
        NEWS,
    ]
    ended = subprocess.run(
        [*command, *(f"tests/interop/{name}" for name in PART)],
        cwd=ROOT,
        env={**os.environ, "CLUSTER_NODES": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-4000:]
    assert " passed" in ended.stdout
