"""The end of an encrypted connection that somebody broke."""

from collections.abc import Sequence


class TlsFault(ConnectionError):
    """What came is no TLS, or not the peer's; `received` are the records that came before it."""

    def __init__(self, error: Exception, received: Sequence[bytes] = ()) -> None:
        """Say what OpenSSL says: its short reason, which has nothing of what was sent."""
        super().__init__(getattr(error, "reason", None) or type(error).__name__)
        self.received = received
