"""Records that were dropped: each is counted at once, and the log tells of them now and then."""

from collections.abc import Callable

import structlog

from greenroom.chatlog.record import timestamp
from greenroom.clock import Clock
from greenroom.model.arn import Arn

TOLD_EVERY_SECONDS = 60.0
"""How often the log tells how many records were dropped since the last time."""

log = structlog.get_logger()


class Drops:
    """What was dropped in one place; `fields` stand in its log lines."""

    def __init__(self, clock: Clock, count: Callable[[Arn, int], None], **fields: str) -> None:
        self._clock = clock
        self._count = count
        self._fields = fields
        self._untold = 0
        self._why = ""
        self._since_ns = self._until_ns = 0
        self._told_at = -TOLD_EVERY_SECONDS
        self.total = 0

    def add(self, configuration: Arn, records: int, why: str, since_ns: int, until_ns: int) -> None:
        """Count dropped records, and tell of them unless something was told just now.

        All of them are of the time from `since_ns` to `until_ns`.
        """
        self._since_ns = min(self._since_ns, since_ns) if self._untold else since_ns
        self._until_ns = max(self._until_ns, until_ns) if self._untold else until_ns
        self._count(configuration, records)
        self._untold += records
        self.total += records
        self._why = why
        self.tell()

    def tell(self, *, at_once: bool = False) -> None:
        """Tell of what was not told yet."""
        now = self._clock.monotonic()
        if self._untold and (at_once or now - self._told_at >= TOLD_EVERY_SECONDS):
            records, self._untold, self._told_at = self._untold, 0, now
            log.error(
                "chat log records dropped",
                records=records,
                since=timestamp(self._since_ns).decode(),
                until=timestamp(self._until_ns).decode(),
                reason=self._why,
                **self._fields,
            )
