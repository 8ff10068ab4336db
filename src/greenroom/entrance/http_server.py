"""uvicorn's server with our protocols behind it: the entrance, and the configuration."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Callable, Iterator
from typing import cast

from uvicorn.config import Config
from uvicorn.server import Server

from greenroom.control.asgi import Application
from greenroom.entrance.acceptor import Acceptor, AcceptorServices, Entrance
from greenroom.entrance.certificate import Certificate
from greenroom.entrance.first_bytes import FirstBytes
from greenroom.entrance.http_connection import LINGER_SECONDS, EntranceServices, HeadLimits
from greenroom.entrance.in_clear import InClear
from greenroom.entrance.sockets import BACKLOG
from greenroom.messaging.turns import Turns
from greenroom.network.visitors import Visit
from greenroom.settings.values import Settings
from greenroom.tls.keys import Times, TlsKeys

HANDSHAKES_AT_ONCE = 4
"""TLS handshakes begun before everybody else has a turn: 2 ms with an ECDSA key, 6 with RSA."""


class HttpServer(Server):
    """uvicorn's server, with our signals and our TLS, that tells when it listens."""

    def __init__(
        self,
        config: Config,
        started: Callable[[], None],
        entrance: Entrance | None,
        services: AcceptorServices,
    ) -> None:
        super().__init__(config)
        self._tell = started
        self._entrance = entrance
        self._services = services
        self._acceptors: list[Acceptor] = []
        self._more: dict[Acceptor, socket.socket] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets if self._entrance is None else [])
        if self._entrance is not None:
            made = [
                Acceptor(each, self._entrance, self._protocol, self._services)
                for each in sockets or ()
            ]
            self._acceptors = made
            for acceptor in made:
                acceptor.start()
        self._tell()

    def stop_accepting(self) -> None:
        """Take no more connections, from this instant on; the rest is `shutdown`'s."""
        self.should_exit = True
        self._stop_acceptors()
        for server in self.servers:
            server.close()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stop_acceptors()
        await super().shutdown(sockets)

    def _stop_acceptors(self) -> None:
        for acceptor in self._acceptors:
            acceptor.stop()
        for acceptor in list(self._more):
            self._close(acceptor)

    async def accept_from(self, listening: socket.socket) -> Callable[[], None]:
        """Take connections from one more socket; return what ends that, and closes it."""
        if self._entrance is not None:
            acceptor = Acceptor(listening, self._entrance, self._protocol, self._services)
            self._more[acceptor] = listening
            acceptor.start()
            return functools.partial(self._let_go_of, acceptor)
        make = functools.partial(
            cast(Callable[..., asyncio.Protocol], self.config.http_protocol_class),
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        loop = asyncio.get_running_loop()
        server = await loop.create_server(make, sock=listening, backlog=BACKLOG)
        self.servers.append(server)
        return server.close

    def _let_go_of(self, acceptor: Acceptor) -> None:
        """Accept no more at once; close when those that are on their way have come through."""
        acceptor.accept_no_more()
        asyncio.get_running_loop().call_later(acceptor.handshake_seconds, self._close, acceptor)

    def _close(self, acceptor: Acceptor) -> None:
        listening = self._more.pop(acceptor, None)
        if listening is not None:
            acceptor.stop()
            listening.close()

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


def http_config(settings: Settings, application: Application, services: EntranceServices) -> Config:
    """Return the configuration of the server: what it does not do is switched off."""
    limits = HeadLimits(
        size=settings.number("head_bytes"),
        count=settings.number("header_count"),
        seconds=settings.number("handshake_timeout_seconds"),
    )
    return Config(
        application,
        http=functools.partial(FirstBytes, services, limits),  # type: ignore[arg-type]  # uvicorn only calls it, as it would a class
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # uvicorn would believe everybody on this machine, and a variable; see `trusted_proxies`.
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.number("drain_timeout_seconds"),
    )


def entrance(
    settings: Settings, certificate: Certificate | None, services: EntranceServices
) -> Entrance | None:
    """Return what connections pass before their first byte is read, if anything."""
    proxy_protocol = settings.text("proxy_protocol") == "on"
    if certificate is None and not proxy_protocol:
        return None
    keys = None
    if certificate is not None:
        keys = TlsKeys(
            certificate.context,
            wait_turn=Turns(HANDSHAKES_AT_ONCE).wait,
            after=services.deadlines.after,
            seconds=Times(
                handshake=settings.number("handshake_timeout_seconds"),
                close=settings.number("close_timeout_seconds"),
                linger=LINGER_SECONDS,
            ),
            in_clear=InClear(services.metrics),
        )
    return Entrance(
        keys=keys,
        proxy_protocol=proxy_protocol,
        handshake_seconds=settings.number("handshake_timeout_seconds"),
    )
