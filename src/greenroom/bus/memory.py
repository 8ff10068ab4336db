"""The bus of a single node: publishing is a call."""

from collections.abc import Callable

from greenroom.bus.base import (
    About,
    Arrival,
    Before,
    ControlEnvelope,
    Debit,
    E,
    Grant,
    History,
    InMemory,
    Position,
    Recovered,
    Renew,
    RoomEnvelope,
)
from greenroom.bus.receivers import Receivers
from greenroom.bus.rings import Ring, Rings


class MemoryBus:
    """Hands each envelope to this node's receivers at once, in order."""

    skew_ns = 0
    figures = None

    def __init__(self) -> None:
        self._started = False
        self._followed: set[str] = set()
        # One count, and one last send time, for all rooms: both rise in each of them.
        self._position: Position = 0
        self._time_ns = 0
        self._debits: list[Debit] = []
        self._arrivals: list[Callable[[Arrival], None]] = []
        self._receivers = Receivers()
        self.rings = Rings()

    async def start(self) -> None:
        self._started = True

    async def close(self) -> None:
        self._started = False

    def on_arrival(self, receiver: Callable[[Arrival], None]) -> None:
        self._arrivals.append(receiver)

    def on_debit(self, receiver: Debit) -> None:
        self._debits.append(receiver)

    def follow(self, room: str) -> None:
        self._followed.add(room)

    def unfollow(self, room: str) -> None:
        self._followed.discard(room)

    def publish(self, room: str, grant: Grant) -> Position:
        """Publish; the outcome is known at once, and nobody else can have been faster."""
        return self.put(room, grant(Before(self._time_ns, 0)))

    def put(self, room: str, envelope: RoomEnvelope) -> Position:
        """Give a granted envelope its place, and to the receivers."""
        self._time_ns = envelope.time_ns
        self._position = position = self._position + 1
        if envelope.rate:
            for debit in self._debits:
                debit(room, envelope.rate, 0.0)
        if envelope.history is not History.NONE or self.rings.bytes:
            self.rings.take(room, position, (envelope,))
        if self._started and room in self._followed:
            arrival = Arrival(room, position, (envelope,))
            for receiver in self._arrivals:
                receiver(arrival)
        return position

    def settled(self) -> None:
        """Return nothing to await: every outcome is known at once."""

    def since(self, room: str, message_id: str) -> Recovered:
        """Return it; what is not in memory is not known: there is no stream to read it from."""
        return self._ring(room).since(message_id, self._position)

    def recent(self, room: str, count: int) -> Recovered:
        return self._ring(room).recent(count, self._position)

    def newest(self, room: str) -> RoomEnvelope | None:
        return self._ring(room).newest()

    def here(self, room: str) -> InMemory:
        return self.rings.here(room)

    def _ring(self, room: str) -> Ring:
        return self.rings.find(room) or Ring(self._position)

    def on(self, kind: type[E], receiver: Callable[[E], None]) -> None:
        self._receivers.on(kind, receiver)

    def on_reset(self, receiver: Renew) -> None:
        """Do nothing: a call is never missed."""

    def broadcast(self, envelope: ControlEnvelope) -> None:
        if self._started:
            self._receivers.tell(envelope)

    def announce(self, payload: bytes, about: About = About.PRESENCE) -> None:
        """Do nothing: there is no other node."""

    def on_announcement(
        self, receiver: Callable[[bytes], None], about: About = About.PRESENCE
    ) -> None:
        """Do nothing: no other node tells anything."""
