"""The roles that users have by a word that came behind their tokens: see `role_changes`.

A token says which roles its user had when it was issued. What was said later goes before it, on
every connection; a token that was issued after that says what is new, and goes before both. When a
token was issued follows from when it can no longer be used; by the same millisecond it is older.
"""

import msgspec

from greenroom.model.chat_token import TOKEN_VALIDITY_SECONDS, ChatTokenClaims
from greenroom.model.restriction import Restriction


class Roles:
    """What was said of each user in a room, the latest."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], Restriction] = {}

    def __len__(self) -> int:
        """Return of how many users something was said."""
        return len(self._of)

    def take(self, entry: Restriction) -> bool:
        """Have what an entry says hold; return whether it is new."""
        user = (entry.scope, entry.user_id)
        known = self._of.get(user)
        if known is not None and known.version >= entry.version:
            return False
        self._of[user] = entry
        return True

    def is_latest(self, entry: Restriction) -> bool:
        """Return whether nothing was said of the user behind an entry."""
        known = self._of.get((entry.scope, entry.user_id))
        return known is not None and known.version == entry.version

    def of(self, room_arn: str, user_id: str, now: int) -> tuple[str, ...] | None:
        """Return what was said of a user, None if nothing was, at a time in milliseconds."""
        known = self._of.get((room_arn, user_id))
        return known.roles if known is not None and now < known.ends else None

    def current(self, claims: ChatTokenClaims) -> ChatTokenClaims:
        """Return what a token says with the roles that its bearer has now."""
        if not self._of:
            return claims
        known = self._of.get((claims.room_arn, claims.user_id))
        if known is None or known.roles is None or issued(claims) > known.at:
            return claims
        own = {**claims.own, "roles": ",".join(known.roles)}
        return msgspec.structs.replace(claims, own=own)

    def forget_over(self, now: int) -> None:
        """Forget what no token is older than."""
        for user, known in list(self._of.items()):
            if known.ends <= now:
                del self._of[user]


def issued(claims: ChatTokenClaims) -> int:
    """Return when a token was issued, in milliseconds since the epoch."""
    return claims.token_expires - TOKEN_VALIDITY_SECONDS * 1000
