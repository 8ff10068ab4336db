"""The rooms of this node and their connections: every envelope of the bus ends here.

- The frames of one loop tick are joined once per room and the same bytes are written to every
  connection: a burst of k messages costs one write per connection, not k.
- Nothing awaits. A connection whose buffer passes the bound drops itself (see `messaging.edge`)
  and never delays the others.
- A connection sees a room's frames from the moment it joined, in the order of publication.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from greenroom.bus.base import Deliver, Disconnect, Envelope, RoomChanged
from greenroom.model.arn import Arn
from greenroom.protocol.frames import text_frame
from greenroom.rooms_cache import RoomsCache


class Connection(Protocol):
    """What the hub needs of a connection."""

    @property
    def user_id(self) -> str:
        """The user that the connection's token names."""

    @property
    def write(self) -> Callable[[bytes], None]:
        """Hand bytes to the socket without waiting; never raises."""

    def disconnect(self, reason: str) -> None:
        """Close cleanly because a moderator said so."""

    def drain(self) -> None:
        """End the connection for a restart of the node."""


class _Room:
    __slots__ = ("connections", "owner", "pending")

    def __init__(self, arn: Arn) -> None:
        self.owner = (arn.account, arn.region)
        self.connections: set[Connection] = set()
        self.pending: list[bytes] = []


class Hub:
    """Rooms to connections of this node."""

    def __init__(self, rooms: RoomsCache) -> None:
        self._cache = rooms
        self._rooms: dict[str, _Room] = {}
        self._dirty: list[_Room] = []
        self.draining = False
        self._counts: Counter[tuple[str, str]] = Counter()

    @property
    def connections(self) -> int:
        """How many connections this node has."""
        return self._counts.total()

    def connections_of(self, account: str, region: str) -> int:
        """Return how many connections of an account in a region this node has."""
        return self._counts[account, region]

    def join(self, room_arn: str, connection: Connection) -> None:
        """Deliver the room's frames to the connection from now on, not those before."""
        room = self._rooms.get(room_arn)
        if room is None:
            room = self._rooms[room_arn] = _Room(Arn.parse(room_arn))
        elif room.pending:
            self._flush(room)
        room.connections.add(connection)
        self._counts[room.owner] += 1

    def leave(self, room_arn: str, connection: Connection) -> None:
        """Stop delivering; a room without connections is forgotten."""
        room = self._rooms.get(room_arn)
        if room is None or connection not in room.connections:
            return
        room.connections.remove(connection)
        self._counts[room.owner] -= 1
        if not room.connections:
            del self._rooms[room_arn]

    def drain(self) -> None:
        """End every connection for a restart of the node, and say so from now on."""
        self.draining = True
        for room in list(self._rooms.values()):
            self._flush(room)
            for connection in tuple(room.connections):
                connection.drain()

    def receive(self, envelope: Envelope) -> None:
        """Take an envelope from the bus."""
        if isinstance(envelope, Deliver):
            self._deliver(envelope.room, envelope.payload)
        elif isinstance(envelope, Disconnect):
            self._disconnect(envelope)
        elif isinstance(envelope, RoomChanged):
            self._cache.forget(envelope.room)

    def _deliver(self, room_arn: str, payload: bytes) -> None:
        room = self._rooms.get(room_arn)
        if room is None:
            return
        if not room.pending:
            if not self._dirty:
                asyncio.get_running_loop().call_soon(self._flush_all)
            self._dirty.append(room)
        room.pending.append(text_frame(payload))

    def _disconnect(self, envelope: Disconnect) -> None:
        """Show everybody the event, the kicked user included, then close the user's sockets."""
        self._deliver(envelope.room, envelope.payload)
        room = self._rooms.get(envelope.room)
        if room is None:
            return
        self._flush(room)
        for connection in [each for each in room.connections if each.user_id == envelope.user_id]:
            connection.disconnect(envelope.reason)

    def _flush_all(self) -> None:
        dirty, self._dirty = self._dirty, []
        for room in dirty:
            self._flush(room)

    @staticmethod
    def _flush(room: _Room) -> None:
        data = b"".join(room.pending)
        room.pending.clear()
        if data:
            # A copy: a connection that passes its bound while written to leaves the room.
            for connection in tuple(room.connections):
                connection.write(data)
