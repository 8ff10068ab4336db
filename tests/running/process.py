"""The process under stress: how it is started, and what it holds."""

import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

from tests.running.said import assert_no_faults, entries
from tests.running.service import Service, running
from tests.running.viewers import Crowd

UNTHROTTLED = {
    "GREENROOM_ROOM_MESSAGE_RATES": "off",
    "GREENROOM_QUOTAS": "messaging_requests_per_connection=0,connections=0",
    "GREENROOM_LOG_FORMAT": "json",
}


@contextlib.asynccontextmanager
async def serving(directory: Path, **variables: str) -> AsyncIterator[tuple[Service, Crowd]]:
    """Run a service without rates; in the end it must stop cleanly, and nothing have crashed."""
    with running(directory / "data", **{**UNTHROTTLED, **variables}) as service:
        async with Crowd(service) as crowd:
            yield service, crowd
        if service.process.poll() is None:
            assert service.stop() == 0
        assert_no_faults(service)


def connections_at_stop(service: Service) -> int:
    """Stop the service; return how many connections it counted then."""
    assert service.stop() == 0
    (entry,) = entries(service, "stopping")
    return int(entry["connections"])


def descriptors(service: Service) -> int:
    """Return how many files and sockets the process has open."""
    return sum(1 for _ in Path(f"/proc/{service.process.pid}/fd").iterdir())


def sockets(service: Service) -> set[str]:
    """Return the inodes of the sockets that the process has open."""
    names = set()
    for link in Path(f"/proc/{service.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            names.add(link.readlink().name)
    return {name[len("socket:[") : -1] for name in names if name.startswith("socket:[")}


def resident(service: Service) -> int:
    """Return the bytes of memory that the process has."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def scheduled(service: Service) -> tuple[int, int]:
    """Return for how many ns the process's main thread ran, and how many it waited for a core.

    The kernel may not count the second.
    """
    counted = Path(f"/proc/{service.process.pid}/schedstat")
    ran, waited = counted.read_text().split()[:2] if counted.exists() else ("0", "0")
    return int(ran), int(waited)


def cpu_seconds(service: Service) -> float:
    """Return the CPU time that the process has used."""
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_share(service: Service, seconds: float) -> float:
    """Return the share of one core that the process uses during the next seconds."""
    used, begun = cpu_seconds(service), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(service) - used) / (time.monotonic() - begun)
