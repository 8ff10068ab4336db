"""The rooms of this node and their connections: what arrives in a room ends here.

- Frames that wait are joined once per room and the same bytes are written to every connection: a
  burst of k messages costs one write per connection, not k.
- The first frame of a quiet room goes at the end of the loop's tick. A busy one is flushed once per
  `FLUSH_INTERVAL`: at 100 messages a second that halves the cost, at 10 it adds nothing. Where
  waiting joins nothing, because who sends waits for the echo, a room stops waiting for a while.
- A large room, or many rooms at once, are written to in slices, so that handshakes, pings and other
  rooms are served in between. Frames that come meanwhile wait for the room's last slice: every
  connection sees one order.
- Bytes go straight to the sockets, for all rooms of a tick with one system call where there is one
  for that (see `messaging.bulk_sender`). What the kernel does not take goes through the
  connection's transport, and so does all that follows until that is written.
- Nothing awaits. A connection whose queue passes the bound drops itself (see `messaging.edge`) and
  never delays the others.
- A connection sees every frame published after it joined, and perhaps those of the interval before.
- What is counted is counted once per flush, for all connections together.
"""

import asyncio
import math
import socket
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice, repeat
from operator import length_hint
from time import perf_counter
from typing import Protocol

from greenroom.bus.base import ACTIONS, Arrival, Deliver, Disconnect, RoomEnvelope, RoomLine
from greenroom.messaging.bulk_sender import FEWEST, LONGEST, BulkSender
from greenroom.model.arn import Arn
from greenroom.protocol.frames import text_frame
from greenroom.telemetry.metrics import Metrics

FLUSH_INTERVAL = 0.02
"""Seconds between the flushes of a busy room."""

PATIENCE = 3
"""Waits in a row that may join nothing before a room stops waiting."""

IMPATIENCE = 200
"""Flushes at once before a room that stopped waiting tries it again."""

SLICE = 1024
"""Connections written to before the loop may do something else: about 5 ms."""


DRAINED_AT_ONCE = 1000
"""Connections of a node that may all end, and come back, in one instant."""

DRAIN_STEP = 0.05
"""Seconds between the batches of a drain that is spread over time."""


NO_SOCKET = socket.socket()
"""In place of a connection's socket: write through the connection's transport."""
NO_SOCKET.detach()


class Connection(Protocol):
    """What the hub needs of a connection."""

    @property
    def user_id(self) -> str:
        """The user that the connection's token names."""

    def write(self, data: bytes) -> None:
        """Queue bytes behind those that wait; never raises, and may make the connection leave."""

    @property
    def key_id(self) -> str:
        """The key that sealed the connection's token."""

    def revoke(self) -> None:
        """Close cleanly because that key was killed."""

    def disconnect(self, reason: str) -> None:
        """Close cleanly because a moderator said so."""

    def drain(self) -> None:
        """End the connection for a restart of the node."""


class _Part:
    """Connections of a room that are written to in one go, as writing wants them.

    After each message to a thousand sockets nothing else is in the processor's caches: what a flush
    needs of a connection is one number, and the connection itself is not looked at.
    """

    __slots__ = ("connections", "descriptors", "sockets")

    def __init__(self, members: Sequence[tuple[Connection, socket.socket]]) -> None:
        self.connections = tuple(connection for connection, _ in members)
        self.sockets = tuple(straight for _, straight in members)
        self.descriptors = array("i", [straight.fileno() for straight in self.sockets])


_NOBODY = _Part(())


class _Room:
    __slots__ = (
        "actions",
        "after_flush",
        "begun",
        "connections",
        "ending",
        "flushed",
        "loop",
        "owner",
        "parts",
        "patience",
        "pending",
        "scheduled",
        "users",
        "waited",
        "writing",
    )

    def __init__(self, arn: Arn) -> None:
        # Asking asyncio for it costs a system call each time.
        self.loop = asyncio.get_running_loop()
        self.owner = (arn.account, arn.region)
        # A dict for its order: who joined together lies together in memory, here and in the kernel.
        self.connections: dict[Connection, socket.socket] = {}
        # The same for writing; none when somebody came or went, or writes another way.
        self.parts: tuple[_Part, ...] | None = None
        # How many are each user's; only where somebody asked, in a large room.
        self.users: Counter[str] | None = None
        self.pending: list[RoomEnvelope] = []
        # What is to be done after the next flush, and after the one under way.
        self.actions: list[Callable[[], None]] = []
        self.after_flush: list[Callable[[], None]] = []
        self.ending = False
        self.scheduled = False
        self.writing = False
        self.flushed = float("-inf")
        # When the flush under way began, on the clock for durations; zero when it writes nothing.
        self.begun = 0.0
        # How many frames there were when the flush to come was put off, zero when it was not; and
        # how often that may still bring nothing.
        self.waited = 0
        self.patience = PATIENCE

    def divided(self) -> tuple[_Part, ...]:
        """Return the room's connections in slices."""
        if self.parts is None:
            members = tuple(self.connections.items())
            starts = range(0, len(members), SLICE)
            self.parts = tuple(_Part(members[start : start + SLICE]) for start in starts)
        return self.parts

    def present(self, part: _Part) -> _Part:
        """Return what is left of a part."""
        here = self.connections
        return _Part([(each, here[each]) for each in part.connections if each in here])

    def is_patient(self) -> bool:
        """Return whether to put the next flush off."""
        if self.patience <= 0:
            self.patience -= 1
            if self.patience < -IMPATIENCE:
                self.patience = 1
        return self.patience > 0

    def learn(self) -> None:
        """Note whether putting the flush off brought more frames."""
        if self.waited:
            self.patience = PATIENCE if len(self.pending) > self.waited else self.patience - 1
            self.waited = 0


class _Write:
    """A flush under way: what is written to which parts of a room, and how many have it."""

    __slots__ = ("data", "number", "parts", "room")

    def __init__(self, room: _Room, parts: tuple[_Part, ...], data: bytes) -> None:
        self.room, self.parts, self.data = room, parts, data
        self.number = 0

    @property
    def ended(self) -> bool:
        """Whether nobody is left to be written to."""
        return self.number >= len(self.parts)

    def next_part(self) -> _Part:
        """Return those who are next, as many of them as are still there."""
        if self.ended:
            return _NOBODY
        part = self.parts[self.number]
        self.number += 1
        return part if self.room.parts is self.parts else self.room.present(part)


def write_all(
    connections: Sequence[Connection], sockets: Sequence[socket.socket], data: bytes
) -> None:
    """Write the same bytes to every connection; the sockets are theirs, in the same order.

    This loop is what the service does all day. It makes no object for a connection, and looks only
    at those whose socket did not take everything.
    """
    size = len(data)
    rest = iter(sockets)
    sending = map(socket.socket.send, rest, repeat(data))
    while True:
        try:
            for sent in sending:
                if sent != size:
                    connections[-1 - length_hint(rest)].write(data[sent:])
        except OSError:
            # The kernel's buffer is full, the peer is gone, or there is no socket.
            connections[-1 - length_hint(rest)].write(data)
        else:
            return


def _kick(room: _Room, envelope: Disconnect) -> None:
    user = envelope.user_id
    for connection in [each for each in room.connections if each.user_id == user]:
        connection.disconnect(envelope.reason)


def _drain(connections: list[Connection]) -> None:
    for connection in connections:
        connection.drain()


class Hub:
    """Rooms to connections of this node."""

    def __init__(self, line: RoomLine, metrics: Metrics, sender: BulkSender | None = None) -> None:
        self._line = line
        line.on_arrival(self.receive)
        self._sender = sender
        # The rooms that have something to write at the end of the tick.
        self._due: list[_Room] = []
        self._fanout_seconds = metrics.fanout_seconds
        self._rooms: dict[str, _Room] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self.draining = False
        self.held = False
        """Whether every action is refused; see `hold`."""
        self.drained = asyncio.Event()
        """Set when every connection was told to end."""
        self._ending = False
        self.deliveries = dict.fromkeys(ACTIONS, 0)
        self.delivered_bytes = 0

    @property
    def rooms(self) -> int:
        """How many rooms have connections on this node."""
        return len(self._rooms)

    @property
    def connections(self) -> int:
        """How many connections this node has."""
        return self._counts.total()

    def connections_of(self, account: str, region: str) -> int:
        """Return how many connections of an account in a region this node has."""
        return self._counts[account, region]

    def connections_in(self, room_arn: str) -> int:
        """Return how many connections a room has on this node."""
        room = self._rooms.get(room_arn)
        return 0 if room is None else len(room.connections)

    def reaches(self, room_arn: str, user_id: str, number: int) -> bool:
        """Return whether a user has so many connections in the room on this node."""
        room = self._rooms.get(room_arn)
        if room is None or len(room.connections) < number:
            return number <= 0
        if room.users is None:
            room.users = Counter(each.user_id for each in room.connections)
        return room.users[user_id] >= number

    def join(
        self, room_arn: str, connection: Connection, straight: socket.socket = NO_SOCKET
    ) -> None:
        """Deliver to the connection what is published from now on.

        `straight` is its socket, if nothing waits to be written to it and it takes plain bytes.
        """
        room = self._rooms.get(room_arn)
        if room is None:
            room = self._rooms[room_arn] = _Room(Arn.parse(room_arn))
            self._line.follow(room_arn)
        room.connections[connection] = straight
        room.parts = None
        if room.users is not None:
            room.users[connection.user_id] += 1
        self._counts[room.owner] += 1

    def write_to(self, room_arn: str, connection: Connection, straight: socket.socket) -> None:
        """Write to the socket from now on, or through the transport, as `join` says."""
        room = self._rooms.get(room_arn)
        if room is not None and connection in room.connections:
            room.connections[connection] = straight
            room.parts = None

    def leave(self, room_arn: str, connection: Connection) -> None:
        """Stop delivering; a room without connections is forgotten."""
        room = self._rooms.get(room_arn)
        if room is None or connection not in room.connections:
            return
        del room.connections[connection]
        room.parts = None
        if room.users is not None:
            room.users[connection.user_id] -= 1
            if not room.users[connection.user_id]:
                del room.users[connection.user_id]
        self._counts[room.owner] -= 1
        if not room.connections:
            del self._rooms[room_arn]
            self._line.unfollow(room_arn)

    def after_flush(self, room_arn: str, action: Callable[[], None]) -> None:
        """Do something when everything that was published before is written to everybody."""
        room = self._rooms.get(room_arn)
        if room is None:
            action()
        else:
            room.actions.append(action)
            self._flush(room)

    def hold(self) -> None:
        """Let nobody in, and refuse every action; what is under way is done, and delivered."""
        self.draining = self.held = True

    def drain(self, seconds: float = 0) -> None:
        """Deliver what waits, then end every connection; let nobody in from now on.

        Where there are many they end in batches over so many seconds: otherwise all of them would
        come back in one instant. Those that are still there chat on.
        """
        self.draining = True
        if seconds > 0 and self.connections > DRAINED_AT_ONCE:
            everybody = [(room, each) for room in self._rooms.values() for each in room.connections]
            number = math.ceil(len(everybody) * DRAIN_STEP / seconds)
            self._drain_some(iter(everybody), number)
            return
        self._ending = True
        for room in list(self._rooms.values()):
            self._flush(room)
        self.drained.set()

    def _drain_some(self, waiting: Iterator[tuple[_Room, Connection]], number: int) -> None:
        """End the next ones, behind what their rooms have to tell them."""
        batch: dict[_Room, list[Connection]] = {}
        for room, connection in islice(waiting, number):
            batch.setdefault(room, []).append(connection)
        for room, connections in batch.items():
            room.actions.append(partial(_drain, connections))
            self._flush(room)
        if batch and not self._ending:
            asyncio.get_running_loop().call_later(DRAIN_STEP, self._drain_some, waiting, number)
        else:
            self.drain()

    def receive(self, arrival: Arrival) -> None:
        """Show what arrived in a room to its connections."""
        room = self._rooms.get(arrival.room)
        if room is None:
            return
        for envelope in arrival.envelopes:
            if isinstance(envelope, Deliver):
                self._deliver(room, envelope)
            else:
                self._disconnect(room, envelope)

    def revoke(self, key_id: str) -> None:
        """End the connections that a killed key has let in."""
        everybody = (each for room in self._rooms.values() for each in room.connections)
        self._revoke([each for each in everybody if each.key_id == key_id])

    def _revoke(self, connections: list[Connection]) -> None:
        """End connections, a slice at a time: there may be tens of thousands."""
        for connection in connections[:SLICE]:
            connection.revoke()
        if len(connections) > SLICE:
            asyncio.get_running_loop().call_soon(self._revoke, connections[SLICE:])

    def _deliver(self, room: _Room, envelope: Deliver) -> None:
        room.pending.append(envelope)
        if not room.scheduled and not room.writing:
            self._schedule(room)

    def _disconnect(self, room: _Room, envelope: Disconnect) -> None:
        """Show everybody the event, the kicked user included, then close the user's sockets."""
        room.pending.append(envelope)
        room.actions.append(partial(_kick, room, envelope))
        self._flush(room)

    def _schedule(self, room: _Room) -> None:
        room.scheduled = True
        if not self._due:
            room.loop.call_soon(self._end_tick)
        self._due.append(room)

    def _end_tick(self) -> None:
        """Write what the tick brought, or put it off where a busy room is to have more."""
        due, self._due = self._due, []
        writes = []
        for room in due:
            wait = room.flushed + FLUSH_INTERVAL - room.loop.time()
            if wait > 0 and room.pending and room.is_patient():
                room.waited = len(room.pending)
                room.loop.call_later(wait, self._end_wait, room)
                continue
            room.scheduled = False
            if room.pending and not room.writing:
                writes.append(self._begin(room))
        self._write(writes)

    def _end_wait(self, room: _Room) -> None:
        room.scheduled = False
        if room.pending:
            self._flush(room)

    def _flush(self, room: _Room) -> None:
        """Write what waits; while the room is being written to, the end of that does it."""
        if not room.writing:
            self._write([self._begin(room)])

    def _begin(self, room: _Room) -> _Write:
        """Take what waits out of the room, to write it to those who are there now."""
        room.writing = True
        room.flushed = room.loop.time()
        room.learn()
        data = b"".join([text_frame(envelope.payload) for envelope in room.pending])
        self._count(room, len(data))
        room.pending.clear()
        # Only those whose frames are in this flush: what comes meanwhile must not delay them.
        room.after_flush, room.actions = room.actions, []
        room.ending = self._ending
        # Who joins meanwhile comes too late.
        return _Write(room, room.divided() if data else (), data)

    def _write(self, writes: list[_Write]) -> None:
        """Write to about a slice of connections, to the others after what else the loop has."""
        messages: list[tuple[_Part, bytes]] = []
        number = turn = 0
        while turn < len(writes) and number < SLICE:
            part, data = writes[turn].next_part(), writes[turn].data
            messages.append((part, data))
            number += len(part.connections)
            turn += 1
        try:
            self._send(messages)
        finally:
            # Whatever failed, no room must stay silent.
            rest = writes[turn:] + [write for write in writes[:turn] if not write.ended]
            if rest:
                asyncio.get_running_loop().call_soon(self._write, rest)
            for write in writes[:turn]:
                if write.ended:
                    write.room.writing = False
                    self._flushed(write.room)

    def _send(self, messages: list[tuple[_Part, bytes]]) -> None:
        """Write to all connections of the parts, with one system call where that is possible."""
        sender = self._sender
        if sender is None or sum(len(part.connections) for part, _ in messages) < FEWEST:
            for part, data in messages:
                write_all(part.connections, part.sockets, data)
            return
        together = []
        for part, data in messages:
            if len(data) <= LONGEST:
                together.append((part, data))
            else:
                write_all(part.connections, part.sockets, data)
        for number, index, sent in sender.send(
            [(part.descriptors, data) for part, data in together]
        ):
            part, data = together[number]
            part.connections[index].write(data[sent:])

    def _flushed(self, room: _Room) -> None:
        """Do what had to wait until everybody was written to."""
        self._measure(room)
        actions, room.after_flush = room.after_flush, []
        for action in actions:
            action()
        if room.ending or (self._ending and not room.pending):
            for connection in tuple(room.connections):
                connection.drain()
        elif room.actions or self._ending:
            self._flush(room)
        elif room.pending and not room.scheduled:
            self._schedule(room)

    def _count(self, room: _Room, size: int) -> None:
        """Count what is about to be written, `size` bytes to each connection."""
        connections, deliveries = len(room.connections), self.deliveries
        for envelope in room.pending:
            action = envelope.action
            deliveries[action] = deliveries.get(action, 0) + connections
        self.delivered_bytes += size * connections
        room.begun = perf_counter() if size else 0.0

    def _measure(self, room: _Room) -> None:
        if room.begun:
            self._fanout_seconds.observe(perf_counter() - room.begun)
