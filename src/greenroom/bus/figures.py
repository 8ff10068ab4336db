"""What a bus counts of its work, and how it tells of what goes wrong without a line for each."""

import time
from collections import Counter
from enum import StrEnum
from typing import Protocol

import msgspec
import structlog

STUCK_SECONDS = 60.0
"""How long a stream that took nothing is taken for one that takes nothing."""

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


class HistoryFigures(Protocol):
    """What rooms keep in memory, in bytes, and how often one's was dropped for want of room."""

    @property
    def bytes(self) -> int: ...
    @property
    def dropped(self) -> int: ...


class StreamsFound(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of all streams: names of those without a leader, and copies that lag."""

    leaderless: tuple[str, ...] = ()
    copies_behind: int = 0
    servers_behind: tuple[str, ...] = ()
    fullest: float = 0.0
    """How much of its bytes the fullest one uses, from 0 to 1."""


class Figures(msgspec.Struct):
    """Plain numbers, which `/metrics` reads, and tells what each is."""

    connected: bool = False
    storing: bool = True
    reconnects: int = 0
    published: int = 0
    received: int = 0
    conflicts: int = 0
    unavailable: int = 0
    void: int = 0
    undecodable: int = 0
    resets: int = 0
    waiting: int = 0
    rooms: int = 0
    repairs: Counter[str] = msgspec.field(default_factory=Counter)
    refusing: dict[str, float] = {}
    """Streams that took something too late or not at all, and when that was noticed last."""
    _told: dict[str, float] = {}

    @property
    def serving(self) -> bool:
        """Return whether what is sent is stored."""
        return self.connected and self.storing

    @property
    def stuck(self) -> list[str]:
        """Return the streams of rooms that take nothing, as it was noticed lately."""
        since = time.monotonic() - STUCK_SECONDS
        return sorted(stream for stream, at in self.refusing.items() if at > since)

    @property
    def faults(self) -> dict[str, int]:
        """Return what should not be, by kind."""
        return {"void": self.void, "undecodable": self.undecodable, "lost": self.resets}

    def tell(self, event: str, **details: object) -> None:
        """Log a warning, unless the same was logged a moment ago."""
        now = time.monotonic()
        if now - self._told.get(event, -QUIET_SECONDS) >= QUIET_SECONDS:
            self._told[event] = now
            log.warning(event, **details)
