"""Single attempts to deliver, and what a row of them has shown of a destination."""

import asyncio
from collections.abc import Sequence

import structlog

from greenroom.chatlog.base import Destination, DestinationFailed, FailureKind, Target
from greenroom.chatlog.waiting import Backoff
from greenroom.model.log_record import Record

ATTEMPT_SECONDS = 300
"""How long a destination may take for one batch."""

CHECK_SECONDS = 5
"""How long a destination may take to say whether it can be written to."""

LASTING_ATTEMPTS = 3
"""Failures in a row after which a missing or forbidden destination is so for long."""

_LASTING = frozenset({FailureKind.NOT_FOUND, FailureKind.ACCESS_DENIED})

log = structlog.get_logger()


async def attempt(
    destination: Destination, target: Target, records: Sequence[Record]
) -> tuple[DestinationFailed | None, int]:
    """Return why the destination did not keep the records, or None and how many it refused."""
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            return None, await destination.deliver(target, records)
    except DestinationFailed as failure:
        return failure, 0
    except TimeoutError:
        why = f"no answer within {ATTEMPT_SECONDS} seconds"
        return DestinationFailed(FailureKind.OTHER, why), 0
    except Exception as error:
        log.exception("chat log destination crashed", error=type(error).__name__)
        return DestinationFailed(FailureKind.OTHER, "its adapter crashed"), 0


async def check(destination: Destination, target: Target) -> str | None:
    """Return why the destination cannot be written to, or None when it can."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await destination.check(target)
    except DestinationFailed as failure:
        return failure.why
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS} seconds"
    except Exception as error:
        log.exception("chat log destination crashed", error=type(error).__name__)
        return "its adapter crashed"
    return None


class Trouble:
    """What the last attempts have shown: `kind` of the last failure, None after a success.

    `works` is True after a success only, until `doubt`; `retry_at` is the monotonic time of the
    next attempt.
    """

    def __init__(self, backoff: Backoff) -> None:
        self._backoff = backoff
        self._row = 0
        self.kind: FailureKind | None = None
        self.works = False
        self.retry_at = 0.0

    @property
    def lasts(self) -> bool:
        """Whether the destination is missing or forbidden for long."""
        return self._row >= LASTING_ATTEMPTS

    def note(self, kind: FailureKind, now: float) -> None:
        """Count a failure."""
        self.kind = kind
        self.works = False
        self._row = self._row + 1 if kind in _LASTING else 0
        self.retry_at = now + self._backoff.next()

    def forgive(self) -> None:
        """Count anew, and try at once: it may be another destination."""
        self._row = 0
        self.retry_at = 0.0
        self._backoff.reset()

    def doubt(self) -> None:
        """Take a success back: the configuration was changed since, perhaps to another place."""
        self.works = False

    def end(self) -> None:
        """Note a success."""
        self.forgive()
        self.kind = None
        self.works = True
