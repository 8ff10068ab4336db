"""One WebSocket connection: between a socket and a session.

- An idle connection keeps no frame decoder: it is made when bytes arrive and let go when empty.
- Actions of one connection are handled in order. While one waits (for a room to be loaded, for a
  moderation request) nothing more is read, so the bound on memory is one read of the socket.
- What stands in its room's queue is not waited for, up to `MOST_UNANSWERED`: each message has its
  own time there, whatever is before it.
- Of what one read brings, `FRAMES_AT_ONCE` are handled at once, and of all the rest a few in each
  turn of the loop (`turns`): a flood delays the others no more. Frames are counted, not bytes: a
  small one costs what a large one does.
- What is queued for a reader is bounded. A reader that lets its queue pass the bound is dropped
  without a close frame, which it could not read anyway.
"""

import asyncio
import socket
from collections.abc import Awaitable, Mapping, Sequence
from enum import IntEnum

from greenroom.bus.base import BEGINNING
from greenroom.chat.outcome import Placed
from greenroom.messaging.deadlines import Deadline
from greenroom.messaging.edge_services import EdgeServices
from greenroom.messaging.reset import reset
from greenroom.messaging.resumes import Place
from greenroom.messaging.sockets import NO_SOCKET, Way, straight_way
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.network import addresses
from greenroom.protocol import frames
from greenroom.protocol.errors import CLOSE_REASONS, CloseCode, DisconnectReason, fault_reason
from greenroom.protocol.session import Session
from greenroom.protocol.wishes import View

FRAMES_AT_ONCE = 32
"""Frames of one connection that are handled before the others have their turn: below 1 ms."""

MOST_UNANSWERED = 128
"""Messages of one connection without an outcome: more than its rate lets it send in ten seconds."""


class State(IntEnum):
    """A connection is in one of these states; expelled, it is in no room, and to be closed."""

    OPEN, EXPELLED, CLOSING, CLOSED = range(4)


_OPEN, _EXPELLED, _CLOSING, _CLOSED = State
# Looked up once: in Python 3.11 a member costs 50 ns each time.


class Edge(asyncio.Protocol):
    """A client's open connection, from its 101 on."""

    # Slots, and the address's bytes, which many share, because there are fifty thousand of these.
    __slots__ = (
        "_address",
        "_allowance",
        "_busy",
        "_decoder",
        "_early",
        "_held",
        "_services",
        "_state",
        "_timer",
        "_transport",
        "_unanswered",
        "_way",
        "heard",
        "key_id",
        "missed",
        "place",
        "session",
        "slot",
    )

    def __init__(
        self,
        services: EdgeServices,
        transport: asyncio.Transport,
        session: Session,
        key_id: str,
        address: bytes,
    ) -> None:
        """Make it of an admitted client; `key_id` is the key of its token."""
        self._services = services
        self._transport = transport
        self.session = session
        # Shared by all connections of the key, which end with it.
        self.key_id = key_id
        self._address = address
        self._state = _OPEN
        self._decoder: frames.FrameDecoder | None = None
        # What came and was not handled yet; busy is who must not be given more before that.
        self._early = b""
        self._busy = True
        # Whether the transport holds bytes: all that follows must queue up behind them.
        self._held = False
        # How much more than the bound may wait: what it began with, until that is written.
        self._allowance = 0
        self._way = straight_way(transport)
        self._timer: Deadline | None = None
        self._unanswered = 0
        # Where it goes on if it breaks; None where nobody keeps that.
        self.place: Place | None = None
        # The sweeper's.
        self.slot = 0
        self.heard = True
        self.missed = 0

    def open(self, answer: bytes, early: bytes) -> None:
        """Begin with the 101, which nothing may come before; `early` came behind the request.

        Behind the 101 `answer` may hold frames: they come before everything of the room.
        """
        # The transport tells as soon as it cannot write everything at once; not, when it told whose
        # the connection was before that it holds answers which that client did not read.
        self._transport.set_write_buffer_limits(high=0)
        self._allowance = len(answer)
        self._held = self._transport.get_write_buffer_size() > 0
        # Once the client sees the 101, it misses nothing: both happen before anything else can.
        way = self._straight()
        self._services.enter(self, way)
        if isinstance(way, socket.SocketType):
            self._write_straight(way, answer)
        else:
            self._transport.write(answer)
        if not self._held:
            self._allowance = 0
        self._early = early
        self._resume()

    # What arrives

    def data_received(self, data: bytes) -> None:
        """Take bytes from the socket."""
        if self._busy:
            self._early += data
            return
        # Any bytes are a sign of life, not only pongs: the sweeper asks for nothing more.
        self.heard = True
        limit = self._services.limits.frame_bytes
        if self._decoder is None and (text := frames.whole_text(data, limit)) is not None:
            # Nearly every read is one message, which waits for nothing.
            if self._state is _OPEN:
                waiting = self._services.actions.act(self, text.payload)
                if waiting is not None:
                    self._wait_for(waiting, (text,), 1)
            return
        decoder = self._decoder or frames.FrameDecoder(limit)
        received = decoder.feed(data, FRAMES_AT_ONCE)
        self._early = decoder.rest
        self._decoder = None if decoder.idle else decoder
        self._handle(received, 0)
        if self._early and not self._busy:
            # The others' turn: one peer's thousand small frames must not hold them up.
            self._busy = True
            self._transport.pause_reading()
            self._services.turns.wait(self._resume)

    def _handle(self, received: Sequence[frames.Event], start: int) -> None:
        """Handle frames in order; when one must wait, stop reading until it is done."""
        for index in range(start, len(received)):
            # A frame may have ended the connection; what came behind it is not looked at.
            if self._state is _CLOSED:
                return
            waiting = self._handle_one(received[index])
            if waiting is not None and self._wait_for(waiting, received, index + 1):
                return

    def _wait_for(
        self, waiting: Awaitable[Placed | None], received: Sequence[frames.Event], index: int
    ) -> bool:
        """Have an outcome waited for; return whether the frames from `index` on wait, too."""
        if isinstance(waiting, Placed) and self._unanswered < MOST_UNANSWERED:
            self._queue(waiting)
            return False
        self._busy = True
        self._transport.pause_reading()
        self._services.tasks.create_task(self._wait(waiting, received, index))
        return True

    async def _wait(
        self, waiting: Awaitable[Placed | None], received: Sequence[frames.Event], index: int
    ) -> None:
        try:
            placed = await waiting
            if placed is not None and self._unanswered < MOST_UNANSWERED:
                self._queue(placed)
            elif placed is not None:
                await placed
            self._busy = False
            self._handle(received, index)
            if not self._busy:
                self._resume()
        except Exception:
            # An exception that left this task would end the node.
            self._services.logger.exception(
                "connection crashed", address=self.address(), **self.names()
            )
            self._drop(DisconnectReason.INTERNAL_ERROR)

    def _queue(self, placed: Placed) -> None:
        """Have an outcome waited for while more is read."""
        self._unanswered += 1
        self._services.tasks.create_task(self._answered(placed))

    async def _answered(self, placed: Placed) -> None:
        try:
            await placed
        except Exception:
            # An exception that left this task would end the node.
            self._services.logger.exception(
                "connection crashed", address=self.address(), **self.names()
            )
            self._drop(DisconnectReason.INTERNAL_ERROR)
        finally:
            self._unanswered -= 1

    def _resume(self) -> None:
        """Read again, first what came while nothing could be handled."""
        self._busy = False
        if self._state is _CLOSED:
            return
        self._transport.resume_reading()
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    def _handle_one(self, event: frames.Event) -> Awaitable[Placed | None] | None:
        # Nearly every frame is a text.
        if isinstance(event, frames.Text):
            # While it closes only the peer's close frame counts: who was kicked says no more.
            if self._state is _OPEN:
                return self._services.actions.act(self, event.payload)
        elif isinstance(event, frames.Close):
            self._peer_closes(event)
        elif isinstance(event, frames.ProtocolFault):
            self._close(event.code, event.why, fault_reason(event.code))
            # No frame is read any more, also not the peer's close frame: ending our side tells it.
            self._end_side()
        elif self._state is _OPEN:
            if isinstance(event, frames.Pong):
                self._reached(event.payload)
            elif isinstance(event, frames.Ping):
                self.write(frames.pong_frame(event.payload))
            elif isinstance(event, frames.Binary):
                reason = DisconnectReason.UNSUPPORTED_DATA
                self._close(CloseCode.UNSUPPORTED_DATA, CLOSE_REASONS[reason].text, reason)
        return None

    # What the hub, the sweeper and the actions ask

    @property
    def user_id(self) -> str:
        """The user that the token names."""
        return self.session.claims.user_id

    @property
    def claims(self) -> ChatTokenClaims:
        """What its token says."""
        return self.session.claims

    def renew(self, claims: ChatTokenClaims) -> None:
        """Take its token for one that says this."""
        self.session.claims = claims

    @property
    def origin(self) -> bytes:
        """The client's address; unknown where it is that of many."""
        return self._services.visitors.origin_of(self._address)

    @property
    def shown_names(self) -> Sequence[str]:
        """What its token says for the user's name."""
        attributes = self.session.claims.attributes
        return [attributes[each] for each in ("displayName", "username") if each in attributes]

    @property
    def may_moderate(self) -> bool:
        """Whether its token lets it moderate."""
        return Capability.MODERATE in self.session.claims.capabilities

    @property
    def attributes(self) -> Mapping[str, str]:
        """The application's own of its token."""
        return self.session.claims.attributes

    @property
    def is_bot(self) -> bool:
        """Whether its token is a bot's."""
        return Capability.BYPASS in self.session.claims.capabilities

    @property
    def view(self) -> View:
        """What it is shown."""
        return self.session.view

    @property
    def is_open(self) -> bool:
        """Whether it is in its room, and can be written to."""
        return self._state is _OPEN

    def names(self) -> dict[str, str]:
        """Return what log lines call this connection.

        Its name is its token's id, which no other connection has and which opens none.
        """
        claims = self.session.claims
        return {"room": claims.room_arn, "connection": claims.token_id}

    def address(self) -> str:
        """Return the client's address, as text; behind trusted proxies the one that they tell."""
        return addresses.shown(self._address)

    def expel(self) -> None:
        """Leave the room because a moderator said so; `disconnect` tells the client."""
        if self._state is _OPEN:
            self._leave(DisconnectReason.KICKED)
            self._state = _EXPELLED

    def disconnect(self, reason: str, last: bytes = b"") -> None:
        """Close cleanly with the moderator's reason as plain text, behind what comes last."""
        self._close(CloseCode.NORMAL, reason, DisconnectReason.KICKED, last)

    def expire(self) -> None:
        """Say that the session is over, then close cleanly with the same ERROR as the reason.

        The official SDKs reconnect on the ERROR frame; older clients parse the close reason. What
        the room was to see before comes first: a request's promise settles with its echo.
        """
        self._services.hub.after_flush(self.session.claims.room_arn, self.end_session)

    def revoke(self) -> None:
        """Close as an expired session is: clients with a right to be here get a new token."""
        self.end_session(why=DisconnectReason.REVOKED)

    def end_session(
        self, request_id: str = "", why: DisconnectReason = DisconnectReason.EXPIRED
    ) -> None:
        """Say at once that the session is over, perhaps in answer to a request, and close."""
        if self._state is _OPEN:
            error, reason = self._services.actions.session_over(request_id)
            self.write(error)
            self._close(CloseCode.NORMAL, reason, why)

    def ping(self) -> None:
        """Ask for a sign of life, and for the place that it is asked behind."""
        place = None if self.place is None else self._services.place(self)
        if self._state is _OPEN:
            self.write(frames.ping_frame(place.encode()) if place else frames.PING)

    def _reached(self, place: bytes) -> None:
        """Take note that all before a ping has arrived."""
        if self.place is None or not place or not place.isascii():
            return
        since, before = place.decode(), self.place.since
        # Nobody goes back to where there was nothing.
        if not since.startswith(BEGINNING) or before[:1] in ("", BEGINNING):
            self.place.since = since

    def drop_silent(self) -> None:
        """Let go of a peer that no longer answers."""
        self._drop(DisconnectReason.SILENT_PEER)

    def drain(self) -> None:
        """End the connection for a restart: no close frame, so that the SDKs reconnect."""
        if self._state is _OPEN:
            self._leave(DisconnectReason.DRAIN)
            self._end_written()

    # The end

    def _peer_closes(self, event: frames.Close) -> None:
        is_first = self._state in (_OPEN, _EXPELLED)
        if self._state is _OPEN:
            self._leave(DisconnectReason.PEER_CLOSED)
        if is_first:
            self._transport.write(frames.close_frame(event.code or CloseCode.NORMAL, ""))
        self._state = _CLOSED
        self._close_written()

    def _end_side(self) -> None:
        """Write no more, and read on until the peer ends: that of TLS does so by a whole end."""
        if not self._transport.can_write_eof():
            self._transport.close()
        elif not self._transport.is_closing():
            self._transport.write_eof()

    def _close_written(self) -> None:
        """Close when what waits is written; a peer that does not read is not waited for long."""
        self._limit_end()
        self._transport.close()

    def _end_written(self) -> None:
        """End our side when what waits is written, and close when the peer does.

        The kernel resets a connection that is closed with bytes unread, and a peer that is sending
        would lose the last frames.
        """
        if not self._transport.can_write_eof() or self._transport.is_closing():
            self._close_written()
            return
        self._limit_end()
        self._transport.write_eof()
        self._busy = False
        self._transport.resume_reading()

    def _reset(self) -> None:
        reset(self._transport)

    def _close(self, code: int, reason: str, why: DisconnectReason, last: bytes = b"") -> None:
        """Begin the closing handshake; the peer has a few seconds to finish it."""
        # First: a write that passes the bound drops the connection, and it leaves only once.
        if self._state is _OPEN:
            self._leave(why)
        elif self._state is not _EXPELLED:
            return
        self._state = _CLOSING
        self._limit_end()
        self._transport.write(last + frames.close_frame(code, reason))

    def _drop(self, why: DisconnectReason) -> None:
        if self._state is _OPEN:
            self._leave(why)
        self._reset()

    def write(self, data: bytes) -> None:
        """Write, behind what waits; drop a reader whose queue passes the bound."""
        # A room's flush under way may still have a connection that has left: nothing is written.
        if self._state is not _CLOSED:
            self._transport.write(data)
            if self._held:
                self._check_queue()

    def _write_straight(self, way: socket.SocketType, data: bytes) -> None:
        """Write past the transport what the kernel takes, and the rest through it."""
        try:
            sent = way.send(data)
        except OSError:
            # The kernel's buffer is full, the peer is gone, or there is no socket.
            sent = 0
        if sent < len(data):
            self.write(data[sent:])

    def pause_writing(self) -> None:
        """Have the room's frames queue up behind what the kernel did not take."""
        self._services.metrics.write_stalls.inc()
        self._held = True
        self._change_way()
        self._check_queue()

    def resume_writing(self) -> None:
        """Have the room's frames go straight to the socket again: nothing waits."""
        self._held = False
        self._allowance = 0
        self._change_way()

    def _straight(self) -> Way:
        """Return the way past the transport, none while that holds bytes: they come first."""
        return NO_SOCKET if self._held else self._way

    def _change_way(self) -> None:
        if self._state is _OPEN:
            self._services.hub.write_to(self.session.claims.room_arn, self, self._straight())

    def _check_queue(self) -> None:
        most = self._services.limits.outbound_bytes + self._allowance
        if self._transport.get_write_buffer_size() > most:
            self._drop(DisconnectReason.SLOW_READER)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything: the socket is gone."""
        self._cancel_timer()
        if self._state is _OPEN:
            self._leave(DisconnectReason.PEER_LOST)
        self._state = _CLOSED
        self._decoder = None
        if isinstance(self._way, socket.SocketType):
            # The transport closes the descriptor.
            self._way.detach()
        self._services.visitors.leave_finished(self._address)

    def _leave(self, why: DisconnectReason) -> None:
        self._state = _CLOSED
        self._services.leave(self, why)

    def _limit_end(self) -> None:
        """Reset the connection if the peer does not let it end in time."""
        self._cancel_timer()
        services = self._services
        self._timer = services.deadlines.after(services.limits.close_seconds, self._reset)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
