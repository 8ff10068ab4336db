"""Whether a store in memory is open: its ports ask at each call."""

from greenroom.storage import rules


class Opened:
    """Open until it is closed."""

    def __init__(self) -> None:
        self._closed = False

    def check(self) -> None:
        """Return while it is open.

        Raises:
            StorageUnavailable: it was closed.
        """
        if self._closed:
            raise rules.closed()

    def close(self) -> None:
        """Refuse all later calls."""
        self._closed = True
