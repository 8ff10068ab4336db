"""A bus of one node that keeps what went through it."""

from greenroom.bus.base import ControlEnvelope, Position, RoomEnvelope
from greenroom.bus.memory import MemoryBus


class ListeningBus(MemoryBus):
    """Keeps all envelopes in their order, also those of rooms that nobody follows."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[RoomEnvelope | ControlEnvelope] = []
        self.rooms: list[str] = []
        """The room of each publication."""

    def put(self, room: str, envelope: RoomEnvelope) -> Position:
        self.published.append(envelope)
        self.rooms.append(room)
        return super().put(room, envelope)

    def broadcast(self, envelope: ControlEnvelope) -> None:
        self.published.append(envelope)
        super().broadcast(envelope)
