"""What is to be published in a room, and an attempt to do so.

It has one outcome: that of the first attempt that is stored, or an error.
"""

import asyncio
from collections.abc import Sequence

from greenroom.bus.base import BusUnavailable, Grant, Position

UNKNOWN = "It is not known whether this is published, and it may be shown later"
UNPUBLISHED = "This is not published"
"""What BusUnavailable says of what was sent to the stream, and of what was not.

The stamp of a message is that of the leader's proposal: servers that lost their quorum behind it
store it when they are back, as if it had been in time. Nothing tells the two apart.
"""


class Publication:
    """What somebody wants to publish; `deadline` is on the monotonic clock.

    `sent` is whether a batch with it went to the stream, which may store it whenever it can again.
    `refusal` is why it was refused, if it was, when it was to be sent once more.
    """

    __slots__ = ("deadline", "future", "grant", "refusal", "sent")

    def __init__(self, grant: Grant, future: "asyncio.Future[Position]", deadline: float) -> None:
        self.grant = grant
        self.future = future
        self.deadline = deadline
        self.sent = False
        self.refusal: Exception | None = None

    def refuse(self) -> None:
        """Tell whoever waits that it was refused, which nothing that was sent has outrun."""
        if self.refusal is not None:
            self.fail(self.refusal)

    def unavailable(self, why: str) -> None:
        """Tell whoever waits that there is no outcome; `why` is why."""
        text = f"{UNKNOWN if self.sent else UNPUBLISHED}: {why}"
        self.fail(BusUnavailable(text, is_open=self.sent))

    def fail(self, error: BaseException) -> None:
        """Tell whoever waits."""
        if not self.future.done():
            self.future.set_exception(error)


class Attempt:
    """A batch that was sent, and may be stored until `until` on the monotonic clock."""

    __slots__ = (
        "body",
        "counted",
        "made",
        "number",
        "predecessor",
        "publications",
        "refused",
        "sent",
        "token",
        "until",
    )

    def __init__(
        self, number: int, predecessor: int, publications: Sequence[Publication], until: float
    ) -> None:
        self.number = number
        self.predecessor = predecessor
        self.publications = publications
        self.until = until
        self.body = b""
        self.token = b""
        # Whether it is known, and counted, that it lost.
        self.counted = False
        # On the monotonic clock: when it was decided, and when it was sent last.
        self.made = self.sent = 0.0
        self.refused = False
