"""The one port: HTTP requests go to the application, WebSocket upgrades to the messaging plane.

uvicorn's protocol class reads the requests. What it leaves open is closed here: the size of a
request's head, the time a client may take for it and for the body, and answers that are JSON also
when the request could not be parsed. A refused connection is closed, after the answers to what
came before on it.
"""

import asyncio
import uuid
from typing import Any, cast

import httptools
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from greenroom.aws import rest_json
from greenroom.control.app import CORS, UNKNOWN
from greenroom.messaging.edge import Edge
from greenroom.messaging.plane import Plane
from greenroom.model.errors import ValidationException
from greenroom.protocol import addresses
from greenroom.visitors import Visit

LINGER_SECONDS = 2.0
"""How long a refused connection is still read: the kernel resets one that is closed with bytes
unread, and the client would not see why."""


class HeadLimits(msgspec.Struct, frozen=True):
    """Bounds on a request's line and headers; the seconds hold for its body once more."""

    size: int
    count: int
    seconds: float


class _Refused(Exception):
    """Raised inside the parser's callbacks to stop it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


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
        due: float | None = None,
        visit: Visit | None = None,
    ) -> None:
        """Take what uvicorn gives, the loop's time when the first head is due, and the visit."""
        super().__init__(config, server_state, app_state, _loop)
        self._due = due
        self._visit = visit or plane.visitors.enter(addresses.UNKNOWN, plane.clock.monotonic())
        self._plane = plane
        self._limits = limits
        self._deadline: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_size = 0
        self._head_fed = 0
        self._refused = False
        self._farewell = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._visit.address:
            self.client = (addresses.shown(self._visit.address), 0)
        self._set_deadline("headers", self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_deadline()
        self._plane.visitors.leave(self._visit)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head:
            self._head_fed += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(error)
        else:
            # A name or a value that has not ended is in the parser only.
            if self._in_head and self._head_fed > self._limits.size:
                self._answer(431, _TOO_LARGE)

    # The parser's callbacks

    def on_message_begin(self) -> None:
        self._unset_keepalive_if_required()
        super().on_message_begin()
        self._head_size = self._head_fed = 0
        if not self._in_head:
            self._in_head = True
            self._set_deadline("headers")

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count(len(name) + len(value) + len(": \r\n"))

    def on_headers_complete(self) -> None:
        # uvicorn's types hide that there is no cycle before the first request.
        earlier = cast("RequestResponseCycle | None", self.cycle)
        if self._wants_websocket() and earlier is not None and not earlier.response_complete:
            raise _Refused(400, "An upgrade cannot be asked for before the last answer is there")
        if self.parser.should_upgrade() and not self._should_upgrade() and _has_body(self.headers):
            # The parser would take the body for the other protocol's bytes.
            raise _Refused(400, "A request with a body cannot ask for another protocol")
        self._find_client()
        super().on_headers_complete()
        self._in_head = False
        self._set_deadline("body")

    def on_message_complete(self) -> None:
        self._unset_deadline()
        if not self._wants_websocket():
            self._plane.visitors.finish(self._visit)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._farewell and self.cycle.response_complete and not self.transport.is_closing():
            self._close_after(self._farewell)

    def _find_client(self) -> None:
        """Believe a trusted proxy about who its client is, and whether that came over TLS."""
        proxies, peer = self._plane.visitors.proxies, self._visit.address
        if proxies:
            origin = proxies.origin(peer, self.headers)
            if origin.address != peer:
                self.scope["client"] = (addresses.shown(origin.address), 0)
            if origin.secure is not None:
                self.scope["scheme"] = "https" if origin.secure else "http"

    # Upgrades

    def _should_upgrade_to_ws(self) -> bool:
        return True

    def _wants_websocket(self) -> bool:
        return self.parser.should_upgrade() and self._should_upgrade()

    def _upgrade(self, early: bytes) -> None:
        if not self._should_upgrade():
            if early:
                self.data_received(early)
            return
        self._unset_deadline()
        edge = Edge(self._plane, self.transport, self._visit)
        self.connections.discard(self)
        self.transport.set_protocol(edge)
        edge.begin(self.parser.get_method(), self.headers, early)
        # The parser refers to this object: without the cut both would wait for the collector.
        self.parser = None  # type: ignore[assignment]

    # Refusals

    def _set_deadline(self, part: str, due: float | None = None) -> None:
        self._unset_deadline()
        if due is None:
            due = self.loop.time() + self._limits.seconds
        self._deadline = self.loop.call_at(due, self.too_slow, part)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def too_slow(self, part: str) -> None:
        """Refuse a request whose `part` did not arrive in time."""
        self._answer(408, f"The request {part} took too long")

    def _count(self, size: int) -> None:
        self._head_size += size
        if self._head_size > self._limits.size or len(self.headers) > self._limits.count:
            raise _Refused(431, _TOO_LARGE)

    def _refuse(self, error: Exception) -> None:
        why = error.__context__
        if isinstance(why, _Refused):
            self._answer(why.status, why.message)
        else:
            self._answer(400, "The request is not valid HTTP/1.1")

    def _answer(self, status: int, message: str) -> None:
        """Refuse the request that is being read; it has a cycle unless it is still in its head."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._plane.metrics.control_requests.labels(UNKNOWN, status).inc()
        self._unset_deadline()
        answer = self._error(status, message)
        # uvicorn's types hide that there is no cycle before the first request.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        unanswered = cycle is not None and not cycle.response_complete
        if self._in_head and unanswered:
            self._farewell = answer
        elif self._in_head:
            self._close_after(answer)
        else:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._close_after(answer if unanswered and not self.pipeline else b"")

    def _error(self, status: int, message: str) -> bytes:
        response = rest_json.serialize_error(ValidationException(message))
        headers = (
            *self.server_state.default_headers,
            *response.headers,
            *CORS,
            (b"x-amzn-requestid", str(uuid.uuid4()).encode()),
            (b"content-length", str(len(response.body)).encode()),
            (b"connection", b"close"),
        )
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return STATUS_LINE[status] + head + b"\r\n" + response.body

    def _close_after(self, answer: bytes) -> None:
        """Send the last bytes, and close when the peer has, or after `LINGER_SECONDS`."""
        self._unset_keepalive_if_required()
        self.transport.write(answer)
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self.transport.close)


_TOO_LARGE = "The request line and headers are too large"


def _has_body(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b" 0"))
        for name, value in headers
    )
