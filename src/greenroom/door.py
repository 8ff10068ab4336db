"""The first bytes of a connection: an upgrade goes straight to the messaging plane.

A viewer's connection is one upgrade request, which arrives in one read. It needs none of what
HTTP requests need, and is cheap for that. Everything else, also whatever is odd about an upgrade,
goes to the `Listener` as if there were no door.
"""

import asyncio
import re
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from greenroom.listener import HeadLimits, Listener
from greenroom.messaging.edge import Edge
from greenroom.messaging.plane import Plane

_WEBSOCKET = re.compile(rb"\r\nupgrade:[ \t]*websocket[ \t]*\r\n", re.IGNORECASE)


class Door(asyncio.Protocol):
    """A connection that has sent nothing yet."""

    __slots__ = (
        "_app_state",
        "_config",
        "_deadline",
        "_limits",
        "_loop",
        "_plane",
        "_server_state",
        "_transport",
    )

    _transport: asyncio.Transport

    def __init__(
        self,
        plane: Plane,
        limits: HeadLimits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._plane = plane
        self._limits = limits
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._deadline = self._loop.call_later(limits.seconds, self._silent)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._server_state.connections.add(self)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n") + 4
        if 4 <= end <= self._limits.size and _WEBSOCKET.search(data, 0, end):
            head = _Head()
            if head.is_upgrade(data[:end]) and len(head.headers) <= self._limits.count:
                self._leave()
                edge = Edge(self._plane, self._transport)
                self._transport.set_protocol(edge)
                edge.begin(head.method, head.headers, data[end:])
                return
        self._to_listener().data_received(data)

    def eof_received(self) -> None:
        """Close: a client that ends before it began wants nothing."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()

    def shutdown(self) -> None:
        """Close: the server stops."""
        self._transport.close()

    def _silent(self) -> None:
        self._to_listener().too_slow("headers")

    def _to_listener(self) -> Listener:
        self._leave()
        listener = Listener(
            self._plane,
            self._limits,
            self._config,
            self._server_state,
            self._app_state,
            self._loop,
        )
        self._transport.set_protocol(listener)
        listener.connection_made(self._transport)
        return listener

    def _leave(self) -> None:
        self._deadline.cancel()
        self._server_state.connections.discard(self)


class _Head:
    """What the parser tells about one request."""

    __slots__ = ("headers", "method")

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.method = b""

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
