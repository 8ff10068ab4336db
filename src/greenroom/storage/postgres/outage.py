"""Whether the database fails: said once when that begins and ends, and no call waits for nothing.

In the first seconds calls wait and try again: a restart goes by without an error. After that they
fail at once, but for one now and then, which looks once.
"""

import asyncio

import structlog

from greenroom.storage.postgres.failures import reason, unavailable

LOOK_SECONDS = 0.5
"""How often a call looks whether the database answers again."""

_log = structlog.get_logger()


class Outage:
    """One kind of call: "reads" or "writes"; patience is in seconds."""

    def __init__(self, kind: str, patience: float) -> None:
        self._kind = kind
        self._patience = patience
        self._began: float | None = None
        self._error: Exception = TimeoutError()
        self._look_at = 0.0
        self._said = False

    def patience(self) -> float:
        """Return for how many seconds a call may try.

        Raises:
            StorageUnavailable: the database has been failing for long, and was just asked.
        """
        if self._began is None or _now() < self._began + self._patience:
            return self._patience
        if _now() < self._look_at:
            raise unavailable(self._error)
        self._look_at = _now() + LOOK_SECONDS
        return 0

    def lost(self, error: Exception) -> None:
        """Note that the database could not be asked."""
        self._error = error
        if self._began is None:
            self._began = _now()

    def gave_up(self, error: Exception) -> None:
        """Note that a call has failed."""
        if not self._said:
            self._said = True
            _log.error("store cannot answer", calls=self._kind, reason=reason(error))

    def reached(self) -> None:
        """Note that there is a database, whatever it answers."""
        self._began = None

    def answered(self) -> None:
        """Note that the database has done what it was asked."""
        self.reached()
        if self._said:
            self._said = False
            _log.warning("store answers again", calls=self._kind)


def _now() -> float:
    return asyncio.get_running_loop().time()
