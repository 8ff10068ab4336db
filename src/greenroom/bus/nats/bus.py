"""The bus of a cluster: rooms, control and announcements over one connection to NATS.

A new connection serves nothing before the streams are looked at and every cache is forgotten: what
was told while there was none may have been missed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
import structlog

from greenroom.bus.base import (
    About,
    Arrival,
    ControlEnvelope,
    Debit,
    E,
    Grant,
    InMemory,
    Older,
    Position,
    Recovered,
    Renew,
    RoomEnvelope,
)
from greenroom.bus.figures import Figures, StreamsFound
from greenroom.bus.nats import provided, subjects
from greenroom.bus.nats.connection import Connection, Options
from greenroom.bus.nats.history import StreamHistory
from greenroom.bus.nats.lines import Lines, Patience
from greenroom.bus.nats.news import ControlNews
from greenroom.bus.nats.stored import StoredStreams
from greenroom.bus.nats.survey import summary, survey
from greenroom.bus.rings import Rings
from greenroom.clock import Clock
from greenroom.process.randomness import new_id

START_SECONDS = 15.0
"""How long a start waits for NATS: a cluster that has just begun elects its leaders."""

LAST_SECONDS = 2.0
"""How long the end waits for news that were not sent yet."""

log = structlog.get_logger()

LEADERS = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.*"


class NatsBus:
    """Fulfils `bus.base.Bus` between all nodes that have the same servers and account."""

    def __init__(
        self, options: Options, clock: Clock | None = None, patience: Patience | None = None
    ) -> None:
        self._clock = clock or Clock()
        self._options = options
        self.figures = Figures()
        self.node = new_id()
        self._connection = Connection(
            options, self.node, self.figures, prepare=self._prepare, up=self._up, down=self._down
        )
        self._lines = Lines(
            self._connection, self.node, self.figures, self._clock, patience or Patience()
        )
        self._history = StreamHistory(self._lines, self._connection.started)
        self._news = ControlNews(
            self._connection, self.node, self.figures, (patience or Patience()).outcome
        )
        self._announced: dict[About, list[Callable[[bytes], None]]] = {each: [] for each in About}
        self._ahead_ns: list[int] = []
        self._told = False
        self.streams = StoredStreams(self._connection)
        """What is stored, for who keeps it for longer."""

    @classmethod
    async def open(
        cls,
        options: Options,
        clock: Clock | None = None,
        patience: Patience | None = None,
        seconds: float = START_SECONDS,
    ) -> "NatsBus":
        """Connect, and make or check the streams.

        Raises:
            BusRefused: no server can be used in that time, or a stream is not what it must be.
        """
        bus = cls(options, clock, patience)
        try:
            await bus._connection.open(seconds)
        except BaseException:
            await bus._connection.close()
            raise
        if bus._connection.copies > 1 and len(options.servers) == 1:
            log.warning(
                "bus names one server of a cluster: while that one is away this node has none",
                copies=bus._connection.copies,
            )
        bus._connection.start(bus._lines.look_after)
        bus._connection.start(bus._news.send)
        return bus

    async def start(self) -> None:
        self._tell(told=True)

    def stop(self) -> None:
        self._tell(told=False)

    async def close(self) -> None:
        self.stop()
        await self._news.flush(LAST_SECONDS)
        self._lines.end()
        await self._connection.close()

    def _tell(self, *, told: bool) -> None:
        self._told = told
        self._lines.tell(told=told)
        self._news.tell(told=told)

    async def look_at_streams(self) -> StreamsFound | None:
        """Return how the streams are; None while there is no connection."""
        if not self._connection.is_up:
            return None
        found = await survey(self._connection, self._options, self._clock.wall_ns)
        # A connection that ended meanwhile says nothing of the streams.
        return summary(found) if self.figures.connected else None

    async def end_connection(self) -> None:
        """End the connection as a server may do; the next one is made at once."""
        await self._connection.end()

    # Rooms

    @property
    def skew_ns(self) -> int:
        return self._lines.skew_ns

    def on_arrival(self, receiver: Callable[[Arrival], None]) -> None:
        self._lines.on_arrival(receiver)

    def on_debit(self, receiver: Debit) -> None:
        self._lines.on_debit(receiver)

    def follow(self, room: str) -> Awaitable[None] | None:
        return self._lines.follow(room)

    def unfollow(self, room: str) -> None:
        self._lines.unfollow(room)

    def publish(self, room: str, grant: Grant) -> Awaitable[Position]:
        return self._lines.publish(room, grant)

    def kept(self) -> None:
        """Return nothing to await: it is in the stream."""

    def settled(self) -> "asyncio.Future[None] | None":
        return self._lines.settled()

    def positions(self) -> dict[str, Position]:
        """Return how far this node has seen the rooms that it follows."""
        return self._lines.positions()

    def seen_elsewhere(self, room: str, position: Position) -> None:
        """Read a room of which another node has seen more for a while."""
        self._lines.seen_elsewhere(room, position)

    # What rooms keep

    def keep_with(self, keeper: Callable[[str], Awaitable[Older]]) -> None:
        """Read from somebody what is kept of rooms for longer than streams have it."""
        self._history.keeper = keeper

    @property
    def rings(self) -> Rings:
        return self._lines.rings

    def since(self, room: str, message_id: str) -> Recovered | Awaitable[Recovered]:
        return self._history.since(room, message_id)

    def recent(self, room: str, count: int) -> Recovered | Awaitable[Recovered]:
        return self._history.recent(room, count)

    def newest(self, room: str) -> RoomEnvelope | None:
        return self._history.newest(room)

    def here(self, room: str) -> InMemory:
        return self.rings.here(room)

    # Control

    def on(self, kind: type[E], receiver: Callable[[E], None]) -> None:
        self._news.on(kind, receiver)

    def on_reset(self, receiver: Renew) -> None:
        self._news.on_reset(receiver)

    def broadcast(self, envelope: ControlEnvelope) -> None:
        self._news.broadcast(envelope)

    # Announcements

    def announce(self, payload: bytes, about: About = About.PRESENCE) -> None:
        self._connection.send(subjects.ANNOUNCEMENTS + about, payload)

    def on_announcement(
        self, receiver: Callable[[bytes], None], about: About = About.PRESENCE
    ) -> None:
        self._announced[about].append(receiver)

    # The connection

    async def _prepare(self) -> None:
        connection, options, before = self._connection, self._options, self._ahead_ns
        await connection.listen(LEADERS, self._led_anew)
        for about in About:
            await connection.listen(subjects.ANNOUNCEMENTS + about, partial(self._heard, about))
        if before:
            again = provided.provide_again(connection, options, self._monotonic_ns, before)
            self._ahead_ns = await again
        else:
            self._ahead_ns = await provided.provide(connection, options, self._monotonic_ns)
        await self._news.prepare(connection)

    def _up(self) -> None:
        self._lines.up(self._ahead_ns)

    def _down(self) -> None:
        self._lines.down()
        self.streams.down()

    def _monotonic_ns(self) -> int:
        return int(self._clock.monotonic() * 1e9)

    def _heard(self, about: About, _subject: bytes, _raw: bytes, data: bytes) -> None:
        if self._told:
            for receiver in self._announced[about]:
                receiver(data)

    def _led_anew(self, _subject: bytes, _raw: bytes, data: bytes) -> None:
        stream = msgspec.json.decode(data, type=_Elected).stream
        if stream == subjects.CONTROL_STREAM:
            self._connection.start(self._news.led_anew)
        elif stream in _NUMBERS:
            self._lines.led_anew(_NUMBERS[stream])


class _Elected(msgspec.Struct):
    stream: str


_NUMBERS = {subjects.stream_name(number): number for number in range(subjects.STREAMS)}
