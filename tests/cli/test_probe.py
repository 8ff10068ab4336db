"""The container's health check finds the service that the variables say; the image runs it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from greenroom.cli.probe import url_of
from greenroom.process import address_file
from greenroom.process.address_file import Address
from greenroom.settings.load import load


class Answering(BaseHTTPRequestHandler):
    """Answers as a service would that is ready, or not."""

    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health/ready" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """Return where something answers."""
    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def probed(**variables: str) -> "subprocess.CompletedProcess[str]":
    """Return how the health check ended with the variables of a container."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GREENROOM_")}
    # A proxy for everything else, as engines may give to containers.
    given = {f"GREENROOM_{name.upper()}": value for name, value in variables.items()}
    return subprocess.run(
        [sys.executable, "-m", "greenroom.cli.probe"],
        env={**kept, "http_proxy": "http://127.0.0.1:1", **given},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_service_that_keeps_nothing(port: int, tmp_path: Path) -> None:
    """Is asked at host and port; an address in the directory is of what ran there before."""
    address_file.write(tmp_path, Address("http://127.0.0.1:1"))
    told = {"host": "0.0.0.0", "data_dir": str(tmp_path), "storage": "memory"}
    assert (probed(port=str(port), **told).returncode, Answering.status) == (0, 200)


def test_a_service_that_wrote_its_address(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is asked there, in whichever data directory; what is not well is told in one line."""
    address_file.write(tmp_path, Address(f"http://127.0.0.1:{port}"))
    assert probed(data_dir=str(tmp_path)).returncode == 0
    monkeypatch.setattr(Answering, "status", 503)
    ended = probed(data_dir=str(tmp_path))
    said = f"http://127.0.0.1:{port}/health/ready answers 503\n"
    assert (ended.returncode, ended.stderr) == (1, said)


def test_what_cannot_be_asked() -> None:
    """Is one line, not a traceback."""
    gone = probed(storage="memory", port="1")
    assert (gone.returncode, gone.stderr) == (1, "[Errno 111] Connection refused\n")
    wrong = probed(storage="nowhere")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("told", "url"),
    [
        ({"GREENROOM_HOST": "::", "GREENROOM_DEV_TLS": "on"}, "https://[::1]:8470/health/ready"),
        ({"GREENROOM_PORT": "9000"}, "http://127.0.0.1:9000/health/ready"),
    ],
)
def test_where_it_is(told: dict[str, str], url: str, tmp_path: Path) -> None:
    """Over TLS where the service has it, and at an address that connections can be made to."""
    assert url_of(load({}, {**told, "GREENROOM_DATA_DIR": str(tmp_path)}, None)) == url
