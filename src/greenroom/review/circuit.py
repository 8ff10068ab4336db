"""A circuit breaker: after failures in a row nobody asks for a while, then one asks for all.

Closed it admits everybody. Opened, it admits nobody until its seconds are over, then one probe at
a time: the probe's success closes it, its failure keeps it open for as long again.
"""


class Circuit:
    """The circuit of one handler; `failures` 0 never opens it. Times are monotonic seconds."""

    def __init__(self, failures: int, seconds: float) -> None:
        self._limit = failures
        self._seconds = seconds
        self._failures = 0
        self._opened: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether the last word about the handler is that it does not answer."""
        return self._opened is not None

    def admits(self, now: float) -> bool:
        """Return whether the handler may be asked; who is admitted must tell how it went."""
        if self._opened is None:
            return True
        if self._probing or now < self._opened + self._seconds:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """Note an answer, right or wrong."""
        self._failures = 0
        self._opened = None
        self._probing = False

    def failed(self, now: float) -> None:
        """Note that there was no answer."""
        self._failures += 1
        if self._limit and (self._probing or self._failures >= self._limit):
            self._opened = now
            self._probing = False

    def abandoned(self) -> None:
        """Note that somebody who was admitted will not learn how it went."""
        self._probing = False
