"""The sockets that the service listens on: bound here, given by systemd, or received in a takeover.

A socket that is closed here ends for its clients only when nobody else holds it: systemd, or the
process that took over.
"""

import contextlib
import errno
import socket
from collections.abc import Callable, Iterator, Sequence

import msgspec
import structlog

from greenroom.process import systemd
from greenroom.process.start_refused import StartRefused
from greenroom.settings.values import Settings

BACKLOG = 65_535
"""Connections that may wait in the kernel to be accepted; `net.core.somaxconn` may allow fewer."""

log = structlog.get_logger()


class AddressRefused(StartRefused):
    """The address cannot be listened on: the message is one clear line for the operator."""


class AddressInUse(AddressRefused):
    """Another process listens on the address."""


class Listening(msgspec.Struct, frozen=True):
    """Sockets that listen, at least one."""

    sockets: list[socket.socket]
    by_systemd: bool = False
    """Whether systemd chose their addresses, and not the settings."""
    others: Sequence[socket.socket] = ()
    """Sockets that are held for other processes behind the same port."""

    @property
    def hosts(self) -> list[str]:
        """Return the addresses, each once."""
        return list(dict.fromkeys(str(each.getsockname()[0]) for each in self.sockets))

    @property
    def port(self) -> int:
        """Return the port of the first."""
        return int(self.sockets[0].getsockname()[1])

    def copies(self) -> list[socket.socket]:
        """Return the same sockets under other descriptors, for a server that closes them."""
        return [each.dup() for each in self.sockets]

    def close(self) -> None:
        """Let go of the sockets."""
        for each in (*self.sockets, *self.others):
            each.close()


@contextlib.contextmanager
def listening(
    settings: Settings,
    received: Listening | None = None,
    bind: Callable[[str, int], list[socket.socket]] | None = None,
) -> Iterator[Listening]:
    """Listen until the end of the `with` block: on what was received, given, or the settings say.

    `bind` makes the sockets that the settings say, if it is not one.

    Raises:
        AddressRefused: the address is taken, not this machine's, or not that of the received
            sockets; or systemd gave what cannot be served on.
    """
    host, port = settings.text("host"), settings.number("port")
    try:
        given = systemd.listening_sockets()
    except systemd.SocketsRefused as refused:
        raise AddressRefused(str(refused)) from None
    if received is not None:
        found = received
        if not received.by_systemd:
            _check_address(received, host, port)
    elif given:
        found = Listening(given, by_systemd=True)
        log.info("listens on the sockets of systemd, not on host and port", sockets=len(given))
    else:
        found = Listening([bound(host, port)] if bind is None else bind(host, port))
    try:
        yield found
    finally:
        found.close()


def bound(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a socket that listens on the address; others may beside it if it is shared.

    Raises:
        AddressRefused: the address is taken or not this machine's.
    """
    family, address = _resolved(host, port)
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, True)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        hint = _HINTS.get(error.errno or 0, "")
        kind = AddressInUse if error.errno == errno.EADDRINUSE else AddressRefused
        raise kind(f"cannot listen on {host} port {port}: {error.strerror}{hint}") from None
    return listening


_HINTS = {
    errno.EADDRINUSE: "; stop what listens there, or give another port: --port 0 takes a free one",
    errno.EADDRNOTAVAIL: "; --host must be an address of this machine, or of all: 0.0.0.0 or ::",
    errno.EACCES: "; ports below 1024 need a right that this process has not: give a higher one",
}


def _resolved(host: str, port: int) -> tuple[int, tuple[str, int] | tuple[str, int, int, int]]:
    try:
        ((family, _, _, _, address), *_) = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise AddressRefused(f"{host} is not an address: {error.strerror}") from None
    except UnicodeError:
        raise AddressRefused(f"{host} is not an address: a part is empty or too long") from None
    return family, address  # type: ignore[return-value]  # (int, bytes) is a Python without IPv6


def _check_address(received: Listening, host: str, port: int) -> None:
    """Refuse a takeover that would change the address: clients know the old one."""
    _, address = _resolved(host, port)
    here = received.hosts[0]
    if here != address[0] or port not in (0, received.port):
        raise AddressRefused(
            f"the running process listens on {here} port {received.port}, and a takeover keeps"
            f" that: the settings say {host} port {port}; stop it to listen elsewhere"
        )
