"""Who wants to hear which news: receivers by the type of envelope, for every adapter."""

from collections.abc import Callable
from typing import Any

from greenroom.bus.base import ControlEnvelope, E


class Receivers:
    """Tells each envelope to those who asked for its type, as they subscribed."""

    def __init__(self) -> None:
        # Any: a receiver takes its own type, and is looked up by the envelope's.
        self._receivers: dict[type, list[Callable[[Any], None]]] = {}

    def on(self, kind: type[E], receiver: Callable[[E], None]) -> None:
        """Call the receiver with every envelope of one type."""
        self._receivers.setdefault(kind, []).append(receiver)

    def tell(self, envelope: ControlEnvelope) -> None:
        """Call those who asked for the envelope's type."""
        for receiver in self._receivers.get(type(envelope), ()):
            receiver(envelope)
