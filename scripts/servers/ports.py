"""Ports that stay free while a server that listens on them is away."""

import random
import socket
from pathlib import Path

LOWEST = 15_000
"""Below are ports that services of the machine have."""

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_taken: set[int] = set()


def free_port() -> int:
    """Return a port that nobody listens on, and that no connection gets as its own.

    From the range of those a connection to a server that is away may connect to itself.

    Raises:
        RuntimeError: none was found.
    """
    end = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    for _ in range(1_000):
        port = random.SystemRandom().randrange(LOWEST, max(end, LOWEST + 10_000))
        if port not in _taken and _is_free(port):
            _taken.add(port)
            return port
    raise RuntimeError("no free port was found")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
