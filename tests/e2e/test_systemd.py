"""The service as systemd starts it, without systemd: sockets that outlive it, what it tells."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.e2e.wire import PATIENCE, Peer, WebSocket, api_of, token_line, upgrade_bytes
from tests.service import Service, environment, until_ready

AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="chat")
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
"""Descriptor 3, and the process id that the service has after `exec`."""


class Unit(msgspec.Struct):
    """What systemd holds of a service: its listening socket, and the one that it is told by."""

    directory: Path
    listening: socket.socket
    told: socket.socket

    @contextmanager
    def started(self, *, given: bool = True, takeover: bool = False) -> Iterator[Service]:
        """Start the service as ExecStart does, or as ExecReload: that gets no sockets."""
        ready_file, log = self.directory / "ready.json", self.directory / "log"
        command = ["-m", "greenroom", "serve", "--data-dir"]
        command += [str(self.directory / "data"), "--ready-file", str(ready_file)]
        command += ["--takeover"] if takeover else []
        number = self.listening.fileno()
        before = ["-c", AS_SYSTEMD, str(number)] if given else []
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, *before, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[number] if given else [],
                env=environment(NOTIFY_SOCKET=str(self.directory / "notify")),
            )
        try:
            yield Service(process, until_ready(process, ready_file, log), log)
        finally:
            process.kill()
            process.wait()

    def message(self) -> set[str]:
        """Return the lines of the next message of the service."""
        return set(self.told.recv(1000).decode().split("\n"))


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    """Give systemd's side."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
    ):
        told.bind(str(tmp_path / "notify"))
        told.settimeout(PATIENCE)
        yield Unit(tmp_path, listening, told)


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
    """The new process is the main one from when it serves; the old one's end is not the unit's."""
    with unit.started() as old:
        assert unit.message() == {"READY=1"}
        # It has no sockets of its own, and other settings than the address of the socket unit.
        with unit.started(given=False, takeover=True) as new:
            assert unit.message() == {"READY=1", f"MAINPID={new.process.pid}"}
            assert old.process.wait(PATIENCE) == 0
            with Peer(new) as peer:
                peer.send(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
                assert peer.read_answer().status == 200
            new.process.terminate()
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
