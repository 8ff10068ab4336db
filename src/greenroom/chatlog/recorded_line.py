"""The rooms' line of a single node: what logs is published when its record is kept.

- A frame of a room with logging configurations has its place in the room's order from the moment
  of its grant; it is shown when its record is in the journal. Other rooms wait for nothing.
- A frame without configurations stays behind those of its room that wait.
- A message that viewers see later is shown to the others when it is kept.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from greenroom.bus.base import Arrival, Before, Debit, Grant, Position, RoomEnvelope, Stage
from greenroom.bus.memory import MemoryBus
from greenroom.chatlog.base import ChatLog
from greenroom.model.arn import Arn


class Holding(Protocol):
    """Keeps messages that wait until viewers may see them."""

    def keep(
        self, room: str, envelope: RoomEnvelope, show: Callable[[], None]
    ) -> "asyncio.Future[None]":
        """Keep one, then show it to who sees it at once; raise StorageUnavailable if it is not."""

    def deleted(self, room: str, ids: Collection[str]) -> None:
        """Take note of what nobody is to be shown any more."""

    @property
    def is_settled(self) -> bool:
        """Return whether nothing is kept that no longer waits."""

    async def settle(self) -> None:
        """Keep it no longer, and have kept what was shown."""


NONE, RELEASED = Stage.NONE, Stage.RELEASED
# Looked up once: in Python 3.11 a member costs 50 ns each time.


class RecordedLine:
    """A `RoomLine` over the bus of one node."""

    def __init__(self, bus: MemoryBus, chat_log: ChatLog, holding: Holding | None = None) -> None:
        """Make it; without `holding` no message may wait."""
        self._bus = bus
        self._chat_log = chat_log
        self._holding = holding
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
        if self._holding is None or self._holding.is_settled:
            return self._bus.kept()
        return self._holding.settle()

    def settled(self) -> None:
        """Return nothing to await: the chat log's end settles what it has."""

    def publish(self, room: str, grant: Grant) -> Position | Awaitable[Position]:
        undebited = self._undebited[room] if self._undebited else 0
        envelope = grant(Before(self._time_ns, undebited))
        self._time_ns = envelope.time_ns
        if self._holding is not None:
            if envelope.deletes:
                self._holding.deleted(room, envelope.deletes)
            elif envelope.stage is not NONE and envelope.stage.waits:
                return self._hold(self._holding, room, envelope)
        if envelope.configurations or (self._waiting and room in self._waiting):
            return self._record(room, envelope)
        return self._bus.put(room, envelope)

    def _hold(self, holding: Holding, room: str, envelope: RoomEnvelope) -> Awaitable[Position]:
        place: list[Position] = []
        counts = [1] if envelope.rate else []
        _add(self._undebited, room, len(counts))

        def ended(_: object = None) -> None:
            # Once: who was cancelled does not wait for it, and it is shown all the same.
            if counts:
                _add(self._undebited, room, -counts.pop())

        def show() -> None:
            ended()
            place.append(self._bus.put(room, envelope))

        kept = holding.keep(room, envelope, show)
        kept.add_done_callback(ended)
        return _placed(kept, place)

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
            Arn.parse(room),
            envelope.configurations,
            envelope.payload,
            envelope.time_ns,
            publish,
            envelope.id if envelope.stage is RELEASED else "",
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
