"""What systemd does for a service, without systemd: it holds the socket, and is told."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.running.service import Service, started
from tests.running.wire import PATIENCE

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

    def start(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        given: bool = True,
        takeover: bool = False,
    ) -> Service:
        """Start the service as ExecStart does, or as ExecReload: that gets no sockets."""
        number = self.listening.fileno()
        return started(
            (
                *(("-c", AS_SYSTEMD, str(number)) if given else ()),
                *("-m", "greenroom", "serve", "--data-dir", str(self.directory / "data")),
                *(("--takeover",) if takeover else ()),
            ),
            self.directory,
            "unit",
            {**(settings or {}), "NOTIFY_SOCKET": str(self.directory / "notify")},
            descriptors=(number,) if given else (),
        )

    @contextmanager
    def started(self, *, given: bool = True, takeover: bool = False) -> Iterator[Service]:
        """Start the service, and kill it in the end."""
        service = self.start(given=given, takeover=takeover)
        try:
            yield service
        finally:
            service.kill()

    def message(self) -> set[str]:
        """Return the lines of the next message of the service."""
        return set(self.told.recv(1000).decode().split("\n"))


@contextmanager
def made_in(directory: Path) -> Iterator[Unit]:
    """Give a unit whose files are in a directory."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
    ):
        told.bind(str(directory / "notify"))
        told.settimeout(PATIENCE)
        yield Unit(directory, listening, told)
