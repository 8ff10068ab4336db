"""The bus of a single node: publishing is a call.

What rooms keep is in memory, and, where there is a keeper, with him for longer: a room is read from
there at most once while its ring is in memory, however many ask.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import structlog

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
    Keeper,
    Position,
    Recovered,
    Renew,
    RoomEnvelope,
)
from greenroom.bus.receivers import Receivers
from greenroom.bus.rings import Ring, Rings
from greenroom.model.errors import ServiceUnavailableException

FILL_SECONDS = 3.0
"""How long somebody waits for what is not in memory."""

log = structlog.get_logger()


_NONE = History.NONE  # looked up once: in Python 3.11 a member costs 50 ns each time


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
        self._keeper: Keeper | None = None
        # The rooms that he is told everything of.
        self._kept: Collection[str] = ()
        self._tasks: asyncio.TaskGroup | None = None
        self._filling: dict[str, asyncio.Task[None]] = {}

    def keep_with(self, keeper: Keeper, tasks: asyncio.TaskGroup) -> None:
        """Have somebody keep what rooms show, and read from him what is not in memory."""
        self._keeper, self._kept, self._tasks = keeper, keeper.rooms, tasks

    async def start(self) -> None:
        self._started = True

    def stop(self) -> None:
        self._started = False

    async def close(self) -> None:
        self.stop()

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
        if envelope.history is not _NONE or self.rings.bytes or self._kept or envelope.deletes:
            self.rings.take(room, position, (envelope,))
            if self._keeper is not None:
                self._keeper.take(room, envelope)
        if self._started and room in self._followed:
            arrival = Arrival(room, position, (envelope,))
            for receiver in self._arrivals:
                receiver(arrival)
        return position

    def kept(self) -> Awaitable[None] | None:
        return None if self._keeper is None else self._keeper.appended()

    def settled(self) -> None:
        """Return nothing to await: every outcome is known at once."""

    def since(self, room: str, message_id: str) -> Recovered | Awaitable[Recovered]:
        ring = self._ring(room)
        if ring.filled or message_id in ring.kept or self._keeper is None:
            return ring.since(message_id, self._position)
        return self._later(room, lambda ring: ring.since(message_id, self._position))

    def recent(self, room: str, count: int) -> Recovered | Awaitable[Recovered]:
        ring = self._ring(room)
        if ring.filled or ring.counted >= count or self._keeper is None:
            return ring.recent(count, self._position)
        return self._later(room, lambda ring: ring.recent(count, self._position))

    async def _later(self, room: str, answer: Callable[[Ring], Recovered]) -> Recovered:
        filling = self._filling.get(room)
        if filling is None:
            assert self._tasks is not None  # noqa: S101 - given with the keeper
            filling = self._filling[room] = self._tasks.create_task(self._fill(room))
            filling.add_done_callback(lambda _: self._filling.pop(room, None))
        # Others wait for it, too: who is cancelled does not end it.
        await asyncio.wait([filling])
        ring = self._ring(room)
        return ring.after_reading(answer(ring))

    async def _fill(self, room: str) -> None:
        ring = self.rings.of(room, self._position + 1)
        assert self._keeper is not None  # noqa: S101 - only then something is read
        try:
            async with asyncio.timeout(FILL_SECONDS):
                self.rings.fill(room, ring, await self._keeper.older(room))
        except (ServiceUnavailableException, TimeoutError) as error:
            log.warning("a room's history cannot be read now", reason=type(error).__name__)
        except Exception as error:
            # An exception that left this task would end the node.
            log.exception("reading a room's history crashed", error=type(error).__name__)

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
