"""The port to messages that were sent over HTTP; its guarantees are those of `storage.base`."""

from typing import Protocol

from greenroom.model.sent_message import SentMessage


class SentMessages(Protocol):
    """What was sent with which `requestId`, for ten minutes."""

    async def claim(self, sent: SentMessage) -> SentMessage | None:
        """Keep it and return None, or return what is remembered with its key.

        Of any number of calls with one key exactly one keeps it, whoever makes them. What no
        longer counts at the time at which it was asked is replaced.
        """

    async def settle(self, sent: SentMessage) -> None:
        """Keep when the message that was claimed was sent."""

    async def release(self, sent: SentMessage) -> None:
        """Forget what was claimed, and not sent: whoever asks again sends it anew."""
