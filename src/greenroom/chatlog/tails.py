"""The tails of a node, one for each stream, and what it says of them."""

import asyncio
from collections.abc import Iterable

import msgspec
import structlog

from greenroom.chatlog.share import Share
from greenroom.chatlog.tail import Failure, Tail, TailSurroundings

WARNED_AFTER_SECONDS = 15.0
"""How long it is no news that a stream cannot be read: a new leader is elected in 10 seconds."""

ALARMED_AFTER_SECONDS = 300.0
"""When it is an error: a stream keeps what is not on record for an hour."""

TOLD_EVERY_SECONDS = 600.0
"""How often the log tells then that they still cannot be."""

log = structlog.get_logger()


class Tails:
    """Reads all streams for which this node gets the leases."""

    def __init__(self, around: TailSurroundings) -> None:
        around = msgspec.structs.replace(around, failed=self._note)
        share = Share[int](around.nodes, around.clock)
        self._tails = [Tail(stream, around, share) for stream in range(around.streams.count)]
        self._clock = around.clock
        # Since when streams cannot be read.
        self._failing: dict[int, float] = {}
        self._warned = False
        self._alarmed_at: float | None = None

    def start(self, tasks: asyncio.TaskGroup) -> Iterable[asyncio.Task[None]]:
        """Begin to read; return the tasks, which end when they are cancelled."""
        return [tasks.create_task(tail.run()) for tail in self._tails]

    @property
    def lag_seconds(self) -> float:
        """Return how old the oldest message is that may be missing in the journal."""
        return max((tail.lag_seconds for tail in self._tails), default=0.0)

    @property
    def lags(self) -> dict[int, float]:
        """Return that age of each stream that this node reads, by its number."""
        return {
            number: tail.lag_seconds for number, tail in enumerate(self._tails) if tail.is_reading
        }

    def _note(self, stream: int, failure: Failure | None) -> None:
        """Tell when streams cannot be read for long, and when all can be again."""
        if failure is not None:
            self._failing.setdefault(stream, self._clock.monotonic())
            self._tell(failure)
            return
        self._failing.pop(stream, None)
        if self._warned and not self._failing:
            self._warned, self._alarmed_at = False, None
            log.warning("chat logs are no longer behind: all streams are read again")

    def _tell(self, failure: Failure) -> None:
        now, since = self._clock.monotonic(), min(self._failing.values())
        event, seconds = f"chat logs are behind: {failure.cause}", round(now - since)
        if now - since >= ALARMED_AFTER_SECONDS:
            if self._alarmed_at is None or now - self._alarmed_at >= TOLD_EVERY_SECONDS:
                self._warned, self._alarmed_at = True, now
                log.error(event, reason=failure.reason, seconds=seconds)
        elif now - since >= WARNED_AFTER_SECONDS and not self._warned:
            self._warned = True
            log.warning(event, reason=failure.reason, seconds=seconds)
