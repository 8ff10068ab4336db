"""Looks at the streams now and then, and tells when they have no leader, or lack copies.

Rooms of a stream without a leader stand still, and their senders are told so. A copy that is
missing nobody notices: the next server that is lost would be noticed by all.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from greenroom.bus.figures import StreamsFound
from greenroom.telemetry.metrics import Metrics

LOOK_SECONDS = 5.0
"""How often a node looks; in a cluster of more nodes each looks once in as many seconds."""

PATIENT_LOOKS = 2
"""Copies catch up after each start of a server: they lack when they did so many times in a row."""

Wait = Callable[[float], Awaitable[None]]

log = structlog.get_logger()


class StreamWatch:
    """Keeps the figures of the streams; `run` never ends."""

    def __init__(
        self,
        look: Callable[[], Awaitable[StreamsFound | None]],
        metrics: Metrics,
        nodes: Callable[[], int],
        wait: Wait = asyncio.sleep,
    ) -> None:
        """Make it; `look` returns None where nobody could be asked, which others tell of."""
        self._look = look
        self._nodes = nodes
        self._wait = wait
        self._found = StreamsFound()
        self._lacking = 0
        self._told_lacking = False
        self._told_leaderless = False
        metrics.streams_without_leader.read = lambda: len(self._found.leaderless)
        metrics.stream_copies_behind.read = lambda: self._found.copies_behind
        metrics.stream_fullness.read = lambda: self._found.fullest

    async def run(self) -> None:
        """Look for as long as the node runs."""
        while True:
            await self._wait(max(LOOK_SECONDS, float(self._nodes())))
            try:
                found = await self._look()
            except Exception as error:
                log.exception("looking at streams crashed", error=type(error).__name__)
                continue
            if found is not None:
                self.take(found)

    def take(self, found: StreamsFound) -> None:
        """Take what was found, and tell what is new."""
        self._found = found
        self._tell_leaders(found)
        self._lacking = self._lacking + 1 if found.copies_behind else 0
        if self._lacking >= PATIENT_LOOKS and not self._told_lacking:
            self._told_lacking = True
            log.warning(
                "streams lack copies: a NATS server is away, or catches up",
                copies=found.copies_behind,
                servers=", ".join(found.servers_behind),
            )
        elif not self._lacking and self._told_lacking:
            self._told_lacking = False
            log.info("streams have all copies again")

    def _tell_leaders(self, found: StreamsFound) -> None:
        if bool(found.leaderless) is self._told_leaderless:
            return
        self._told_leaderless = bool(found.leaderless)
        if found.leaderless:
            names = ", ".join(found.leaderless[:4])
            log.error("streams have no leader", streams=len(found.leaderless), named=names)
        else:
            log.info("streams have leaders again")
