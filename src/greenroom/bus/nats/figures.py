"""What a bus counts of its work, and how it tells of what goes wrong without a line for each."""

import time
from collections import Counter
from enum import StrEnum

import msgspec
import structlog

QUIET_SECONDS = 10.0
"""How long nothing more is logged of one kind of fault."""

log = structlog.get_logger()


class Repair(StrEnum):
    """Why a room was read again, as the metric names it."""

    OPENED = "opened"
    CONNECTED = "connected"
    GAP = "gap"
    LEADER = "leader"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    BEHIND = "behind"


class Figures(msgspec.Struct):
    """Plain numbers, which `/metrics` reads."""

    connected: bool = False
    reconnects: int = 0
    published: int = 0
    """Batches of this node that got their place."""
    received: int = 0
    conflicts: int = 0
    """Attempts that lost against another node's, and were decided again."""
    unavailable: int = 0
    """Publications whose outcome stayed open, or that were not taken for want of place."""
    void: int = 0
    """Batches that were stored too late to be shown."""
    undecodable: int = 0
    resets: int = 0
    """Rooms whose stream had lost what this node had seen."""
    waiting: int = 0
    """Publications that wait for their outcome now."""
    rooms: int = 0
    """Rooms that this node listens to now."""
    repairs: Counter[str] = msgspec.field(default_factory=Counter)
    _told: dict[str, float] = {}

    def tell(self, event: str, **details: object) -> None:
        """Log a warning, unless the same was logged a moment ago."""
        now = time.monotonic()
        if now - self._told.get(event, -QUIET_SECONDS) >= QUIET_SECONDS:
            self._told[event] = now
            log.warning(event, **details)
