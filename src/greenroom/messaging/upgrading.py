"""A connection from its upgrade request to its 101 or its refusal.

What an open connection never needs lives here, and ends with it: the visit that counts it among the
unfinished, the deadline, the request. An open one is an `Edge`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from functools import partial
from time import perf_counter

import msgspec

from greenroom.chat.occupancy import Occupancy
from greenroom.chat.pins import event_attributes
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.chat.settings import Settings
from greenroom.clock import Clock
from greenroom.messaging.admission import Admission
from greenroom.messaging.deadlines import Deadline
from greenroom.messaging.edge import Edge
from greenroom.messaging.edge_services import EdgeServices
from greenroom.messaging.replays import Replays
from greenroom.messaging.reset import reset
from greenroom.messaging.resumes import FIRST_PING_SECONDS
from greenroom.messaging.users_teller import UsersTeller
from greenroom.messaging.welcome import welcome
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.errors import ResourceNotFoundException
from greenroom.model.message import IdSource
from greenroom.model.room import Room
from greenroom.network import addresses
from greenroom.network.origins import AllowedOrigins
from greenroom.network.visitors import Refused, Visit
from greenroom.process import steps
from greenroom.protocol import handshake
from greenroom.protocol.frames import text_frame
from greenroom.protocol.session import Session
from greenroom.protocol.wishes import View, Wishes, asked_in, wishes_of

Headers = Sequence[tuple[bytes, bytes]]


class Upgrades(msgspec.Struct, frozen=True, kw_only=True):
    """What upgrade requests need, and what their connections need afterwards."""

    admission: Admission
    origins: AllowedOrigins
    clock: Clock
    ids: IdSource
    handshake_seconds: float
    """How long a request may take to be admitted."""
    rate: float
    """Actions per second of one connection; zero is no limit."""
    edges: EdgeServices
    settings: Settings
    rooms: RoomsCache
    replays: Replays
    users_teller: UsersTeller

    def begin(
        self,
        transport: asyncio.Transport,
        visit: Visit,
        method: bytes,
        headers: Headers,
        early: bytes,
        target: bytes,
    ) -> None:
        """Take over a connection whose upgrade request was read; `early` came behind it."""
        upgrading = self.upgrading(transport, visit, early, perf_counter())
        transport.set_protocol(upgrading)
        upgrading.begin(method, headers, target)

    def wait_for_others(self, go_on: Callable[[], None]) -> None:
        """Call back when an upgrade request is to go on, with others that come about then."""
        self.admission.redeemer.wait_for_others(go_on)

    def upgrading(
        self, transport: asyncio.Transport, visit: Visit, early: bytes, came: float
    ) -> "Upgrading":
        """Return what is to begin, and to be told of what comes and of the end, up to its answer.

        The request came at that time of `perf_counter`.

        Where the transport's protocol passes that on: another one costs two system calls, because
        reading is stopped for it, and begun again.
        """
        return Upgrading(self, transport, visit, early, came)


class Upgrading(asyncio.Protocol):
    """A client's connection that waits for the answer to its upgrade request."""

    __slots__ = (
        "_address",
        "_answered",
        "_came",
        "_early",
        "_edges",
        "_known",
        "_timer",
        "_transport",
        "_upgrades",
        "_visit",
    )

    def __init__(
        self,
        upgrades: Upgrades,
        transport: asyncio.Transport,
        visit: Visit,
        early: bytes,
        came: float,
    ) -> None:
        self._upgrades = upgrades
        self._edges = upgrades.edges
        self._transport = transport
        self._visit = visit
        # Behind a trusted proxy another one than the visit's, whose peer is the proxy.
        self._address = visit.address
        self._early = early
        self._came = came
        # The room as it was when the token was used up.
        self._known: Room | None = None
        self._answered = False
        self._timer = self._after(upgrades.handshake_seconds, self._too_slow)

    def begin(self, method: bytes, headers: Headers, target: bytes) -> None:
        """Have the request answered."""
        steps.begin(self._admit(method, headers, target))

    async def _admit(self, method: bytes, headers: Headers, target: bytes) -> None:
        try:
            self._check_client(headers)
            upgrade = handshake.parse_upgrade(method, headers)
            asked = asked_in(target)
            admission = self._upgrades.admission
            origin = self._edges.visitors.origin_of(self._address)
            prepare = partial(self._prepare, asked)
            claims, key_id = await admission.admit(upgrade.token, prepare, origin)
            # From here to the hub nothing awaits: the place that was taken is not given back
            # before the connection has it, and a key that is killed meets it in one of the two.
            admission.check_key(key_id)
            if self._answered:
                return
            wishes, rate = wishes_of(claims, asked), self._upgrades.rate
            session = Session(claims, rate, self._upgrades.clock.now(), wishes.view(claims))
            self._open(upgrade, session, wishes, key_id)
        except handshake.HandshakeRefused as refused:
            self._refuse(refused)
        except Exception:
            # Whatever failed, the client gets an answer; the log has the place, not the token.
            self._edges.logger.exception("handshake crashed", address=self._shown())
            self._refuse(handshake.Refusal.INTERNAL.error())
            self._transport.abort()

    def _check_client(self, headers: Headers) -> None:
        """Refuse other sites' pages, whose token is not even read, and find out the address."""
        if not self._upgrades.origins.allows(headers):
            raise handshake.Refusal.ORIGIN.error()
        visitors, visit = self._edges.visitors, self._visit
        if not visitors.proxies:
            return
        address = visitors.origin(visit, headers).address
        if address != visit.address:
            try:
                visitors.enter_behind_proxy(visit, address, self._upgrades.clock.monotonic())
            except Refused:
                raise handshake.Refusal.ADDRESS_FULL.error() from None
        self._address = address

    async def _prepare(self, asked: Mapping[str, str], claims: ChatTokenClaims, room: Room) -> None:
        wishes = wishes_of(claims, asked)
        self._known = room
        await self._upgrades.replays.prepare(room, claims, wishes)

    def _open(
        self, upgrade: handshake.Upgrade, session: Session, wishes: Wishes, key_id: str
    ) -> None:
        self._answered = True
        self._timer.cancel()
        # An open connection holds its address instead of the visit: many share those bytes.
        self._edges.visitors.finish(self._visit)
        edge = Edge(self._edges, self._transport, session, key_id, self._address)
        self._transport.set_protocol(edge)
        self._edges.metrics.handshake_seconds.observe(perf_counter() - self._came)
        answer = handshake.accept_response(upgrade)
        room = self._room(session.claims)
        viewers = None if session.view is View.PLAIN else self._viewers(edge)
        if viewers is not None:
            answer += self._welcome(session.claims, room, viewers)
        first = None
        if room is not None:
            to_come = self._edges.hub.to_come(session.claims.room_arn)
            first, edge.place = self._upgrades.replays.first(session, wishes, room, to_come)
        edge.open(answer + (first or b""), self._early)
        if first is not None:
            self._edges.hub.note_replayed(session.claims.room_arn, edge)
        if edge.place is not None:
            self._edges.deadlines.after(FIRST_PING_SECONDS, edge.ping)
        if viewers is None:
            return
        hub, room_arn = self._edges.hub, session.claims.room_arn
        hub.note_viewers(room_arn, viewers)
        if room is not None:
            hub.note_told(room_arn, self._upgrades.settings.in_force(room))

    def _viewers(self, edge: Edge) -> Occupancy:
        """Return how many there will be in the room with this one."""
        elsewhere, room_arn = self._edges.hub.elsewhere, edge.session.claims.room_arn
        return elsewhere.occupancy_with(room_arn, edge.user_id, is_bot=edge.is_bot)

    def _room(self, claims: ChatTokenClaims) -> Room | None:
        try:
            return self._upgrades.rooms.peek(claims.room_arn)
        except (KeyError, ResourceNotFoundException):
            # It changed while the token was used up: the event that says so is yet to come.
            return self._known

    def _welcome(self, claims: ChatTokenClaims, room: Room | None, viewers: Occupancy) -> bytes:
        """Say first where the client is, before everything of the room."""
        upgrades = self._upgrades
        told: dict[str, str] = {}
        if room is not None:
            pins = event_attributes(room, upgrades.clock.now_ms())
            told = {**upgrades.settings.event_attributes(room), **pins}
        event_id, time_ns = upgrades.ids(), upgrades.clock.wall_ns()
        first = text_frame(welcome(claims, told, viewers, event_id, time_ns))
        return first + upgrades.users_teller.first(claims.room_arn)

    def _refuse(self, refused: handshake.HandshakeRefused) -> None:
        if self._answered:
            return
        self._answered = True
        edges, upgrades = self._edges, self._upgrades
        edges.metrics.handshake_refusals.labels(refused.reason).inc()
        kind = {"reason": refused.reason, "status": refused.status}
        edges.logger.write(
            "info", "handshake refused", kind, address=self._shown(), room=refused.room
        )
        date = formatdate(upgrades.clock.now(), usegmt=True).encode()
        self._transport.write(handshake.refusal_response(refused, upgrades.ids(), date))
        # A peer that does not read its refusal is not waited for long.
        self._timer.cancel()
        self._timer = self._after(edges.limits.close_seconds, self._reset)
        self._transport.close()

    def _too_slow(self) -> None:
        self._refuse(handshake.Refusal.UNAVAILABLE.error())

    def _reset(self) -> None:
        reset(self._transport)

    def _after(self, seconds: float, callback: Callable[[], None]) -> Deadline:
        return self._edges.deadlines.after(seconds, callback)

    def _shown(self) -> str:
        return addresses.shown(self._address)

    def data_received(self, data: bytes) -> None:
        """Keep what comes behind the request, and read no more until that is answered."""
        self._early += data
        self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything: the socket is gone."""
        self._timer.cancel()
        self._answered = True
        self._edges.visitors.leave(self._visit)
