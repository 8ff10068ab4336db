"""Clients that speak to two nodes behind one port get what they get of one process.

`CLUSTER_NODES=2 make test PYTEST_ARGS="tests/interop tests/e2e"` runs all of them; here is a part.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PART = (
    "tests/interop/test_boto3_tags.py",
    "tests/interop/test_boto3_lists.py",
    "tests/interop/test_websockets.py",
    "tests/e2e/test_connections.py::test_everybody_receives_everything_in_one_order",
    "tests/e2e/test_connections.py::test_one_token_opens_one_connection",
    "tests/e2e/test_connections.py::test_kick_races_with_sends",
)

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
        [*command, *PART],
        cwd=ROOT,
        env={**os.environ, "CLUSTER_NODES": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-4000:]
    assert " passed" in ended.stdout
