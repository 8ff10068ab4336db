"""The first bytes of a connection: an upgrade goes straight to the messaging plane.

A viewer's connection is one upgrade request, which arrives in one read. It needs none of what
HTTP requests need, and is cheap for that. Everything else, also whatever is odd about an upgrade,
goes to the `HttpConnection` as if it had come there first.
"""

import asyncio
import re
from time import perf_counter

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from greenroom.entrance.http_connection import EntranceServices, HeadLimits, HttpConnection
from greenroom.messaging.upgrading import Upgrading
from greenroom.network import addresses
from greenroom.network.visitors import Refused, Visit
from greenroom.protocol.target import fault_of

_WEBSOCKET = re.compile(rb"\r\nupgrade:[ \t]*websocket[ \t]*\r\n", re.IGNORECASE)


GRACE_SECONDS = 0.2
"""How long a connection that was accepted may still begin when the service stops."""


class FirstBytes(asyncio.Protocol):
    """A connection that has sent nothing yet."""

    __slots__ = (
        "_app_state",
        "_came",
        "_config",
        "_deadline",
        "_due",
        "_ending",
        "_held",
        "_limits",
        "_loop",
        "_request",
        "_server_state",
        "_services",
        "_transport",
        "_upgrading",
        "_visit",
    )

    _transport: asyncio.Transport

    def __init__(
        self,
        services: EntranceServices,
        limits: HeadLimits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
        visit: Visit | None = None,
    ) -> None:
        """Take what uvicorn gives, and the visit where it was counted already."""
        self._visit = visit
        self._services = services
        self._limits = limits
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._held: bytes | None = None
        self._ending = False
        # An upgrade request that waits for others (see `redeemer`), and what waits for its answer.
        self._request: bytes | None = None
        self._came = 0.0
        self._upgrading: Upgrading | None = None
        self._loop = _loop or asyncio.get_running_loop()
        # From here on, although an encrypted connection is made only after its own handshake.
        self._due = self._loop.time() + limits.seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP has no other
        self._transport = transport
        if not self._enter():
            transport.abort()
            return
        self._deadline = self._services.deadlines.at(self._due, self._silent)
        self._server_state.connections.add(self)  # type: ignore[arg-type]  # uvicorn asks for `shutdown` alone

    def data_received(self, data: bytes) -> None:
        if self._upgrading is not None:
            self._upgrading.data_received(data)
            return
        if self._request is not None:
            self._request += data
            self._transport.pause_reading()
            return
        if self._held is not None:
            # Too many came at once: this one has its turn later. Reading stops at the first bytes,
            # because uvloop begins to read whatever is asked for before.
            self._held += data
            self._transport.pause_reading()
            if len(self._held) > self._limits.size:
                self._transport.abort()
            return
        end = _end_of_head(data)
        if 4 <= end <= self._limits.size and _WEBSOCKET.search(data, 0, end):
            self._request, self._came = data, perf_counter()
            self._services.upgrades.wait_for_others(self._upgrade)
        else:
            self._pass_on(data)

    def _upgrade(self) -> None:
        """Have the upgrade request answered, unless the connection has ended meanwhile."""
        request, self._request = self._request, None
        visit = self._visit
        if request is None or visit is None or self._transport.is_closing():
            return
        end, head = _end_of_head(request), _Head()
        if (
            head.is_upgrade(request[:end])
            and len(head.headers) <= self._limits.count
            and fault_of(head.target, head.headers) is None
        ):
            self._leave()
            upgrades = self._services.upgrades
            early, came = request[end:], self._came
            self._upgrading = upgrades.upgrading(self._transport, visit, early, came)
            self._upgrading.begin(head.method, head.headers, head.target)
        else:
            self._transport.resume_reading()
            self._pass_on(request)

    def _pass_on(self, data: bytes) -> None:
        connection = self._to_http()
        connection.data_received(data)
        if self._ending:
            # The request is answered, no further one is read.
            connection.shutdown()

    def eof_received(self) -> None:
        """Close: a client that ends before it began wants nothing."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._request = None
        if self._upgrading is not None:
            self._upgrading.connection_lost(exc)
        elif self._visit is not None:
            self._leave()
            self._services.visitors.leave(self._visit)

    def shutdown(self) -> None:
        """Close soon: the server stops.

        A request may be on its way, from a client that has seen its connection accepted.
        """
        self._ending = True
        self._deadline.cancel()
        self._deadline = self._services.deadlines.after(GRACE_SECONDS, self._transport.close)

    def _enter(self) -> bool:
        """Count the connection, if that was not done; return whether it may stay."""
        visitors, now = self._services.visitors, self._services.clock.monotonic()
        visit = self._visit
        if visit is None:
            try:
                visit = visitors.enter(peer_of(self._transport), now)
            except Refused:
                return False
            try:
                # Whose turn comes is left as much time for its request.
                wait = visitors.delay(now, self._limits.seconds / 2)
            except Refused:
                visitors.leave(visit)
                return False
            if wait:
                self._held = b""
                self._loop.call_later(wait, self._go_on)
        self._visit = visit
        visit.is_held = True
        visit.let_go = self._transport.abort
        return True

    def _go_on(self) -> None:
        """Have the connection's turn, whose time has come."""
        held, self._held = self._held, None
        if self._transport.is_closing() or self._transport.get_protocol() is not self:
            return
        if held:
            self._transport.resume_reading()
            self.data_received(held)

    def _silent(self) -> None:
        self._to_http().too_slow("headers")

    def _to_http(self) -> HttpConnection:
        self._request = None
        self._leave()
        connection = HttpConnection(
            self._services,
            self._limits,
            self._config,
            self._server_state,
            self._app_state,
            self._loop,
            self._due,
            self._visit,
        )
        self._transport.set_protocol(connection)
        connection.connection_made(self._transport)
        return connection

    def _leave(self) -> None:
        self._deadline.cancel()
        self._server_state.connections.discard(self)


def peer_of(transport: asyncio.BaseTransport) -> bytes:
    """Return the address at the other end."""
    peer = transport.get_extra_info("peername")
    return addresses.packed(peer[0]) if peer else addresses.UNKNOWN


def _end_of_head(data: bytes) -> int:
    """Return where the first head ends that is whole in the data, 3 if none is."""
    return data.find(b"\r\n\r\n") + 4


class _Head:
    """What the parser tells about one request."""

    __slots__ = ("headers", "method", "target")

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.method = b""
        self.target = b""

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def is_upgrade(self, head: bytes) -> bool:
        """Return whether this is one well-formed request for an upgrade."""
        parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade as upgrade:
            self.method = parser.get_method()
            return bool(upgrade.args[0] == len(head))
        except httptools.HttpParserError:
            return False
        return False
