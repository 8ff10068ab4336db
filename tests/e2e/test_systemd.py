"""The service as systemd starts it, without systemd: sockets that outlive it, what it tells."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running.service import environment
from tests.running.unit import AS_SYSTEMD, Unit, made_in
from tests.running.wire import PATIENCE, Peer, WebSocket, api_of, token_line, upgrade_bytes

DIES = """
import os
from greenroom.cli.main import main
from greenroom.entrance.takeover import Predecessor

Predecessor.serving = lambda _: os._exit(77)
main()
"""
"""A new process that ends instead of its last word."""


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    """Give systemd's side."""
    with made_in(tmp_path) as unit:
        yield unit


def test_nobody_is_refused_between_two_starts(unit: Unit) -> None:
    """The socket stays systemd's: who comes while the service is stopped waits for the next one."""
    with unit.started() as service, api_of(service) as api:
        assert unit.message() == {"READY=1"}
        assert service.api_url.endswith(f":{unit.listening.getsockname()[1]}")
        token = api.token(api.room())
        service.process.terminate()
        assert unit.message() == {"STOPPING=1"}
        assert service.process.wait(PATIENCE) == 0
        with WebSocket(service) as waiting:
            waiting.send(upgrade_bytes(token_line(token)))
            with unit.started():
                assert waiting.read_answer().status == 101


def test_a_reload(unit: Unit) -> None:
    """The new process is the main one once it serves, as the old one says; whose end is none."""
    with unit.started() as old:
        assert unit.message() == {"READY=1"}
        # It has no sockets of its own, and other settings than the address of the socket unit.
        with unit.started(given=False, takeover=True) as new:
            assert unit.message() == {f"MAINPID={new.process.pid}"}
            assert old.process.wait(PATIENCE) == 0
            with Peer(new) as peer:
                peer.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
                assert peer.read_answer().status == 200
            new.process.terminate()
            assert unit.message() == {"STOPPING=1"}


def test_a_reload_that_dies_at_its_last_step(unit: Unit) -> None:
    """It was never the main process: the old one stays that, and serves again."""
    with unit.started() as old, api_of(old) as api:
        assert unit.message() == {"READY=1"}
        data_dir = old.ready["data_dir"]
        ended = subprocess.run(
            [sys.executable, "-c", DIES, "serve", "--data-dir", data_dir, "--takeover"],
            env=environment(NOTIFY_SOCKET=str(unit.directory / "notify")),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode == 77, ended.stderr
        api.room()
        assert unit.message() == {"READY=1"}
        old.process.terminate()
        assert unit.message() == {"STOPPING=1"}


def test_a_socket_that_is_none(tmp_path: Path) -> None:
    """What cannot be served on is refused in one line."""
    ended = subprocess.run(
        [sys.executable, "-c", AS_SYSTEMD, "0", "-m", "greenroom", "serve"],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 3, ended.stderr
    assert "descriptor 3 (chat) of LISTEN_FDS is no socket" in ended.stderr
    assert list(tmp_path.iterdir()) == []
