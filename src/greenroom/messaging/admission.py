"""Who may become a connection of this node: what a chat token says, and whether there is a place.

A token is refused by the first of these that applies. "Each token can be used only once", and only
what stands last uses it up: who is refused for a reason that passes comes in with the same token.

1. it is no token, or not of this service: 400 or 403. Of a key that is not known here the keys are
   read first, where other nodes make some: 503 if they cannot be.
2. its time to connect is over: 410.
3. the node drains or is short of memory: 503.
4. its room is gone: 404; its user, or his address, is banned there: 403.
5. no place is free, on the node, of the account, in the room or of the user: 503 or 429.
6. it was used before: 409.
"""

from collections.abc import Awaitable, Callable

import msgspec

from greenroom.chat.modes import is_exempt
from greenroom.chat.restrictions import Restrictions
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.clock import Clock
from greenroom.messaging.hub import Hub
from greenroom.messaging.redeemer import Redeemer
from greenroom.model.arn import Arn
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.errors import ResourceNotFoundException
from greenroom.model.room import Room
from greenroom.network.addresses import UNKNOWN
from greenroom.process.memory_pressure import MemoryWatch
from greenroom.protocol.handshake import HandshakeRefused, Refusal
from greenroom.storage.base import StorageUnavailable
from greenroom.tokens.key_ring import (
    KeyRing,
    KeyUnknown,
    TokenMalformed,
    TokenRejected,
    open_claims_and_key,
)

Prepare = Callable[[ChatTokenClaims, Room], Awaitable[None]]
"""Does what takes time before somebody who is admitted is in his room.

His token is used up by then: it must not fail for a reason that passes.
"""


async def read_no_keys() -> None:
    """Know all keys: no other node makes some."""


async def _prepare_nothing(_claims: ChatTokenClaims, _room: Room) -> None:
    """Have nothing to do before."""


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """How many connections there may be; 0 is no bound. See the settings table for the defaults."""

    connections: int = 0
    connections_per_account: int = 0
    connections_per_room: int = 0
    connections_per_user: int = 0


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """Admits the bearers of tokens."""

    ring: KeyRing
    read_keys: Callable[[], Awaitable[None]] = read_no_keys
    """Has in the ring what other nodes made; raises StorageUnavailable."""
    rooms: RoomsCache
    redeemer: Redeemer
    hub: Hub
    clock: Clock
    memory: MemoryWatch
    places: Places
    restrictions: Restrictions
    # Connections that have a place and wait for the store: the hub does not know them yet, and
    # without them a thousand that come at once would all find the last place free.
    admitting: dict[tuple[str, str], int] = {}
    """How many of all, by account and region, by room with an empty user, and by room and user."""

    async def admit(
        self, token: str, prepare: Prepare = _prepare_nothing, address: bytes = UNKNOWN
    ) -> tuple[ChatTokenClaims, str]:
        """Use a token up; return what it says, and the id of its key.

        `prepare` has a place and the room followed. `address` is that of its bearer, unknown where
        it is that of many.

        Raises:
            HandshakeRefused: with the status and the reason.
        """
        try:
            claims, key_id = open_claims_and_key(self.ring, token)
        except TokenRejected as rejected:
            claims, key_id = await self._open_again(token, rejected)
        try:
            await self._use_up(claims, prepare, address)
        except HandshakeRefused as refused:
            refused.room = claims.room_arn
            raise
        # Those that hold now: from here to the hub nothing awaits.
        return self.restrictions.roles.current(claims), key_id

    async def _use_up(self, claims: ChatTokenClaims, prepare: Prepare, address: bytes) -> None:
        if self.clock.now_ms() >= claims.token_expires:
            raise Refusal.TOKEN_EXPIRED.error()
        if self.hub.draining:
            raise Refusal.UNAVAILABLE.error()
        if self.memory.pressed:
            raise Refusal.MEMORY_FULL.error()
        try:
            room = await self.rooms.get(claims.room_arn)
            self._check_ban(room.arn, claims, address)
            self._take_place(room.arn, claims)
            try:
                # Who is let in misses nothing of what is published from then on.
                following = self.hub.expect(claims.room_arn)
                if following is not None:
                    await following
                first = await self.redeemer.redeem(claims.token_id, claims.token_expires)
                if first:
                    await prepare(claims, room)
            finally:
                # The connection joins the hub right afterwards, in the same turn of the loop.
                self._leave_place(room.arn, claims)
                self.hub.arrived(claims.room_arn)
        except ResourceNotFoundException:
            raise Refusal.ROOM_GONE.error() from None
        except StorageUnavailable:
            raise Refusal.UNAVAILABLE.error() from None
        if not first:
            raise Refusal.TOKEN_USED.error()
        # Asked once more, as the drain below.
        self._check_ban(room.arn, claims, address)
        # Asked once more: the drain may have begun while the store was asked, and whoever joined
        # now would be told by nobody.
        if self.hub.draining:
            raise Refusal.UNAVAILABLE.error()

    def _check_ban(self, room: Arn, claims: ChatTokenClaims, address: bytes) -> None:
        met = UNKNOWN if is_exempt(claims) else address
        if self.restrictions.ban(room, claims.user_id, met) is not None:
            raise Refusal.BANNED.error()

    def check_key(self, key_id: str) -> None:
        """Ask once more for the key that sealed an admitted token.

        Raises:
            HandshakeRefused: it was killed meanwhile.
        """
        if key_id not in self.ring:
            raise Refusal.TOKEN_FOREIGN.error()

    async def _open_again(self, token: str, rejected: TokenRejected) -> tuple[ChatTokenClaims, str]:
        """Open a token whose key was made elsewhere meanwhile; refuse any other."""
        try:
            if not isinstance(rejected, KeyUnknown):
                raise rejected
            await self.read_keys()
            return open_claims_and_key(self.ring, token)
        except StorageUnavailable:
            raise Refusal.UNAVAILABLE.error() from None
        except TokenMalformed:
            raise Refusal.TOKEN_MALFORMED.error() from None
        except TokenRejected:
            raise Refusal.TOKEN_FOREIGN.error() from None

    def _take_place(self, arn: Arn, claims: ChatTokenClaims) -> None:
        """Take a place below the limits, for as long as the store is asked."""
        self._check_place((arn.account, arn.region), claims.room_arn, claims.user_id)
        coming = self.admitting
        for key in _counted_as(arn, claims):
            coming[key] = coming.get(key, 0) + 1

    def _leave_place(self, arn: Arn, claims: ChatTokenClaims) -> None:
        coming = self.admitting
        for key in _counted_as(arn, claims):
            left = coming[key] - 1
            if left:
                coming[key] = left
            else:
                del coming[key]

    def _check_place(self, owner: tuple[str, str], room: str, user_id: str) -> None:
        hub, places, coming = self.hub, self.places, self.admitting
        elsewhere = hub.elsewhere
        most = places.connections
        if most and hub.connections + coming.get(_ALL, 0) >= most:
            raise Refusal.NODE_FULL.error()
        most = places.connections_per_account
        if most:
            here = hub.connections_of(*owner) + coming.get(owner, 0)
            if here + elsewhere.connections_of_elsewhere(*owner) >= most:
                raise Refusal.TOO_MANY_CONNECTIONS.error()
        most = places.connections_per_room
        if most:
            here = hub.connections_in(room) + coming.get((room, ""), 0)
            if here + elsewhere.connections_elsewhere(room) >= most:
                raise Refusal.ROOM_FULL.error()
        most = places.connections_per_user
        if most:
            most -= coming.get((room, user_id), 0)
            most -= elsewhere.connections_of_user_elsewhere(room, user_id)
            if hub.reaches(room, user_id, most):
                raise Refusal.USER_FULL.error()


_ALL = ("", "")


def _counted_as(arn: Arn, claims: ChatTokenClaims) -> tuple[tuple[str, str], ...]:
    """Return as what a connection that comes is counted: no account is called as a room is."""
    room = claims.room_arn
    return _ALL, (arn.account, arn.region), (room, ""), (room, claims.user_id)
