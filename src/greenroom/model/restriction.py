"""Restrictions: what a user may not do in a room or an account, since when, until when and why.

Each change is an entry with the account's next version: somebody restricts, replaces, or lifts. Of
the entries of one scope, user and kind the latest counts; the others are the history. A note is an
entry that restricts nothing. One that says the user's roles is a note for who does not know of
that, and replaces the one before it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from greenroom.model.chat_token import LONGEST_SESSION_SECONDS, TOKEN_VALIDITY_SECONDS

MOST_RESTRICTIONS = 100_000
"""Restrictions that an account may have at once."""

LONGEST_SECONDS = 31_536_000
"""For how long one is at most, unless it is for ever."""

REASON_LENGTH = 256

ADDRESSES_MS = 24 * 3_600_000
"""For how long a restriction holds of addresses at most: soon they are somebody else's."""

ROLES = "ROLES"
"""The kind of entries that say which roles a user has, where they are found and listed."""

MOST_ROLES_KEPT = 100_000
"""Users of whom an account may have said so at once."""

ROLES_MS = (LONGEST_SESSION_SECONDS + TOKEN_VALIDITY_SECONDS) * 1000
"""For how long it counts: no token from before it is of use any more."""

MOST_ADDRESSES = 100
"""Addresses of which one restriction holds."""
FOR_EVER = 1 << 62

KEPT_MS = 90 * 24 * 3_600_000
"""How long what no longer counts is kept."""


class Kind(StrEnum):
    """The kinds of entries: restrictions, and notes."""

    BAN = "BAN"
    MUTE = "MUTE"
    SHADOW = "SHADOW"
    HOLD = "HOLD"
    MONITOR = "MONITOR"
    NOTE = "NOTE"

    @property
    def meaning(self) -> str:
        """Return what it does to the user."""
        return _MEANINGS[self]


_MEANINGS = {
    Kind.BAN: "is disconnected, and gets no token and no connection",
    Kind.MUTE: "reads and cannot write",
    Kind.SHADOW: "is seen by himself and moderators only, and not told",
    Kind.HOLD: "cannot have messages shown before somebody approved them",
    Kind.MONITOR: "is marked for moderators",
    Kind.NOTE: "nothing",
}

RESTRICTIONS = tuple(kind for kind in Kind if kind is not Kind.NOTE)
"""The kinds that restrict."""


OPERATIONS = {
    Kind.BAN: "BanUser",
    Kind.MUTE: "MuteUser",
    Kind.SHADOW: "ShadowBanUser",
    Kind.HOLD: "HoldUser",
    Kind.MONITOR: "MonitorUser",
}
"""The operation of each kind."""


class Restriction(msgspec.Struct, frozen=True, kw_only=True):
    """An entry. `scope` is the ARN of a room, or the account. Times in milliseconds, 0: never.

    `lifted` entries end what was before them. `addresses` are those of which it holds as well, each
    by a keyed hash, with its end, which is its own: what a moderator in the room lifts or replaces
    holds of them on. A note with `roles` says that the user has these in the room.
    """

    account: str
    scope: str
    user_id: str
    kind: Kind
    by: str
    at: int
    reason: str = ""
    expires: int = 0
    lifted: bool = False
    version: int = 0
    addresses: Mapping[str, int] = {}
    roles: tuple[str, ...] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what the latest entry counts of."""
        return self.scope, self.user_id, self.listed_kind

    @property
    def listed_kind(self) -> str:
        """Return the kind by which it is found and listed."""
        return str(self.kind) if self.roles is None else ROLES

    @property
    def replaces(self) -> bool:
        """Return whether the latest of its kind counts: of notes all do."""
        return self.kind is not Kind.NOTE or self.roles is not None

    @property
    def is_limited(self) -> bool:
        """Return whether an account may have so many at once only."""
        return self.restricts or self.roles is not None

    @property
    def is_of_account(self) -> bool:
        """Return whether it holds in all rooms."""
        return self.scope == self.account

    @property
    def restricts(self) -> bool:
        """Return whether it is neither the end of one nor a note."""
        return not self.lifted and self.kind is not Kind.NOTE

    @property
    def ends(self) -> int:
        """Return when it is over, if nothing comes behind it; a large number for never."""
        return self.at if self.lifted else self.expires or FOR_EVER

    def holds(self, now: int) -> bool:
        """Return whether it restricts somebody at a time, if nothing came behind it."""
        return self.restricts and now < self.ends

    def counts(self, now: int) -> bool:
        """Return whether it holds at a time, of the user or of addresses."""
        return self.holds(now) or any(now < ends for ends in self.addresses.values())

    def addresses_at(self, now: int) -> dict[str, int]:
        """Return the addresses of which it holds at a time, with their ends."""
        return {each: ends for each, ends in self.addresses.items() if now < ends}

    def at_time(self, now: int) -> "Restriction":
        """Return it without the addresses of which it holds no more: itself if there are none."""
        held = self.addresses_at(now)
        return self if held == self.addresses else msgspec.structs.replace(self, addresses=held)

    def until(self) -> str:
        """Return when it ends as ISO 8601, "" for never."""
        return iso(self.expires) if self.expires else ""


def iso(milliseconds: int) -> str:
    """Return a time as ISO 8601, in UTC and to the second above."""
    seconds = -(-milliseconds // 1000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
