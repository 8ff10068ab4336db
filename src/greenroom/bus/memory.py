"""The bus of a single node: publishing is a call."""

from greenroom.bus.base import Envelope, Receiver


class MemoryBus:
    """Hands each envelope to this node's receiver at once, in order."""

    def __init__(self) -> None:
        self._receiver: Receiver | None = None

    async def start(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def publish(self, envelope: Envelope) -> None:
        if self._receiver is not None:
            self._receiver(envelope)

    async def close(self) -> None:
        self._receiver = None
