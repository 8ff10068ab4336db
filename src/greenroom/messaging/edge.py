"""One WebSocket connection: between a socket and a session.

- An idle connection keeps no frame decoder: it is made when bytes arrive and let go when empty.
- Actions of one connection are handled in order. While one waits (for a room to be loaded, for a
  moderation request) nothing more is read, so the bound on memory is one read of the socket.
- Of what one read brings, `TURN_BYTES` are handled at once, to the end of the frame there, and of
  all the rest a little in each turn of the loop (`turns`): a flood delays the others no more.
- What is queued for a reader is bounded. A reader that lets its queue pass the bound is dropped
  without a close frame, which it could not read anyway.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from enum import IntEnum
from time import perf_counter

import structlog

from greenroom.messaging.deadlines import Deadline
from greenroom.messaging.hub import NO_SOCKET, write_all
from greenroom.messaging.plane import Plane
from greenroom.messaging.reset import reset
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.errors import ResourceNotFoundException, ServiceError
from greenroom.network import addresses
from greenroom.network.visitors import Refused, Visit
from greenroom.protocol import events, frames, handshake
from greenroom.protocol.actions import Action, DeleteMessage, DisconnectUser, SendMessage
from greenroom.protocol.errors import (
    CLOSE_REASONS,
    SESSION_EXPIRED,
    ActionError,
    CloseCode,
    DisconnectReason,
    ErrorCode,
    fault_reason,
)
from greenroom.protocol.session import Session

TURN_BYTES = 1_024
"""Bytes of one connection that are handled before the others have their turn."""

log = structlog.get_logger()

Headers = Sequence[tuple[bytes, bytes]]


class State(IntEnum):
    """A connection is in one of these four states."""

    HANDSHAKE, OPEN, CLOSING, CLOSED = range(4)


class Edge(asyncio.Protocol):
    """A client's connection, from the upgrade request on."""

    __slots__ = (
        "_address",
        "_busy",
        "_decoder",
        "_early",
        "_held",
        "_plane",
        "_session",
        "_slot",
        "_socket",
        "_state",
        "_timer",
        "_transport",
        "_visit",
        "heard",
        "key_id",
        "missed",
    )

    def __init__(
        self, plane: Plane, transport: asyncio.Transport, visit: Visit | None = None
    ) -> None:
        self._plane = plane
        # Until the connection is open; then the address is enough, whose bytes many share.
        self._visit: Visit | None = visit or plane.visitors.enter(
            addresses.UNKNOWN, plane.clock.monotonic()
        )
        self._address = self._visit.address
        self._transport = transport
        self._state = State.HANDSHAKE
        self._decoder: frames.FrameDecoder | None = None
        self._early = b""
        self._busy = True
        self._timer: Deadline | None = None
        self.heard = True
        self.missed = 0
        self.key_id = ""
        self._held = False
        self._socket = NO_SOCKET

    # The upgrade

    def begin(self, method: bytes, headers: Headers, early: bytes) -> None:
        """Take over a connection whose upgrade request was read; `early` came behind it."""
        self._early = early
        self._transport.pause_reading()
        self._after(self._plane.limits.handshake_seconds, self._handshake_too_slow)
        self._plane.tasks.create_task(self._admit(method, headers))

    async def _admit(self, method: bytes, headers: Headers) -> None:
        begun = perf_counter()
        try:
            self._check_client(headers)
            upgrade = handshake.parse_upgrade(method, headers)
            claims = await self._plane.admit(upgrade.token)
            # Shared by all connections of the key, which end with it.
            self.key_id = self._plane.key_id(upgrade.token)
            self._open(upgrade, claims, begun)
        except handshake.HandshakeRefused as refused:
            self._refuse(refused)
        except Exception:
            # Whatever failed, the client gets an answer; the log has the place, not the token.
            self._plane.logger.exception("handshake crashed", address=self.address())
            self._refuse(handshake.Refusal.INTERNAL.error())
            self._transport.abort()

    def _check_client(self, headers: Headers) -> None:
        """Refuse other sites' pages, whose token is not even read, and find out the address."""
        if not self._plane.origins.allows(headers):
            raise handshake.Refusal.ORIGIN.error()
        visitors, visit = self._plane.visitors, self._visit
        if visit is None or not visitors.proxies:
            return
        address = visitors.origin(visit, headers).address
        if address != visit.address:
            try:
                visitors.enter_behind_proxy(visit, address, self._plane.clock.monotonic())
            except Refused:
                raise handshake.Refusal.ADDRESS_FULL.error() from None
        self._address = address

    def _refuse(self, refused: handshake.HandshakeRefused) -> None:
        if self._state is not State.HANDSHAKE:
            return
        self._cancel_timer()
        self._plane.metrics.handshake_refusals.labels(refused.reason).inc()
        kind = {"reason": refused.reason, "status": refused.status}
        self._plane.logger.write(
            "info", "handshake refused", kind, address=self.address(), room=refused.room
        )
        date = formatdate(self._plane.clock.now(), usegmt=True).encode()
        self.write(handshake.refusal_response(refused, self._plane.ids(), date))
        self._state = State.CLOSED
        self._close_written()

    def _open(self, upgrade: handshake.Upgrade, claims: ChatTokenClaims, begun: float) -> None:
        if self._state is not State.HANDSHAKE:
            return
        self._cancel_timer()
        plane = self._plane
        if self._visit is not None:
            plane.visitors.finish(self._visit)
            self._visit = None
        rate = plane.quotas["messaging_requests_per_connection"]
        self._session = Session(claims, rate, plane.clock.now())
        # The transport tells as soon as it cannot write everything at once; not, when it told whose
        # the connection was before that it holds answers which that client did not read.
        self._transport.set_write_buffer_limits(high=0)
        self._held = self._held or self._transport.get_write_buffer_size() > 0
        self._state = State.OPEN
        self._socket = _socket(self._transport)
        self._slot = plane.sweeper.add(self, claims.session_expires)
        plane.metrics.connects.inc()
        plane.metrics.handshake_seconds.observe(perf_counter() - begun)
        log.debug("connection opened", **self._names())
        # Once the client sees the 101, it misses nothing: both happen before anything else can.
        plane.hub.join(claims.room_arn, self, self._straight())
        write_all((self,), (self._straight(),), handshake.accept_response(upgrade))
        self._resume()

    def _handshake_too_slow(self) -> None:
        self._refuse(handshake.Refusal.UNAVAILABLE.error())

    # What arrives

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket."""
        if self._busy:
            self._early += data
            return
        self.heard = True
        if len(data) > TURN_BYTES:
            self._early, data = data[TURN_BYTES:], data[:TURN_BYTES]
        decoder = self._decoder or frames.FrameDecoder(self._plane.limits.frame_bytes)
        received = decoder.feed(data)
        while self._early and decoder.lacking:
            # One large frame costs next to nothing: what it lacks does not wait for a turn.
            rest, self._early = self._early[: decoder.lacking], self._early[decoder.lacking :]
            received += decoder.feed(rest)
        self._decoder = None if decoder.idle else decoder
        self._handle(received, 0)
        if self._early and not self._busy:
            # The others' turn: one peer's thousand small frames must not hold them up.
            self._busy = True
            self._transport.pause_reading()
            self._plane.turns.wait(self._resume)

    def _handle(self, received: Sequence[frames.Event], start: int) -> None:
        """Handle frames in order; when one must wait, stop reading until it is done."""
        for index in range(start, len(received)):
            if self._state is State.CLOSED:
                return
            waiting = self._handle_one(received[index])
            if waiting is not None:
                self._busy = True
                self._transport.pause_reading()
                self._plane.tasks.create_task(self._wait(waiting, received, index + 1))
                return

    async def _wait(
        self, waiting: Awaitable[None], received: Sequence[frames.Event], index: int
    ) -> None:
        try:
            await waiting
            self._busy = False
            self._handle(received, index)
            if not self._busy:
                self._resume()
        except Exception:
            # An exception that left this task would end the node.
            self._plane.logger.exception(
                "connection crashed", address=self.address(), **self._names()
            )
            self._drop(DisconnectReason.INTERNAL_ERROR)

    def _resume(self) -> None:
        """Read again, first what came while nothing could be handled."""
        self._busy = False
        if self._state is State.CLOSED:
            return
        self._transport.resume_reading()
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    def _handle_one(self, event: frames.Event) -> Awaitable[None] | None:
        if isinstance(event, frames.Close):
            self._peer_closes(event)
        elif isinstance(event, frames.ProtocolFault):
            self._close(event.code, event.why, fault_reason(event.code))
            # No frame is read any more, also not the peer's close frame: ending our side tells it.
            if not self._transport.is_closing() and self._transport.can_write_eof():
                self._transport.write_eof()
        elif self._state is State.OPEN:
            if isinstance(event, frames.Text):
                return self._act(event.payload)
            if isinstance(event, frames.Ping):
                self.write(frames.pong_frame(event.payload))
            elif isinstance(event, frames.Binary):
                reason = DisconnectReason.UNSUPPORTED_DATA
                self._close(CloseCode.UNSUPPORTED_DATA, CLOSE_REASONS[reason].text, reason)
        return None

    def _act(self, text: bytes) -> Awaitable[None] | None:
        try:
            action = self._session.receive(text, self._plane.clock.now())
        except ActionError as error:
            if error.code == ErrorCode.UNAUTHORIZED:
                self._expire(error.request_id)
            else:
                self._error(error)
            return None
        if self._plane.hub.held:
            # Another process has the store. The SDK would wait for an answer for ever.
            self._error(ActionError(500, _NOT_NOW, action.request_id))
            return None
        try:
            waiting = self._perform(action)
        except (ActionError, ServiceError) as error:
            self._error(_action_error(error, action.request_id))
            return None
        except Exception:
            self._plane.logger.exception("action crashed", address=self.address(), **self._names())
            self._error(_crash(action.request_id))
            return None
        return None if waiting is None else self._finish(waiting, action.request_id)

    def _perform(self, action: Action) -> Awaitable[object] | None:
        chat, claims = self._plane.chat, self._session.claims
        match action:
            case SendMessage():
                return chat.send_message(claims, action, self.address)
            case DeleteMessage():
                deleting = chat.delete_message(
                    claims.room_arn, action.id, action.reason, action.request_id
                )
                return self._plane.moderation.follow(claims, action, deleting, self.address())
            case DisconnectUser():
                disconnecting = chat.disconnect_user(
                    claims.room_arn, action.user_id, action.reason, action.request_id
                )
                return self._plane.moderation.follow(claims, action, disconnecting, self.address())

    async def _finish(self, waiting: Awaitable[object], request_id: str) -> None:
        try:
            await waiting
        except (ActionError, ServiceError) as error:
            self._error(_action_error(error, request_id))
        except Exception:
            self._plane.logger.exception("action crashed", address=self.address(), **self._names())
            self._error(_crash(request_id))

    def _error(self, error: ActionError) -> None:
        if self._state is State.OPEN:
            self._plane.metrics.action_errors.labels(error.code).inc()
            log.debug("action refused", code=error.code, **self._names())
            payload = events.encode_error(
                error.id or self._plane.ids(), error.request_id, error.code, error.message
            )
            self.write(frames.text_frame(payload))

    # What the hub and the sweeper ask

    @property
    def user_id(self) -> str:
        """The user that the token names."""
        return self._session.claims.user_id

    def address(self) -> str:
        """Return the client's address, as text; behind trusted proxies the one that they tell."""
        return addresses.shown(self._address)

    def disconnect(self, reason: str) -> None:
        """Close cleanly with the moderator's reason as plain text."""
        self._close(CloseCode.NORMAL, reason, DisconnectReason.KICKED)

    def expire(self) -> None:
        """Say that the session is over, then close cleanly with the same ERROR as the reason.

        The official SDKs reconnect on the ERROR frame; older clients parse the close reason. What
        the room was to see before comes first: a request's promise settles with its echo.
        """
        self._plane.hub.after_flush(self._session.claims.room_arn, self._expire)

    def revoke(self) -> None:
        """Close as an expired session is: clients with a right to be here get a new token."""
        self._expire(why=DisconnectReason.REVOKED)

    def _expire(
        self, request_id: str = "", why: DisconnectReason = DisconnectReason.EXPIRED
    ) -> None:
        if self._state is not State.OPEN:
            return
        self._plane.metrics.action_errors.labels(401).inc()
        error_id = self._plane.ids()
        payload = events.encode_error(error_id, request_id, 401, SESSION_EXPIRED)
        self.write(frames.text_frame(payload))
        reason = events.encode_error(error_id, "", 401, SESSION_EXPIRED)
        self._close(CloseCode.NORMAL, reason.decode(), why)

    def ping(self) -> None:
        """Ask for a sign of life."""
        self.write(frames.PING)

    def drop_silent(self) -> None:
        """Let go of a peer that no longer answers."""
        self._drop(DisconnectReason.SILENT_PEER)

    def drain(self) -> None:
        """End the connection for a restart: no close frame, so that the SDKs reconnect."""
        if self._state is State.OPEN:
            self._leave(DisconnectReason.DRAIN)
            self._end_written()

    # The end

    def _peer_closes(self, event: frames.Close) -> None:
        if self._state is State.OPEN:
            self._leave(DisconnectReason.PEER_CLOSED)
            self._transport.write(frames.close_frame(event.code or CloseCode.NORMAL, ""))
        self._state = State.CLOSED
        self._close_written()

    def _close_written(self) -> None:
        """Close when what waits is written; a peer that does not read is not waited for long."""
        self._cancel_timer()
        self._after(self._plane.limits.close_seconds, self._reset)
        self._transport.close()

    def _end_written(self) -> None:
        """End our side when what waits is written, and close when the peer does.

        The kernel resets a connection that is closed with bytes unread, and a peer that is sending
        would lose the last frames.
        """
        if not self._transport.can_write_eof() or self._transport.is_closing():
            self._close_written()
            return
        self._cancel_timer()
        self._after(self._plane.limits.close_seconds, self._reset)
        self._transport.write_eof()
        self._busy = False
        self._transport.resume_reading()

    def _reset(self) -> None:
        reset(self._transport)

    def _close(self, code: int, reason: str, why: DisconnectReason) -> None:
        """Begin the closing handshake; the peer has a few seconds to finish it."""
        if self._state is not State.OPEN:
            return
        # First: a write that passes the bound drops the connection, and it leaves only once.
        self._leave(why)
        self._state = State.CLOSING
        self._after(self._plane.limits.close_seconds, self._reset)
        self._transport.write(frames.close_frame(code, reason))

    def _drop(self, why: DisconnectReason) -> None:
        if self._state is State.OPEN:
            self._leave(why)
        self._reset()

    def write(self, data: bytes) -> None:
        """Write, behind what waits; drop a reader whose queue passes the bound."""
        if self._state is not State.CLOSED:
            self._transport.write(data)
            if self._held:
                self._check_queue()

    def pause_writing(self) -> None:
        """Have the room's frames queue up behind what the kernel did not take."""
        self._plane.metrics.write_stalls.inc()
        self._held = True
        self._change_way()
        self._check_queue()

    def resume_writing(self) -> None:
        """Have the room's frames go straight to the socket again: nothing waits."""
        self._held = False
        self._change_way()

    def _straight(self) -> socket.socket:
        """Return the socket to write to, none while the transport holds bytes: they come first."""
        return NO_SOCKET if self._held else self._socket

    def _change_way(self) -> None:
        if self._state is State.OPEN:
            self._plane.hub.write_to(self._session.claims.room_arn, self, self._straight())

    def _check_queue(self) -> None:
        if self._transport.get_write_buffer_size() > self._plane.limits.outbound_bytes:
            self._drop(DisconnectReason.SLOW_READER)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything: the socket is gone."""
        self._cancel_timer()
        if self._state is State.OPEN:
            self._leave(DisconnectReason.PEER_LOST)
        self._state = State.CLOSED
        self._decoder = None
        # The transport closes the descriptor.
        self._socket.detach()
        if self._visit is None:
            self._plane.visitors.leave_finished(self._address)
        else:
            self._plane.visitors.leave(self._visit)

    def _leave(self, why: DisconnectReason) -> None:
        self._state = State.CLOSED
        self._plane.hub.leave(self._session.claims.room_arn, self)
        self._plane.sweeper.remove(self, self._slot, self._session.claims.session_expires)
        self._plane.metrics.disconnects.labels(why).inc()
        if why in _ORDINARY or log.is_enabled_for(logging.DEBUG):
            log.debug("connection ended", reason=why.value, **self._names())
        else:
            self._plane.logger.write(
                "info",
                "connection ended",
                {"reason": why.value},
                address=self.address(),
                **self._names(),
            )

    def _names(self) -> dict[str, str]:
        """Return what log lines call this connection.

        Its name is its token's id, which no other connection has and which opens none.
        """
        claims = self._session.claims
        return {"room": claims.room_arn, "connection": claims.token_id}

    def _after(self, seconds: float, callback: Callable[[], None]) -> None:
        self._timer = self._plane.deadlines.after(seconds, callback)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _socket(transport: asyncio.Transport) -> socket.socket:
    """Return a socket with the transport's descriptor, if that takes plain bytes.

    `send` costs the kernel a few per cent less than a write to the descriptor.
    """
    connection = transport.get_extra_info("socket")
    if connection is None or transport.get_extra_info("sslcontext") is not None:
        return NO_SOCKET
    # What kind of socket it says to be makes no difference to `send`.
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, connection.fileno())


_ORDINARY = frozenset(
    {
        DisconnectReason.PEER_CLOSED,
        DisconnectReason.PEER_LOST,
        DisconnectReason.EXPIRED,
        DisconnectReason.REVOKED,
        DisconnectReason.DRAIN,
    }
)
"""Ends that say nothing about a fault: logged at debug level."""


_NOT_NOW = "The service cannot take the request now"


def _crash(request_id: str) -> ActionError:
    """Return the ERROR for a fault of ours: the connection, and the node, go on."""
    return ActionError(500, "An internal error occurred", request_id)


def _action_error(error: ActionError | ServiceError, request_id: str) -> ActionError:
    """Return the ERROR of the messaging plane for an error of the shared rules."""
    if isinstance(error, ActionError):
        return error
    if isinstance(error, ResourceNotFoundException):
        return ActionError(404, "The room cannot be found", request_id)
    if error.status < 500:
        return ActionError(error.status, error.message, request_id)
    return ActionError(500, _NOT_NOW, request_id)
