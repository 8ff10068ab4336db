"""Idle connections over TLS: the load generator in C speaks none, and nothing here is timed.

`python -m benchmarks.tls HOST PORT CERTIFICATE TOKENS` is the client: it opens a connection
for every token, says so, and waits until its input ends. It answers no pings.
"""

import base64
import os
import resource
import secrets
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from benchmarks.client import Load, Outcome
from benchmarks.processes import LOAD_CORE, allow_descriptors, on_core
from benchmarks.service import Greenroom

OPEN = b"open\n"
START_SECONDS = 300


def idle_over_tls(server: Greenroom, connections: int, seconds: float) -> Outcome:
    """Fill a server with idle connections; of the outcome only the memory was measured."""
    target = server.target(Load(connections=connections))
    before = resident(server.pid)
    command = [sys.executable, "-m", "benchmarks.tls", "127.0.0.1", str(server.port)]
    command += [str(server.trusted), str(target.protocols)]
    with (
        on_core(LOAD_CORE),
        subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as client,
    ):
        assert client.stdout is not None  # noqa: S101 - for the types
        if client.stdout.readline() != OPEN:
            raise RuntimeError("the connections could not be opened")
        after = resident(server.pid)
        time.sleep(seconds)
        held = resident(server.pid)
        client.kill()
    figures = {field.name: 0 for field in msgspec.structs.fields(Outcome) if field.required}
    figures |= {"connections": connections, "rooms": 1, "resident_before": before}
    return Outcome(**figures | {"resident_after": after, "resident_held": held})  # type: ignore[arg-type]  # of its fields only sequences are left out


def resident(pid: int) -> int:
    """Return the KiB of memory that a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


def hold(host: str, port: int, certificate: str, tokens: Path) -> None:
    """Open a connection for every token and keep them."""
    allow_descriptors()
    context = ssl.create_default_context(cafile=certificate)
    kept = [_connect(context, host, port, token) for token in tokens.read_text().split()]
    os.write(1, OPEN if all(kept) else b"refused\n")
    sys.stdin.read()


def _connect(context: ssl.SSLContext, host: str, port: int, token: str) -> ssl.SSLSocket:
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    head = (
        f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        f"Sec-WebSocket-Protocol: {token}\r\n\r\n"
    )
    connection = context.wrap_socket(
        socket.create_connection((host, port), timeout=START_SECONDS), server_hostname=host
    )
    connection.sendall(head.encode())
    if not connection.recv(4096).startswith(b"HTTP/1.1 101 "):
        raise RuntimeError("a connection was refused")
    return connection


if __name__ == "__main__":
    hold(sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
