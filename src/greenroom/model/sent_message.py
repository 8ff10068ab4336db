"""What is remembered of messages that were sent over HTTP: the same again is answered the same."""

import msgspec

KEPT_MS = 600_000
"""For how long a `requestId` stands for the message that it was first given for: ten minutes."""

PENDING_MS = 15_000
"""What has no outcome for so long never gets one: it takes a review, and a place in the room."""


class SentMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message by the `requestId` that it was sent with.

    `key` stands for the room and the `requestId`, `fingerprint` for all else that was asked.
    `time_ns` is its SendTime, 0: there is no outcome yet, or none is known. Times beside that are
    in milliseconds.
    """

    key: str
    fingerprint: str
    message_id: str
    asked_at: int
    time_ns: int = 0

    def counts(self, now: int) -> bool:
        """Return whether it is remembered at a time."""
        return now < self.asked_at + KEPT_MS

    def is_pending(self, now: int) -> bool:
        """Return whether its outcome may still come."""
        return not self.time_ns and now < self.asked_at + PENDING_MS
