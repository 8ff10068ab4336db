"""Pins: messages that a room shows for longer than they are new."""

import msgspec

MOST_PINS = 3
"""How many a room has at once."""

LONGEST_SECONDS = 31_536_000
"""For how long one is at most, unless it is until it is taken down."""


class Pin(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pinned message, whole as its frame's JSON: it may be kept nowhere else any more.

    Times are in milliseconds since the epoch; `expires` 0 is never.
    """

    message_id: str
    frame: str
    by: str
    at: int
    expires: int = 0

    def holds(self, now: int) -> bool:
        """Return whether it is there at a time."""
        return not self.expires or now < self.expires
