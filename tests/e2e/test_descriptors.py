"""The real process runs out of descriptors: who operates it is told."""

import resource
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.running.said import entries
from tests.running.service import Service, running
from tests.running.wire import Peer, http_bytes

PATIENCE = 20.0
"""Far more than anything takes; a busy machine must not fail a test."""


def shortages(peer: Peer) -> float:
    """Return what the metric says, on a connection that is open already."""
    peer.send(
        http_bytes("GET", "/metrics", {"host": "localhost", "authorization": f"Bearer {TOKEN}"})
    )
    text = peer.read_answer().body.decode()
    (line,) = [each for each in text.splitlines() if each.startswith(METRIC)]
    return float(line.split()[1])


METRIC = "greenroom_descriptor_shortages_total"
TOKEN = "token-of-the-tests-of-descriptors"


@pytest.mark.parametrize("proxy_protocol", ["off", "on"], ids=["loop", "acceptor"])
def test_no_descriptor_is_left(tmp_path: Path, proxy_protocol: str) -> None:
    """Whoever accepts, a warning names LimitNOFILE, and a metric counts; later all goes on."""
    variables = {
        "GREENROOM_PROXY_PROTOCOL": proxy_protocol,
        "GREENROOM_TRUSTED_PROXIES": "192.0.2.1",
        "GREENROOM_METRICS_TOKEN": TOKEN,
        "GREENROOM_LOG_FORMAT": "json",
    }
    with running(tmp_path / "data", **variables) as service, Peer(service) as peer:
        assert shortages(peer) == 0
        with ExitStack() as clients:
            open_now = len(list(Path(f"/proc/{service.process.pid}/fd").iterdir()))
            limits = limit(service, open_now + 10)
            for _ in range(20):
                clients.enter_context(connected(service))
            deadline = time.monotonic() + PATIENCE
            while not shortages(peer) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert shortages(peer) > 0
            (line, *_) = entries(service, "no descriptors left: new connections are closed")
            assert (line["level"], line["limit"]) == ("warning", open_now + 10)
            assert "LimitNOFILE" in line["remedy"]
            resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, limits)
        assert "fault" not in service.log.read_text()


def limit(service: Service, descriptors: int) -> tuple[int, int]:
    """Let the process have so many; return what it had before."""
    before = resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (descriptors, before[1]))
    return before


def connected(service: Service) -> socket.socket:
    """Return a connection that says nothing."""
    host, port = service.api_url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)
