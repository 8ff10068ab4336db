"""What the connections of this node share, and who may become one."""

import asyncio
from collections import Counter

import msgspec

from greenroom.chat.chat import Chat
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.clock import Clock
from greenroom.messaging.deadlines import Deadlines
from greenroom.messaging.hub import Hub
from greenroom.messaging.moderation_trail import ModerationTrail
from greenroom.messaging.redeemer import Redeemer
from greenroom.messaging.sweeper import Sweeper
from greenroom.messaging.turns import Turns
from greenroom.model.arn import Arn
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.errors import ResourceNotFoundException
from greenroom.model.message import IdSource
from greenroom.model.quotas import Quotas
from greenroom.network.origins import AllowedOrigins
from greenroom.network.visitors import Visitors
from greenroom.process.memory_pressure import MemoryWatch
from greenroom.protocol.handshake import HandshakeRefused, Refusal
from greenroom.storage.base import StorageUnavailable
from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.telemetry.descriptors import DescriptorWatch
from greenroom.telemetry.metrics import Metrics
from greenroom.tokens.key_ring import (
    KeyRing,
    TokenForeign,
    TokenMalformed,
    TokenRejected,
    open_claims,
)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of a connection, bytes and seconds, and on how many there are; 0 is no bound.

    See the settings table for the defaults.
    """

    outbound_bytes: int
    frame_bytes: int
    handshake_seconds: float
    close_seconds: float
    connections: int = 0
    connections_per_room: int = 0
    connections_per_user: int = 0


class Plane(msgspec.Struct, frozen=True, kw_only=True):
    """The services below the messaging plane, as built by the composition root."""

    chat: Chat
    moderation: ModerationTrail = msgspec.field(default_factory=ModerationTrail)
    hub: Hub
    sweeper: Sweeper
    rooms: RoomsCache
    redeemer: Redeemer
    ring: KeyRing
    quotas: Quotas
    clock: Clock
    ids: IdSource
    limits: Limits
    tasks: asyncio.TaskGroup
    metrics: Metrics
    memory: MemoryWatch = msgspec.field(default_factory=MemoryWatch)
    descriptors: DescriptorWatch = msgspec.field(default_factory=DescriptorWatch)
    visitors: Visitors = msgspec.field(default_factory=Visitors)
    origins: AllowedOrigins = msgspec.field(default_factory=AllowedOrigins)
    deadlines: Deadlines = msgspec.field(default_factory=Deadlines)
    turns: Turns = msgspec.field(default_factory=Turns)
    logger: BoundedLog = msgspec.field(default_factory=BoundedLog)
    """Takes the log's lines that clients can cause."""
    admitting: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    """Connections by account and region that have a place and wait for the store."""
    admitting_of: dict[tuple[str, str], int] = {}
    """The same by room and user, and by room with an empty user."""

    async def admit(self, token: str) -> ChatTokenClaims:
        """Return what the token says, and use it up: "each token can be used only once".

        A refusal for want of a free connection leaves the token usable.

        Raises:
            HandshakeRefused: with the status and the reason.
        """
        claims = self._open(token)
        try:
            await self._use_up(claims)
        except HandshakeRefused as refused:
            refused.room = claims.room_arn
            raise
        return claims

    async def _use_up(self, claims: ChatTokenClaims) -> None:
        if self.clock.now_ms() >= claims.token_expires:
            raise Refusal.TOKEN_EXPIRED.error()
        if self.hub.draining:
            raise Refusal.UNAVAILABLE.error()
        if self.memory.pressed:
            raise Refusal.MEMORY_FULL.error()
        try:
            room = await self.rooms.get(claims.room_arn)
            self._take_place(room.arn, claims)
            try:
                first = await self.redeemer.redeem(claims.token_id, claims.token_expires)
            finally:
                # The connection joins the hub right afterwards.
                self._leave_place(room.arn, claims)
        except ResourceNotFoundException:
            raise Refusal.ROOM_GONE.error() from None
        except StorageUnavailable:
            raise Refusal.UNAVAILABLE.error() from None
        if not first:
            raise Refusal.TOKEN_USED.error()
        if self.hub.draining:
            raise Refusal.UNAVAILABLE.error()

    def key_id(self, token: str) -> str:
        """Return which key sealed an admitted token.

        Raises:
            HandshakeRefused: the key was killed meanwhile.
        """
        try:
            return self.ring.key_id(token)
        except TokenRejected:
            raise Refusal.TOKEN_FOREIGN.error() from None

    def _open(self, token: str) -> ChatTokenClaims:
        try:
            return open_claims(self.ring, token)
        except TokenMalformed:
            raise Refusal.TOKEN_MALFORMED.error() from None
        except TokenForeign:
            raise Refusal.TOKEN_FOREIGN.error() from None

    def _take_place(self, arn: Arn, claims: ChatTokenClaims) -> None:
        """Take a place below the limits, for as long as the store is asked."""
        owner, room, user_id = (arn.account, arn.region), claims.room_arn, claims.user_id
        self._check_place(owner, room, user_id)
        self.admitting[owner] += 1
        coming = self.admitting_of
        for key in ((room, ""), (room, user_id)):
            coming[key] = coming.get(key, 0) + 1

    def _leave_place(self, arn: Arn, claims: ChatTokenClaims) -> None:
        self.admitting[arn.account, arn.region] -= 1
        coming, room = self.admitting_of, claims.room_arn
        for key in ((room, ""), (room, claims.user_id)):
            coming[key] -= 1
            if not coming[key]:
                del coming[key]

    def _check_place(self, owner: tuple[str, str], room: str, user_id: str) -> None:
        hub, limits, coming = self.hub, self.limits, self.admitting_of
        if limits.connections and hub.connections + self.admitting.total() >= limits.connections:
            raise Refusal.NODE_FULL.error()
        quota = self.quotas["connections"]
        if quota and hub.connections_of(*owner) + self.admitting[owner] >= quota:
            raise Refusal.TOO_MANY_CONNECTIONS.error()
        most = limits.connections_per_room
        if most and hub.connections_in(room) + coming.get((room, ""), 0) >= most:
            raise Refusal.ROOM_FULL.error()
        most = limits.connections_per_user
        if most and hub.reaches(room, user_id, most - coming.get((room, user_id), 0)):
            raise Refusal.USER_FULL.error()
