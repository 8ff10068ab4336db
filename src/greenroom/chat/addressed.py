"""What holds of addresses: those of users who were restricted `alsoAddresses`.

- It holds of whoever comes from such an address, under whichever user id, for as long as it holds
  of the user, and for a day at most; on, if a moderator in the room frees the user. Who may
  moderate, and bots, meet nothing of it: a moderator may sit beside who is banned.
- An address is known by its hash alone. Those that are many clients' are never among them: a
  trusted proxy's, and this machine's.
- A connection's address is looked at once, when it comes, and when a restriction becomes known: a
  message costs a look into a dictionary, and nothing where no address is restricted.
"""

from collections.abc import Mapping

import msgspec

from greenroom.chat.address_hashes import AddressHashes
from greenroom.chat.modes import is_exempt
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.restriction import Kind, Restriction

Held = Mapping[Kind, Restriction]

NOTHING: Held = {}


class Addressed:
    """What holds of each address, and which connections on this node come from one."""

    def __init__(self, hashes: AddressHashes) -> None:
        self.hashes = hashes
        # By scope and hash: of each user who had the address, what holds, ending with the address.
        self._of: dict[tuple[str, str], dict[tuple[str, Kind], Restriction]] = {}
        self._connections: dict[str, str] = {}

    def __len__(self) -> int:
        """Return how many addresses are restricted, each in a room or an account."""
        return len(self._of)

    def replace(self, before: Restriction | None, after: Restriction | None) -> None:
        """Have what holds of a user hold of his addresses, in place of what did."""
        if before is not None:
            for each in before.addresses:
                self._remove(before, each)
        if after is not None:
            for each, ends in after.addresses.items():
                held = self._of.setdefault((after.scope, each), {})
                held[after.user_id, after.kind] = ending(after, ends)

    def _remove(self, entry: Restriction, hashed: str) -> None:
        held = self._of.get((entry.scope, hashed), {})
        held.pop((entry.user_id, entry.kind), None)
        if not held:
            self._of.pop((entry.scope, hashed), None)

    def enter(self, account: str, claims: ChatTokenClaims, address: bytes) -> None:
        """Remember a connection if something holds of its address."""
        if self._of and not is_exempt(claims):
            hashed = self.hashes.of(account, address)
            if (claims.room_arn, hashed) in self._of or (account, hashed) in self._of:
                self._connections[claims.token_id] = hashed

    def leave(self, claims: ChatTokenClaims) -> None:
        """Forget a connection."""
        if self._connections:
            self._connections.pop(claims.token_id, None)

    def is_met_by(self, entry: Restriction, claims: ChatTokenClaims, address: bytes) -> bool:
        """Return whether a connection's address is one of a restriction's."""
        if is_exempt(claims):
            return False
        return self.hashes.of(entry.account, address) in entry.addresses

    def of_address(self, room_arn: str, account: str, address: bytes, now: int) -> Held:
        """Return what holds of an address in a room at a time in milliseconds."""
        if not self._of:
            return NOTHING
        return self._held(room_arn, account, self.hashes.of(account, address), now)

    def of_connection(self, room_arn: str, account: str, token_id: str, now: int) -> Held:
        """Return what holds of the address of a connection, by its token's id."""
        hashed = self._connections.get(token_id)
        return NOTHING if hashed is None else self._held(room_arn, account, hashed, now)

    def _held(self, room_arn: str, account: str, hashed: str, now: int) -> Held:
        both = (self._of.get((account, hashed), {}), self._of.get((room_arn, hashed), {}))
        return {
            kind: each
            for held in both
            for (_, kind), each in sorted(held.items(), key=lambda each: each[1].ends)
            if each.holds(now)
        }


def ending(entry: Restriction, ends: int) -> Restriction:
    """Return what an entry is to an address of which it holds until a time."""
    return msgspec.structs.replace(entry, expires=ends, lifted=False, addresses={})
