"""The rooms' line of a single node: what logs is published when its record is kept.

- A frame of a room with logging configurations has its place in the room's order from the moment
  of its grant; it is shown when its record is in the journal. Other rooms wait for nothing.
- A frame without configurations stays behind those of its room that wait.
"""

from collections import Counter
from collections.abc import Awaitable, Callable

from greenroom.bus.base import Arrival, Before, Debit, Grant, Position, RoomEnvelope
from greenroom.bus.memory import MemoryBus
from greenroom.chatlog.base import ChatLog
from greenroom.model.arn import Arn


class RecordedLine:
    """A `RoomLine` over the bus of one node."""

    def __init__(self, bus: MemoryBus, chat_log: ChatLog) -> None:
        self._bus = bus
        self._chat_log = chat_log
        self._time_ns = 0
        # By room, what was granted and waits for its record: all of it, and what counts for rates.
        self._waiting: Counter[str] = Counter()
        self._undebited: Counter[str] = Counter()
        self.skew_ns = bus.skew_ns

    def on_arrival(self, receiver: Callable[[Arrival], None]) -> None:
        self._bus.on_arrival(receiver)

    def on_debit(self, receiver: Debit) -> None:
        self._bus.on_debit(receiver)

    def follow(self, room: str) -> None:
        self._bus.follow(room)

    def unfollow(self, room: str) -> None:
        self._bus.unfollow(room)

    def kept(self) -> Awaitable[None] | None:
        return self._bus.kept()

    def settled(self) -> None:
        """Return nothing to await: the chat log's end settles what it has."""

    def publish(self, room: str, grant: Grant) -> Position | Awaitable[Position]:
        undebited = self._undebited[room] if self._undebited else 0
        envelope = grant(Before(self._time_ns, undebited))
        self._time_ns = envelope.time_ns
        if envelope.configurations or (self._waiting and room in self._waiting):
            return self._record(room, envelope)
        return self._bus.put(room, envelope)

    def _record(self, room: str, envelope: RoomEnvelope) -> Awaitable[Position]:
        place: list[Position] = []
        counts = 1 if envelope.rate else 0
        _add(self._waiting, room, 1)
        _add(self._undebited, room, counts)

        def publish() -> None:
            _add(self._waiting, room, -1)
            _add(self._undebited, room, -counts)
            place.append(self._bus.put(room, envelope))

        recorded = self._chat_log.record(
            Arn.parse(room), envelope.configurations, envelope.payload, envelope.time_ns, publish
        )
        return _placed(recorded, place)


async def _placed(recorded: Awaitable[None], place: list[Position]) -> Position:
    await recorded
    return place[0]


def _add(counts: Counter[str], room: str, number: int) -> None:
    """Change a count; rooms without one are not kept."""
    counts[room] += number
    if not counts[room]:
        del counts[room]
