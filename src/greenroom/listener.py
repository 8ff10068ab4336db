"""The one port: HTTP requests go to the application, WebSocket upgrades to the messaging plane.

uvicorn's protocol class reads the requests. What it leaves open is closed here: the size of a
request's head, the time a client may take for it, and answers that are JSON also when the request
could not be parsed.
"""

import asyncio
from typing import Any

import httptools
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from greenroom.aws import rest_json
from greenroom.messaging.edge import Edge
from greenroom.messaging.plane import Plane
from greenroom.model.errors import ValidationException


class HeadLimits(msgspec.Struct, frozen=True):
    """Bounds on a request's line and headers."""

    size: int
    count: int
    seconds: float


class _HeadTooLarge(Exception):
    """Raised inside the parser's callbacks to stop it."""


class Listener(HttpToolsProtocol):
    """One accepted connection, until it is upgraded or closed."""

    def __init__(
        self,
        plane: Plane,
        limits: HeadLimits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._plane = plane
        self._limits = limits
        self._deadline: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_complete()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(error)
        else:
            if self._in_head:
                self._count_unfinished(data)

    # The parser's callbacks

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_size = 0
        if not self._in_head:
            self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._head_size += len(name) + len(value)
        if self._head_size > self._limits.size or len(self.headers) > self._limits.count:
            raise _HeadTooLarge

    def on_headers_complete(self) -> None:
        self._head_complete()
        if len(self.url) > self._limits.size:
            raise _HeadTooLarge
        super().on_headers_complete()

    # Upgrades

    def _should_upgrade_to_ws(self) -> bool:
        return True

    def _upgrade(self, early: bytes) -> None:
        if not self._should_upgrade():
            return
        edge = Edge(self._plane, self.transport)
        self.connections.discard(self)
        self.transport.set_protocol(edge)
        edge.begin(self.parser.get_method(), self.headers, early)
        # The parser refers to this object: without the cut both would wait for the collector.
        self.parser = None  # type: ignore[assignment]

    # Refusals

    def _await_head(self) -> None:
        self._in_head = True
        self._deadline = self.loop.call_later(self._limits.seconds, self._head_too_slow)

    def _head_complete(self) -> None:
        self._in_head = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _head_too_slow(self) -> None:
        self._answer(408, "The request headers took too long")

    def _count_unfinished(self, data: bytes) -> None:
        self._head_size += len(data)
        if self._head_size > self._limits.size:
            self._answer(431, _TOO_LARGE)

    def _refuse(self, error: Exception) -> None:
        if isinstance(error.__context__, _HeadTooLarge):
            self._answer(431, _TOO_LARGE)
        else:
            self._answer(400, "The request is not valid HTTP/1.1")

    def _answer(self, status: int, message: str) -> None:
        if self.transport.is_closing():
            return
        self._head_complete()
        response = rest_json.serialize_error(ValidationException(message))
        headers = (
            *self.server_state.default_headers,
            *response.headers,
            (b"content-length", str(len(response.body)).encode()),
            (b"connection", b"close"),
        )
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[status] + head + b"\r\n" + response.body)
        self.transport.close()


_TOO_LARGE = "The request line and headers are too large"
