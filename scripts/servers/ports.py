"""Ports that stay free while a server that listens on them is away, whoever else asks for some."""

import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

LOWEST = 15_000
"""Below are ports that services of the machine have."""

BLOCK = 64
"""Ports that a process has to itself at a time: on the first one it is bound for as long as it
lives, and so no other one that asks here takes any of them.
"""

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_turn = threading.Lock()


def free_port() -> int:
    """Return a port that nobody listens on, that no connection gets as its own, and once.

    From the range of those a connection to a server that is away may connect to itself.

    Raises:
        RuntimeError: there is none.
    """
    with _turn:
        for port in _ports:
            if _bound(port, keep=False):
                return port
    raise RuntimeError("no free port was found")


def _own() -> Iterator[int]:
    """Give the ports of this process, of one block after another."""
    end = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    blocks = list(range(LOWEST, max(end, LOWEST + 10_000) - BLOCK, BLOCK))
    random.SystemRandom().shuffle(blocks)
    for first in blocks:
        if _bound(first, keep=True):
            yield from range(first + 1, first + BLOCK)


_ports = _own()


def _bound(port: int, *, keep: bool) -> bool:
    """Return whether a port could be bound; `keep` it until this process ends."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        if keep:
            probe.detach()
        return True
