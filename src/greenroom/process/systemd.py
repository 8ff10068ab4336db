"""What systemd gives a service and is told by it: listening sockets, and notifications.

Both are protocols of environment variables, `sd_listen_fds(3)` and `sd_notify(3)`. Without the
variables nothing is given, and nothing is told.
"""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress

FIRST_DESCRIPTOR = 3
"""The first socket's, by the protocol."""

PATIENCE_SECONDS = 0.5
"""How long systemd may take to read what was told before."""

READY = "READY=1"
STOPPING = "STOPPING=1"


class SocketsRefused(Exception):
    """A socket that was given cannot be served on: one clear line for the operator."""


def listening_sockets(
    environment: MutableMapping[str, str] = os.environ, first: int = FIRST_DESCRIPTOR
) -> list[socket.socket]:
    """Take the sockets that systemd opened for this process; a second call finds none.

    Raises:
        SocketsRefused: one is not a TCP socket that listens.
    """
    process, number = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if process != str(os.getpid()) or not number.isdecimal():
        return []
    return [
        _listening(first + index, names[index] if index < len(names) else "")
        for index in range(int(number))
    ]


def notify(*lines: str, path: str | None = None) -> None:
    """Tell systemd; what it does not take within `PATIENCE_SECONDS` is lost."""
    path = os.environ.get("NOTIFY_SOCKET") if path is None else path
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection, suppress(OSError):
        # Few messages fit into its queue, and the event loop waits.
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect("\0" + path[1:] if path.startswith("@") else path)
        connection.send("\n".join(lines).encode())


def _listening(descriptor: int, name: str) -> socket.socket:
    shown = f"descriptor {descriptor} ({name or 'unnamed'})"
    try:
        os.set_inheritable(descriptor, False)
        given = socket.socket(fileno=descriptor)
    except OSError as error:
        raise SocketsRefused(f"{shown} of LISTEN_FDS is no socket: {error.strerror}") from None
    listens = given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    of_tcp = given.family in (socket.AF_INET, socket.AF_INET6) and given.type == socket.SOCK_STREAM
    if not (listens and of_tcp):
        given.close()
        raise SocketsRefused(
            f"{shown} of LISTEN_FDS is not a TCP socket that listens: give the socket unit"
            " ListenStream= with a port, and Accept=no"
        )
    return given
