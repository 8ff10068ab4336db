"""What the connections of this node share, and who may become one."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from greenroom.chat import Chat
from greenroom.clock import Clock
from greenroom.messaging.hub import Hub
from greenroom.messaging.moderation_trail import ModerationTrail
from greenroom.messaging.redeemer import Redeemer
from greenroom.messaging.sweeper import Sweeper
from greenroom.metrics import Metrics
from greenroom.model.arn import Arn
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.errors import ResourceNotFoundException
from greenroom.model.message import IdSource
from greenroom.model.quotas import Quotas
from greenroom.protocol.handshake import Refusal
from greenroom.rooms_cache import RoomsCache
from greenroom.storage.base import StorageUnavailable
from greenroom.tokens import KeyRing, TokenForeign, TokenMalformed, open_claims


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one connection: bytes and seconds. See the settings table for the defaults."""

    outbound_bytes: int
    frame_bytes: int
    handshake_seconds: float
    close_seconds: float


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
    admitting: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    """Connections by account and region that have a place and wait for the store."""

    async def admit(self, token: str) -> ChatTokenClaims:
        """Return what the token says, and use it up: "each token can be used only once".

        A refusal for want of a free connection leaves the token usable.

        Raises:
            HandshakeRefused: with the status and the reason.
        """
        claims = self._open(token)
        if self.clock.now_ms() >= claims.token_expires:
            raise Refusal.TOKEN_EXPIRED.error()
        if self.hub.draining:
            raise Refusal.UNAVAILABLE.error()
        try:
            room = await self.rooms.get(claims.room_arn)
            with self._place(room.arn):
                first = await self.redeemer.redeem(claims.token_id, claims.token_expires)
        except ResourceNotFoundException:
            raise Refusal.ROOM_GONE.error() from None
        except StorageUnavailable:
            raise Refusal.UNAVAILABLE.error() from None
        if not first:
            raise Refusal.TOKEN_USED.error()
        if self.hub.draining:
            raise Refusal.UNAVAILABLE.error()
        return claims

    def _open(self, token: str) -> ChatTokenClaims:
        try:
            return open_claims(self.ring, token)
        except TokenMalformed:
            raise Refusal.TOKEN_MALFORMED.error() from None
        except TokenForeign:
            raise Refusal.TOKEN_FOREIGN.error() from None

    @contextmanager
    def _place(self, arn: Arn) -> Iterator[None]:
        """Hold a place below the quota until the connection joins the hub, right afterwards."""
        owner, limit = (arn.account, arn.region), self.quotas["connections"]
        if limit and self.hub.connections_of(*owner) + self.admitting[owner] >= limit:
            raise Refusal.TOO_MANY_CONNECTIONS.error()
        self.admitting[owner] += 1
        try:
            yield
        finally:
            self.admitting[owner] -= 1
