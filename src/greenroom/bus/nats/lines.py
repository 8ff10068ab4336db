"""The rooms of a node on NATS: the port `RoomLine`.

- A room has a line here from when it is followed or published in until `LINGER_SECONDS` after: so a
  viewer who comes back, or an API that sends event after event, costs no subscription each time.
- What waits is bounded, in each room and over all. At the bound BusUnavailable is raised at once.
- Of one stream only so many rooms are read at once: after an outage the servers are asked for one
  message of each room, not for all of them in one instant.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import msgspec
import structlog

from greenroom.bus.base import Arrival, BusUnavailable, Debit, Grant, Position
from greenroom.bus.figures import Figures, Repair
from greenroom.bus.nats import subjects
from greenroom.bus.nats.catching_up import catch_up
from greenroom.bus.nats.connection import Connection, NoAnswer
from greenroom.bus.nats.line import Line
from greenroom.bus.nats.publication import UNPUBLISHED, Attempt, Publication
from greenroom.bus.nats.stored import Reader
from greenroom.bus.rings import Rings
from greenroom.clock import Clock

MOST_WAITING = 20_000
"""Publications of all rooms that wait for their outcome."""

MOST_WAITING_IN_ROOM = 1_000

LINGER_SECONDS = 10.0
FOLLOW_SECONDS = 2.0
"""How long a viewer waits for a room to be followed; what he misses is shown later."""

MARGIN_NS = 1_000_000_000
"""How much earlier than asked a room is shown that could not be followed at once: the servers' time
is known to within less, and a message too many does no harm."""

READERS = 8
"""Rooms of one stream that are read at once."""

MOST_ROUNDS = 5
"""How often a room is read up to its last message for what was heard: after that it is lost."""

TICK_SECONDS = 0.05
SWEEP_TICKS = 20
PAUSE = 0.2
"""Seconds until a room that could not be read is tried again."""

log = structlog.get_logger()


class Patience(msgspec.Struct, frozen=True):
    """How long things may take, in seconds: `outcome` of a publication, `answer` of an attempt.

    `arrival` is how long after the last moment at which something may be stored it may arrive.
    """

    outcome: float = 10.0
    answer: float = 1.0
    arrival: float = 0.25


class Lines:
    """Every room that this node has to do with."""

    skew_ns = 30_000_000_000

    def __init__(
        self,
        connection: Connection,
        node: str,
        figures: Figures,
        clock: Clock,
        patience: Patience,
    ) -> None:
        self.node = node
        self.figures = figures
        self.rings = Rings()
        self._connection = connection
        self._clock = clock
        self._patience = patience
        self._lines: dict[str, Line] = {}
        self._busy: dict[Line, None] = {}
        self._unread: list[deque[Line]] = [deque() for _ in range(subjects.STREAMS)]
        self._readers = [0] * subjects.STREAMS
        self._ahead_ns = [0] * subjects.STREAMS
        self._arrivals: list[Callable[[Arrival], None]] = []
        self._debits: list[Debit] = []
        self._numbers = itertools.count(1)
        self._session: object = None
        self._told = self._closed = False

    # The port

    def on_arrival(self, receiver: Callable[[Arrival], None]) -> None:
        self._arrivals.append(receiver)

    def on_debit(self, receiver: Debit) -> None:
        self._debits.append(receiver)

    def follow(self, room: str) -> Awaitable[None] | None:
        if self._closed:
            return None
        line = self._line(room)
        line.followed = True
        if line.ready:
            return None
        if not self.is_up:
            self._begin_now(line)
            return None
        return self._followed(line)

    def unfollow(self, room: str) -> None:
        line = self._lines.get(room)
        if line is not None:
            line.followed = False
            line.used = self.now()

    def publish(self, room: str, grant: Grant) -> "asyncio.Future[Position]":
        if self._closed:
            raise BusUnavailable(f"{UNPUBLISHED}: the bus is closed")
        line = self._line(room)
        if self.figures.waiting >= MOST_WAITING or len(line.waiting) >= MOST_WAITING_IN_ROOM:
            self.figures.unavailable += 1
            raise BusUnavailable(f"{UNPUBLISHED}: too much waits for the bus")
        future: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        future.add_done_callback(self._decided)
        self.figures.waiting += 1
        self._busy[line] = None
        line.publish(Publication(grant, future, self.now() + self._patience.outcome))
        return future

    def settled(self) -> "asyncio.Future[None] | None":
        open_ones = {each.future for each in self._publications() if not each.future.done()}
        if not open_ones:
            return None
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def ended(future: "asyncio.Future[Position]") -> None:
            open_ones.discard(future)
            if not open_ones and not done.done():
                done.set_result(None)

        for each in list(open_ones):
            each.add_done_callback(ended)
        return done

    # For who tells what rooms keep

    def position(self, room: str) -> Position:
        """Return how far the room was seen."""
        line = self._lines.get(room)
        return 0 if line is None else line.last

    async def ready(self, room: str) -> Line | None:
        """Return the room's line when it has seen all there is; None if that takes too long."""
        if self._closed or not self.is_up:
            return None
        line = self._line(room)
        if not line.ready:
            await self._followed(line)
        return line if line.ready else None

    def reader(self, line: Line) -> Reader:
        """Return what reads the room for as long as the connection lasts."""
        session = self._session
        return Reader(self._connection, line.stream, line.subject, lambda: session is self._session)

    # For who looks after the nodes of a cluster

    def positions(self) -> dict[str, Position]:
        """Return how far this node has seen the rooms that it follows."""
        return {line.room: line.last for line in self._lines.values() if line.followed}

    def seen_elsewhere(self, room: str, position: Position) -> None:
        """Read a room of which another node has seen more for a while."""
        line = self._lines.get(room)
        if line is not None and line.ready and line.last < position:
            line.repair(Repair.BEHIND)

    # What a line asks

    @property
    def is_up(self) -> bool:
        return self._session is not None

    @property
    def most_bytes(self) -> int:
        return self._connection.most_bytes

    def now(self) -> float:
        return self._clock.monotonic()

    def server_ns(self, stream: int) -> int:
        return self._ahead_ns[stream] + int(self.now() * 1e9)

    def compare_clocks(self, stream: int, since: float, stamp_ns: int) -> None:
        least, most = stamp_ns - int(self.now() * 1e9), stamp_ns - int(since * 1e9)
        self._ahead_ns[stream] = min(max(self._ahead_ns[stream], least), most)

    def next_number(self) -> int:
        return next(self._numbers)

    def send(self, line: Line, attempt: Attempt) -> None:
        connection = self._connection
        connection.forget(attempt.token)
        attempt.token = connection.expect(partial(line.answered, attempt))
        attempt.sent = self.now()
        expected = {"Nats-Expected-Last-Subject-Sequence": str(attempt.predecessor)}
        connection.send(line.subject, attempt.body, connection.reply_to(attempt.token), expected)

    def forget(self, attempt: Attempt) -> None:
        self._connection.forget(attempt.token)

    def repair(self, line: Line) -> None:
        stream = line.stream
        self._unread[stream].append(line)
        if self._readers[stream] < READERS:
            self._readers[stream] += 1
            self._connection.start(partial(self._read, stream, self._session))

    def debit(self, room: str, rate: int, seconds_ago: float) -> None:
        for each in self._debits:
            each(room, rate, seconds_ago)

    def show(self, arrival: Arrival) -> None:
        if not self._told:
            return
        for receiver in self._arrivals:
            try:
                receiver(arrival)
            except Exception as error:
                log.exception("who is told of rooms crashed", error=type(error).__name__)

    # The connection

    def tell(self, *, told: bool) -> None:
        """Tell the receivers what arrives, or no longer."""
        self._told = told

    def up(self, ahead_ns: list[int]) -> None:
        """Read every room again over a new connection, whose servers' clocks are so far ahead."""
        self._session = object()
        self._ahead_ns = ahead_ns
        for line in self._lines.values():
            line.repair(Repair.CONNECTED)

    def down(self) -> None:
        """Let everything wait for the next connection."""
        self._session = None
        for line in self._lines.values():
            line.lose()
        for unread in self._unread:
            unread.clear()
        self._readers = [0] * subjects.STREAMS

    def led_anew(self, stream: int) -> None:
        """Read the rooms of a stream: the one before may have stored what it told nobody."""
        for line in self._lines.values():
            if line.stream == stream and line.ready:
                line.repair(Repair.LEADER)

    async def look_after(self) -> None:
        """Give up what takes too long, for ever; close lines that nobody needs any more."""
        patience = self._patience
        for tick in itertools.count(1):
            await asyncio.sleep(TICK_SECONDS)
            now = self.now()
            for line in list(self._busy):
                try:
                    line.look_after(now, patience.answer, patience.arrival)
                except Exception as error:  # noqa: BLE001 - no other line would be looked after
                    self.figures.tell("a room failed", error=type(error).__name__)
                if not line.is_busy:
                    line.used = now
                    del self._busy[line]
            if tick % SWEEP_TICKS == 0:
                await self._sweep(now)

    def end(self) -> None:
        """Fail everything that waits: the bus ends."""
        self._closed = True
        for each in list(self._publications()):
            each.unavailable("the bus is closed")
        self._lines.clear()
        self._busy.clear()
        self.rings.clear()

    def _line(self, room: str) -> Line:
        line = self._lines.get(room)
        if line is None:
            line = self._lines[room] = Line(room, self)
            self.figures.rooms = len(self._lines)
            line.repair(Repair.OPENED)
        line.used = self.now()
        return line

    def _begin_now(self, line: Line) -> None:
        """Show, when the room is read at last, all that was published from now on."""
        if not line.opened and line.since_ns is None:
            line.since_ns = self.server_ns(line.stream) - MARGIN_NS

    def _followed(self, line: Line) -> "asyncio.Future[None]":
        """Return what is done when a line is ready, or that takes too long."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        line.waiters.append(waiter)
        loop.call_later(FOLLOW_SECONDS, self._waited, line, waiter)
        return waiter

    def _waited(self, line: Line, waiter: "asyncio.Future[None]") -> None:
        if not waiter.done():
            self._begin_now(line)
            waiter.set_result(None)

    async def _read(self, stream: int, session: object) -> None:
        """Read the rooms of a stream that have to be, one after another."""
        unread = self._unread[stream]
        while unread and session is self._session:
            line = unread.popleft()
            try:
                await self._repair(line, session)
            except Exception as error:  # noqa: BLE001 - the room is tried again, whatever it was
                reason = str(error) if isinstance(error, NoAnswer) else repr(error)
                self.figures.tell("a room cannot be read now", reason=reason)
                loop = asyncio.get_running_loop()
                loop.call_later(PAUSE, self._later, line, session)
        if session is self._session:
            self._readers[stream] -= 1

    def _later(self, line: Line, session: object) -> None:
        if session is self._session:
            self.repair(line)

    async def _repair(self, line: Line, session: object) -> None:
        connection = self._connection
        if line.subscribed is None:
            subject = subjects.delivered(line.subject)
            line.subscribed = await connection.listen(subject, line.heard)
        reader = self.reader(line)
        for _ in range(MOST_ROUNDS):
            await catch_up(line, reader, self.figures, self.server_ns(line.stream))
            if line.release():
                line.resume()
                return
        line.held.clear()
        raise NoAnswer(f"{reader.stream} does not have what it told of")

    def _publications(self) -> Iterator[Publication]:
        for line in self._busy:
            yield from line.waiting
            yield from line.undecided
            if line.attempt is not None:
                yield from line.attempt.publications

    def _decided(self, _: "asyncio.Future[Position]") -> None:
        self.figures.waiting -= 1

    async def _sweep(self, now: float) -> None:
        """Close the lines of rooms that nobody follows, and nobody published in lately."""
        idle = [
            line
            for line in self._lines.values()
            if not line.followed and not line.is_busy and now - line.used > LINGER_SECONDS
        ]
        for line in idle:
            # Somebody may have come while the others were closed.
            if line.followed or line.is_busy or line.repairing or line.used > now:
                continue
            del self._lines[line.room]
            self.rings.forget(line.room)
            line.ready = False
            subscribed = line.subscribed
            if subscribed is not None and self.is_up:
                await self._connection.unlisten(subscribed)
        self.figures.rooms = len(self._lines)
