"""The one port: HTTP requests go to the application, WebSocket upgrades to the messaging plane.

uvicorn's protocol class reads the requests. What it leaves open is closed here:

- The size of a request's head, and the time a client may take for it, for the body, and to read
  the answer.
- Requests that do not wait for the answer before them: they are not looked at until it is written,
  and nothing is read meanwhile. So a connection holds one request, and `HELD_BYTES` behind it. Of
  all that is held by all connections a few are taken in each turn of the loop. A body in more than
  `PARTS_AT_ONCE` parts waits for further turns with what was read of it.
- A connection that rests between two requests keeps nothing of the last one.
- Trailers are refused. The service knows no field that may stand there (RFC 9110, section 6.5.1),
  and what is no content of a body in chunks is bounded like a head.
- Answers are JSON also when the request could not be parsed. A refused connection is closed, after
  the answers to what came before on it.
- Nothing of a connection refers to itself when it has ended: the collector of garbage looks at old
  objects hardly ever.
"""

import asyncio
from typing import cast

import httptools
import msgspec
from uvicorn._types import HTTPScope
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from greenroom.aws import rest_json
from greenroom.clock import Clock
from greenroom.control.asgi import CORS
from greenroom.control.pipeline import UNKNOWN
from greenroom.entrance.exchange import Exchange, head_of
from greenroom.messaging.deadlines import Deadlines
from greenroom.messaging.reset import reset
from greenroom.messaging.turns import Turns
from greenroom.messaging.upgrading import Upgrades
from greenroom.model.errors import ValidationException
from greenroom.network import addresses
from greenroom.network.visitors import Visit, Visitors
from greenroom.process.randomness import new_request_id
from greenroom.protocol.handshake import asks_for_websocket, is_for_websocket
from greenroom.protocol.pieces import Pieces
from greenroom.protocol.target import fault_of
from greenroom.telemetry.metrics import UNREAD, Metrics
from greenroom.tls.transport import TlsTransport

LINGER_SECONDS = 2.0
"""How long a refused connection is still read: closed with bytes unread, the kernel resets it."""

HELD_BYTES = 65_536
"""What may come before its turn: hundreds of requests. More is refused."""

PARTS_AT_ONCE = 128
"""Parts of bodies that are taken of one read before everybody else has a turn: 0.2 ms.
Chunks may have a byte each, and a read tens of thousands of them."""

MOST_QUEUED = 16
"""Requests that may begin in one piece of a body in chunks, behind its end."""


class HeadLimits(msgspec.Struct, frozen=True):
    """Bounds on a request's line and headers.

    The size holds, too, for what is no content between two parts of a body in chunks; the seconds
    for the body and for the answer.
    """

    size: int
    count: int
    seconds: float


class _Refused(Exception):
    """Raised inside the parser's callbacks to stop it."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message


class EntranceServices(msgspec.Struct, frozen=True, kw_only=True):
    """What connections share from their accept on, until they are upgraded or closed."""

    visitors: Visitors
    clock: Clock
    deadlines: Deadlines
    turns: Turns
    metrics: Metrics
    upgrades: Upgrades
    """Takes over those that ask for a WebSocket."""


class _ForWebSocket(Exception):
    """Raised inside the parser's callbacks: the messaging plane says what the request lacks."""


class _Flow(FlowControl):
    """Lets nobody read while bytes are held that have not had their turn."""

    holding = False

    def resume_reading(self) -> None:
        if not self.holding:
            super().resume_reading()


class HttpConnection(HttpToolsProtocol):
    """One accepted connection, until it is upgraded or closed."""

    def __init__(
        self,
        services: EntranceServices,
        limits: HeadLimits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
        due: float | None = None,
        visit: Visit | None = None,
    ) -> None:
        """Take what uvicorn gives, the loop's time when the first head is due, and the visit."""
        super().__init__(config, server_state, app_state, _loop)
        self._due = due
        self._visit = visit or services.visitors.enter(
            addresses.UNKNOWN, services.clock.monotonic()
        )
        self._services = services
        self._limits = limits
        self._deadline: asyncio.TimerHandle | None = None
        # What has begun to arrive of a request, and for what there is a deadline.
        self._part = self._timed = ""
        self._unread: asyncio.TimerHandle | None = None
        self._pieces = Pieces()
        self._parts = 0
        self._held = b""
        self._refused = False
        self._ended = False
        self._farewell = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP has no other
        super().connection_made(transport)
        self.flow = self._flow = _Flow(transport)
        if self._visit.address:
            self.client = (addresses.shown(self._visit.address), 0)
        self._part = "headers"
        self._set_deadline(self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_deadline()
        self._unset_unread()
        self._unset_keepalive_if_required()
        self._services.visitors.leave(self._visit)
        super().connection_lost(exc)
        self._let_go()

    def _let_go(self) -> None:
        """Forget what waits, and whatever refers to this object."""
        self._ended = True
        self._part, self._held = "", b""
        self.pipeline.clear()
        self.parser = None  # type: ignore[assignment]  # nothing comes after it
        if self.cycle is not None:
            self.cycle.on_response = _nothing

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._held or self._must_wait():
            self._hold(self._held + data)
        else:
            self._feed(data)

    def _has_had_its_share(self) -> bool:
        return self._pieces.in_body and self._parts >= PARTS_AT_ONCE

    def _must_wait(self) -> bool:
        """Return whether a whole request is there that has no answer yet."""
        return not self._pieces.in_body and self._is_unanswered()

    def _is_unanswered(self) -> bool:
        # uvicorn's types hide that there is no cycle before the first request.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _hold(self, data: bytes) -> None:
        if len(data) > HELD_BYTES and not self._pieces.in_body:
            self._held = b""
            self._answer(400, _TOO_MANY)
            return
        self._held = data
        self._flow.holding = True
        self.flow.pause_reading()

    def _feed(self, data: bytes) -> None:
        """Take what came; what has not come whole has a deadline from now on."""
        self._parse(data)
        if self._part != self._timed and not self._refused:
            self._set_deadline()

    def _parse(self, data: bytes) -> None:
        """Give the parser one request; what is behind it is held until the answer is written."""
        start = self._parts = 0
        while start < len(data):
            if self._must_wait():
                self._hold(data[start:])
                return
            if self._has_had_its_share():
                self._hold(data[start:])
                self._services.turns.wait(self._go_on)
                return
            end = self._pieces.take(data, start)
            if self._pieces.overhead > self._limits.size:
                self._answer(431, _CHUNKS_TOO_LARGE if self._pieces.in_body else _TOO_LARGE)
                return
            try:
                self.parser.feed_data(data[start:end])
            except httptools.HttpParserUpgrade as upgrade:
                end = start + upgrade.args[0]
                if self._should_upgrade():
                    self._upgrade(data[end:])
                    return
            except httptools.HttpParserError as error:
                self._refuse(error)
                return
            start = end

    # The parser's callbacks

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MOST_QUEUED:
            raise _Refused(400, _TOO_MANY)
        self._unset_keepalive_if_required()
        super().on_message_begin()
        self._part = "headers"

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._pieces.in_body:
            raise _Refused(400, "A request must not have trailers")
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
        if len(self.headers) > self._limits.count:
            raise _Refused(431, _TOO_LARGE)

    def on_headers_complete(self) -> None:
        fault = fault_of(self.url, self.headers, self.parser.get_http_version())
        if fault is not None:
            raise _Refused(400, fault)
        if len(_codings(self.headers)) > 1:
            # RFC 9112, section 6.1. The parser looks at the last one alone, which must be chunked.
            raise _Refused(501, "Transfer-Encoding may be chunked, and no other coding")
        wants, meant = self._wants_websocket(), is_for_websocket(self.headers)
        if (wants or meant) and self._is_unanswered():
            raise _Refused(400, "An upgrade cannot be asked for before the last answer is there")
        if meant and not wants:
            raise _ForWebSocket
        if self.parser.should_upgrade() and not wants and _has_body(self.headers):
            # The parser would take the body for the other protocol's bytes.
            raise _Refused(400, "A request with a body cannot ask for another protocol")
        self._find_client()
        if not wants:
            self._begin_exchange()
        self._pieces.head_ended(self.headers)
        self._part = "body"

    def _begin_exchange(self) -> None:
        """Have the application answer, now or when it has answered what came before."""
        waits, self.cycle = self._is_unanswered(), Exchange.of(self)
        if waits:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        else:
            self._start_asgi_task(self.cycle, self.app)

    def on_body(self, body: bytes) -> None:
        self._pieces.content_came()
        self._parts += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._part = ""
        self._unset_deadline()
        self._pieces.request_ended()
        if not self._wants_websocket():
            self._services.visitors.finish(self._visit)
        super().on_message_complete()
        self._forget_request()

    def on_response_complete(self) -> None:
        if self._ended:
            # The connection has ended, with more requests than the one that is told of it.
            return
        super().on_response_complete()
        if self.transport.is_closing():
            # It closes when the answer is read, which is not waited for any longer than usual.
            self._set_unread()
        elif self.cycle.response_complete:
            if self._farewell:
                self._close_after(self._farewell)
            elif self._held and not self._pieces.in_body:
                self._services.turns.wait(self._go_on)
            self._forget_request()

    def _forget_request(self) -> None:
        """Let go of a request that is over: its head may be large, and the next one far away."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None or self._pieces.in_body or not cycle.response_complete:
            return
        if cycle.scope is self.scope:  # else the head of another one has begun
            self.headers, self.url = [], b""
            self.scope = cycle.scope = _NO_SCOPE

    def _go_on(self) -> None:
        """Take the next request from what is held, and read again when nothing is."""
        if self._is_over():
            return
        held, self._held = self._held, b""
        self._flow.holding = False
        self._feed(held)
        if not self._held and not self._is_over():
            self.flow.resume_reading()

    def _is_over(self) -> bool:
        """Return whether no further request is taken: it is closed, refused, or a WebSocket."""
        return self._ended or self._refused or self.transport.is_closing()

    def _find_client(self) -> None:
        """Believe a trusted proxy about who its client is, and whether that came over TLS."""
        visitors, peer = self._services.visitors, self._visit.address
        if visitors.proxies:
            origin = visitors.origin(self._visit, self.headers)
            if origin.address != peer:
                self.scope["client"] = (addresses.shown(origin.address), 0)
            if origin.secure is not None:
                self.scope["scheme"] = "https" if origin.secure else "http"

    # Upgrades

    def _should_upgrade(self) -> bool:
        return asks_for_websocket(self.headers)

    def _wants_websocket(self) -> bool:
        return self.parser.should_upgrade() and self._should_upgrade()

    def _upgrade(self, early: bytes) -> None:
        self._unset_deadline()
        self._unset_unread()
        self.connections.discard(self)
        self._services.upgrades.begin(
            self.transport, self._visit, self.parser.get_method(), self.headers, early, self.url
        )
        self._let_go()

    # Refusals

    def _set_deadline(self, due: float | None = None) -> None:
        """Have a deadline for the part that has begun to arrive, if one has."""
        self._unset_deadline()
        part = self._timed = self._part
        if part:
            if due is None:
                due = self.loop.time() + self._limits.seconds
            self._deadline = self.loop.call_at(due, self.too_slow, part)

    def _unset_deadline(self) -> None:
        self._timed = ""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def too_slow(self, part: str) -> None:
        """Refuse a request whose `part` did not arrive in time."""
        if self._held and not self._pieces.in_body:
            # It has arrived, and its turn has not come.
            self._set_deadline()
            return
        self._answer(408, f"The request {part} took too long")

    def _refuse(self, error: Exception) -> None:
        why = error.__context__
        if isinstance(why, _ForWebSocket):
            self._upgrade(b"")
        elif isinstance(why, _Refused):
            self._answer(why.status, why.message)
        else:
            self._answer(400, "The request is not valid HTTP/1.1")

    def _answer(self, status: int, message: str) -> None:
        """Refuse the request that is being read; it has a cycle unless it is still in its head."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._services.metrics.control_requests.labels(UNKNOWN, status).inc()
        self._unset_deadline()
        answer, unanswered = self._error(status, message), self._is_unanswered()
        if not self._pieces.in_body and unanswered:
            self._farewell = answer
        elif not self._pieces.in_body:
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
            (b"x-amzn-requestid", new_request_id().encode()),
            (b"content-length", str(len(response.body)).encode()),
            (b"connection", b"close"),
        )
        return head_of(status, headers) + response.body

    def _close_after(self, answer: bytes) -> None:
        """Send the last bytes, and close when the peer has, or after `LINGER_SECONDS`."""
        self._unset_keepalive_if_required()
        self.transport.write(answer)
        if not self.transport.can_write_eof():
            self.transport.close()
            self._set_unread()
            return
        self.transport.write_eof()
        self._flow.holding = False
        self.flow.resume_reading()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self.timeout_keep_alive_handler)

    # Answers that nobody reads

    def pause_writing(self) -> None:
        super().pause_writing()
        self._set_unread()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._unset_unread()

    def shutdown(self) -> None:
        """End now between two requests, else behind the answer to the one under way."""
        if isinstance(self.transport, TlsTransport) and not self._is_unanswered():
            self.transport.close_at_rest()
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that rests; one that still holds an answer is reset."""
        if self.transport.get_write_buffer_size():
            self._reset()
        else:
            self.transport.close()

    def _set_unread(self) -> None:
        if self._unread is None:
            self._unread = self.loop.call_later(self._limits.seconds, self._reset)

    def _unset_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _reset(self) -> None:
        self._services.metrics.limits_met.labels(UNREAD).inc()
        reset(self.transport)


_NO_SCOPE = cast("HTTPScope", {})
"""What is left of a request that is over."""


def _nothing() -> None:
    """Stand where a connection was called that has ended."""


_TOO_MANY = "Too many requests are sent before their answers"
_TOO_LARGE = "The request line and headers are too large"
_CHUNKS_TOO_LARGE = "What stands around the chunks of the body is too large"


def _codings(headers: list[tuple[bytes, bytes]]) -> set[bytes]:
    """Return the transfer codings that a request names."""
    return {
        coding.strip(b" \t").lower()
        for name, value in headers
        if name == b"transfer-encoding"
        for coding in value.split(b",")
    }


def _has_body(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b" 0"))
        for name, value in headers
    )
