"""The tails of a node, one for each stream, and what it says of them."""

import asyncio
from collections.abc import Iterable

import msgspec
import structlog

from greenroom.chatlog.tail import Tail, TailSurroundings

TOLD_EVERY_SECONDS = 600.0
"""How often the log tells that streams still cannot be read."""

log = structlog.get_logger()


class Tails:
    """Reads all streams for which this node gets the leases."""

    def __init__(self, around: TailSurroundings) -> None:
        around = msgspec.structs.replace(around, failed=self._note)
        self._tails = [Tail(stream, around) for stream in range(around.streams.count)]
        self._failing: set[int] = set()
        self._clock = around.clock
        self._told_at = -TOLD_EVERY_SECONDS

    def start(self, tasks: asyncio.TaskGroup) -> Iterable[asyncio.Task[None]]:
        """Begin to read; return the tasks, which end when they are cancelled."""
        return [tasks.create_task(tail.run()) for tail in self._tails]

    @property
    def lag_seconds(self) -> float:
        """Return how old the oldest message is that may be missing in the journal."""
        return max((tail.lag_seconds for tail in self._tails), default=0.0)

    def _note(self, stream: int, why: str | None) -> None:
        """Tell when streams cannot be read, now and then, and when all can be again."""
        if why is None:
            if self._failing == {stream}:
                self._told_at = -TOLD_EVERY_SECONDS
                log.warning("chat logs are no longer behind: streams are read again")
            self._failing.discard(stream)
            return
        self._failing.add(stream)
        now = self._clock.monotonic()
        if now - self._told_at >= TOLD_EVERY_SECONDS:
            self._told_at = now
            log.error("chat logs are behind: streams cannot be read", reason=why)
