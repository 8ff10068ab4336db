"""uvicorn's server with our protocols behind it: the address, the entrance, the configuration."""

import asyncio
import contextlib
import errno
import functools
import socket
from collections.abc import Callable, Iterator
from typing import cast

import uvicorn

from greenroom.acceptor import Acceptor, Entrance
from greenroom.application import Application
from greenroom.door import Door
from greenroom.listener import HeadLimits
from greenroom.messaging.plane import Plane
from greenroom.settings import Settings
from greenroom.tls import Certificate
from greenroom.visitors import Visit


class AddressRefused(Exception):
    """The address cannot be listened on: the message is one clear line for the operator."""


@contextlib.contextmanager
def bound(host: str, port: int) -> Iterator[socket.socket]:
    """Listen on the address until the end of the `with` block.

    Raises:
        AddressRefused: the address is taken or not this machine's.
    """
    try:
        ((family, kind, protocol, _, address), *_) = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise AddressRefused(f"{host} is not an address: {error.strerror}") from None
    except UnicodeError:
        raise AddressRefused(f"{host} is not an address: a part is empty or too long") from None
    listening = socket.socket(family, kind, protocol)
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen(4096)
        except OSError as error:
            hint = _HINTS.get(error.errno or 0, "")
            raise AddressRefused(
                f"cannot listen on {host} port {port}: {error.strerror}{hint}"
            ) from None
        yield listening


_HINTS = {
    errno.EADDRINUSE: "; stop what listens there, or give another port: --port 0 takes a free one",
    errno.EADDRNOTAVAIL: "; --host must be an address of this machine, or of all: 0.0.0.0 or ::",
    errno.EACCES: "; ports below 1024 need a right that this process has not: give a higher one",
}
"""What a person can do about it."""


class HttpServer(uvicorn.Server):
    """uvicorn's server, with our signals and our TLS, that tells when it listens."""

    def __init__(
        self,
        config: uvicorn.Config,
        started: Callable[[], None],
        entrance: Entrance | None,
        plane: Plane,
    ) -> None:
        super().__init__(config)
        self._tell = started
        self._entrance = entrance
        self._plane = plane
        self._acceptors: list[Acceptor] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets if self._entrance is None else [])
        if self._entrance is not None:
            made = [
                Acceptor(each, self._entrance, self._protocol, self._plane)
                for each in sockets or ()
            ]
            self._acceptors = made
            for acceptor in made:
                acceptor.start()
        self._tell()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for acceptor in self._acceptors:
            acceptor.stop()
        await super().shutdown(sockets)

    def _protocol(self, visit: Visit) -> asyncio.Protocol:
        make = cast(Callable[..., asyncio.Protocol], self.config.http_protocol_class)
        return make(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            visit=visit,
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def http_config(settings: Settings, application: Application, plane: Plane) -> uvicorn.Config:
    """Return the configuration of the server: what it does not do is switched off."""
    limits = HeadLimits(
        size=settings.number("head_bytes"),
        count=settings.number("header_count"),
        seconds=settings.number("handshake_timeout_seconds"),
    )
    return uvicorn.Config(
        application,
        http=functools.partial(Door, plane, limits),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # uvicorn would believe everybody on this machine, and a variable; see `trusted_proxies`.
        proxy_headers=False,
        backlog=4096,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.number("drain_timeout_seconds"),
    )


def entrance(settings: Settings, certificate: Certificate | None) -> Entrance | None:
    """Return what connections pass before their first byte is read, if anything."""
    proxy_protocol = settings.text("proxy_protocol") == "on"
    if certificate is None and not proxy_protocol:
        return None
    return Entrance(
        context=None if certificate is None else certificate.context,
        proxy_protocol=proxy_protocol,
        handshake_seconds=settings.number("handshake_timeout_seconds"),
        close_seconds=settings.number("close_timeout_seconds"),
    )
