"""`python -m benchmarks.uncounted serve`: the service with a fan-out that counts nothing.

`metrics.py` compares the service with it. What is left of the counting are three calls that do
nothing, two of each flush and one of each message.
"""

from greenroom import server
from greenroom.bus.base import Deliver, Disconnect
from greenroom.chat import Chat
from greenroom.cli.main import main
from greenroom.messaging.hub import Hub


class UncountedHub(Hub):
    """A hub whose numbers stay zero."""

    def _count(self, *_: object) -> None:
        """Count nothing."""

    def _measure(self, *_: object) -> None:
        """Measure nothing."""


class UncountedChat(Chat):
    """A chat whose numbers stay zero."""

    def _publish(self, envelope: Deliver | Disconnect) -> None:
        self._bus.publish(envelope)


if __name__ == "__main__":
    server.Hub = UncountedHub  # type: ignore[misc]
    server.Chat = UncountedChat  # type: ignore[misc]
    main()
