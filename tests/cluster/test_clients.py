"""Clients that come by https, and speak to several nodes or processes, get what they get of one.

`CONTRIBUTING.md` says how all tests are run so; here is a part.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONNECTIONS = (
    "tests/e2e/test_connections.py::test_everybody_receives_everything_in_one_order",
    "tests/e2e/test_connections.py::test_one_token_opens_one_connection",
)
CLIENTS = (
    "tests/interop/test_boto3_tags.py",
    "tests/interop/test_boto3_lists.py",
    "tests/interop/test_websockets.py",
)
ALONE = (
    "tests/stress/test_fanout.py::test_slow_readers",
    "tests/e2e/test_connections.py::test_slow_reader_is_dropped",
    "tests/e2e/test_connections.py::test_vanished_clients_leave_nothing",
)

NEWS = "not at_once and not deleted"
"""What a change does "at once" takes some milliseconds to the other node: see test_partitions."""


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ({"CLUSTER_NODES": "2"}, (*CLIENTS, *CONNECTIONS)),
        ({"CLUSTER_PROCESSES": "2"}, CONNECTIONS),
        ({}, ALONE),
    ],
    ids=["two nodes", "two processes", "alone"],
)
def test_clients(asked: dict[str, str], part: Sequence[str]) -> None:
    """boto3, WebSocket clients and crowds over TLS, by the same tests as in clear.

    Each connection is with another node, or with whichever process takes it.
    """
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
        [*command, *part],
        cwd=ROOT,
        env={**os.environ, "OVER_TLS": "1", **asked},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-4000:]
    assert " passed" in ended.stdout
