"""The rooms of this node and their connections: what arrives in a room ends here.

The hub knows who is where and for how long; how rooms are written to is `fanout`'s business. It
follows a room on the bus from its first connection to its last.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from itertools import islice

from greenroom.bus.base import Arrival, RoomLine
from greenroom.chat.occupancy import Occupancy
from greenroom.chat.presence import Alone, Elsewhere
from greenroom.messaging.fanout import SLICE, Fanout
from greenroom.messaging.members import Members
from greenroom.messaging.sockets import NO_SOCKET, Connection, Way
from greenroom.model.arn import Arn
from greenroom.model.restriction import Kind, Restriction
from greenroom.model.room_settings import RoomSettings

BANNED = "Banned by a moderator"
"""The close reason of a banned user's connection where the moderator gave none."""

DRAINED_AT_ONCE = 1000
"""Connections of a node that may all end, and come back, in one instant."""

DRAIN_STEP = 0.05
"""Seconds between the batches of a drain that is spread over time."""


class Hub:
    """Rooms to connections of this node."""

    def __init__(self, line: RoomLine, fanout: Fanout, elsewhere: Elsewhere | None = None) -> None:
        """Make it without a connection, and take from the line what arrives."""
        self._line = line
        self.elsewhere: Elsewhere = elsewhere or Alone()
        line.on_arrival(self.receive)
        self.fanout = fanout
        self._rooms: dict[str, Members] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        # All of them together, which is asked for each that comes.
        self._total = 0
        self._expected: dict[str, int] = {}
        self.when_unfollowed: Callable[[str], None] = lambda _: None
        """Is told of rooms that are followed no longer."""
        self.draining = False
        self.settling = False
        """Whether a drain waits for what was published to have its outcome."""
        self.held = False
        """Whether every action is refused; see `hold`."""
        self.drained = asyncio.Event()
        """Set when every connection was told to end."""

    @property
    def rooms(self) -> int:
        """How many rooms have connections on this node."""
        return len(self._rooms)

    @property
    def users(self) -> int:
        """How many different users are in each room on all nodes, of all rooms together."""
        return self.elsewhere.occupancies().users_of_all()

    @property
    def connections(self) -> int:
        """How many connections this node has."""
        return self._total

    def connections_of(self, account: str, region: str) -> int:
        """Return how many connections of an account in a region this node has."""
        return self._counts[account, region]

    def connections_in(self, room_arn: str) -> int:
        """Return how many connections a room has on this node."""
        room = self._rooms.get(room_arn)
        return 0 if room is None else len(room.connections)

    def everybody(self) -> list[tuple[str, Connection]]:
        """Return all connections, each with its room's ARN."""
        return [(arn, each) for arn, room in self._rooms.items() for each in room.connections]

    def those_in(self, room_arn: str) -> tuple[Connection, ...]:
        """Return the connections of a room on this node."""
        room = self._rooms.get(room_arn)
        return () if room is None else tuple(room.connections)

    def with_events(self) -> list[tuple[str, Members]]:
        """Return the rooms in which somebody asked for the service's own events."""
        return [(arn, room) for arn, room in self._rooms.items() if room.views]

    def members(self, room_arn: str) -> Members | None:
        """Return a room that has connections on this node."""
        return self._rooms.get(room_arn)

    def note_told(self, room_arn: str, settings: RoomSettings) -> None:
        """Take note of the settings that somebody who came was told, if nobody knew them before."""
        room = self._rooms.get(room_arn)
        if room is not None and room.settings_told is None:
            room.settings_told = settings

    def note_replayed(self, room_arn: str, connection: Connection) -> None:
        """Take note that who has just joined was shown all that has arrived in the room."""
        room = self._rooms.get(room_arn)
        if room is not None:
            room.note_replayed(connection)

    def is_writing(self, room_arn: str) -> bool:
        """Return whether a room is being written to, and some may have what others have not."""
        room = self._rooms.get(room_arn)
        return room is not None and room.writing

    def to_come(self, room_arn: str) -> frozenset[str]:
        """Return the ids of what has arrived in a room, and who comes now is yet to be shown."""
        room = self._rooms.get(room_arn)
        if room is None or not (room.pending or room.flushing):
            return _NOTHING
        return frozenset(envelope.id for envelope in (*room.flushing, *room.pending))

    def note_viewers(self, room_arn: str, told: Occupancy) -> None:
        """Take note of how many are here as somebody who came was told, if nobody was before."""
        room = self._rooms.get(room_arn)
        if room is not None and room.viewers_told is None:
            room.viewers_told = told

    def reaches(self, room_arn: str, user_id: str, number: int) -> bool:
        """Return whether a user has so many connections in the room on this node."""
        room = self._rooms.get(room_arn)
        return number <= 0 if room is None else room.reaches(user_id, number)

    def expect(self, room_arn: str) -> Awaitable[None] | None:
        """Follow a room that somebody is about to join; return what to wait for first, if anything.

        Until `arrived` is called for each who was expected the room is followed.
        """
        self._expected[room_arn] = self._expected.get(room_arn, 0) + 1
        return self._line.follow(room_arn)

    def arrived(self, room_arn: str) -> None:
        """Expect one less: who was expected joins in this turn of the loop, or never."""
        self._expected[room_arn] = left = self._expected[room_arn] - 1
        if not left:
            del self._expected[room_arn]
            if room_arn not in self._rooms:
                asyncio.get_running_loop().call_soon(self._unfollow_empty, room_arn)

    def join(self, room_arn: str, connection: Connection, straight: Way = NO_SOCKET) -> None:
        """Deliver to the connection what is published from now on.

        `straight` is the way past its transport, if nothing waits there.
        """
        room = self._rooms.get(room_arn)
        if room is None:
            room = self._rooms[room_arn] = Members(Arn.parse(room_arn))
            self._line.follow(room_arn)
        room.join(connection, straight)
        self._counts[room.owner] += 1
        self._total += 1
        self.elsewhere.joined(
            room_arn,
            connection.user_id,
            is_bot=connection.is_bot,
            may_moderate=connection.may_moderate,
        )

    def write_to(self, room_arn: str, connection: Connection, straight: Way) -> None:
        """Write past the transport from now on, or through the transport, as `join` says."""
        room = self._rooms.get(room_arn)
        if room is not None:
            room.write_to(connection, straight)

    def leave(self, room_arn: str, connection: Connection) -> None:
        """Stop delivering; a room without connections is forgotten."""
        room = self._rooms.get(room_arn)
        # A connection that was kicked in a flush may leave once more when its socket is lost.
        if room is None or not room.leave(connection):
            return
        self._counts[room.owner] -= 1
        self._total -= 1
        self.elsewhere.left(
            room_arn,
            connection.user_id,
            is_bot=connection.is_bot,
            may_moderate=connection.may_moderate,
        )
        if not room.connections:
            del self._rooms[room_arn]
            self._unfollow_empty(room_arn)

    def _unfollow_empty(self, room_arn: str) -> None:
        if room_arn not in self._rooms and room_arn not in self._expected:
            self._line.unfollow(room_arn)
            self.when_unfollowed(room_arn)

    def after_flush(self, room_arn: str, action: Callable[[], None]) -> None:
        """Do something when everything that was published before is written to everybody."""
        room = self._rooms.get(room_arn)
        if room is None:
            action()
        else:
            self.fanout.after_flush(room, action)

    def hold(self) -> None:
        """Let nobody in, and refuse every action; what is under way is done, and delivered."""
        self.draining = self.held = True

    def drain(self, seconds: float = 0) -> None:
        """Deliver what waits, then end every connection; let nobody in from now on.

        Where there are many they end in batches over so many seconds: otherwise all of them would
        come back in one instant. Those that are still there chat on. First, what they have sent by
        now gets its outcome; a second call no longer waits for that.
        """
        self.draining = True
        settled = None if self.settling else self._line.settled()
        if settled is None:
            self._end(seconds)
            return
        self.settling = True
        settled.add_done_callback(lambda _: self._end(seconds))

    def _end(self, seconds: float) -> None:
        if seconds > 0 and self.connections > DRAINED_AT_ONCE:
            # Those who are there now: nobody comes any more, and who leaves ends as well.
            everybody = [(room, each) for room in self._rooms.values() for each in room.connections]
            number = math.ceil(len(everybody) * DRAIN_STEP / seconds)
            self._drain_some(iter(everybody), number)
            return
        self.fanout.ending = True
        for room in list(self._rooms.values()):
            self.fanout.flush(room)
        self.drained.set()

    def _drain_some(self, waiting: Iterator[tuple[Members, Connection]], number: int) -> None:
        """End the next ones, behind what their rooms have to tell them."""
        batch: dict[Members, list[Connection]] = {}
        for room, connection in islice(waiting, number):
            batch.setdefault(room, []).append(connection)
        for room, connections in batch.items():
            self.fanout.after_flush(room, partial(_drain, connections))
        # An empty batch was the last one; a second `drain` meanwhile has ended everybody at once.
        if batch and not self.fanout.ending:
            asyncio.get_running_loop().call_later(DRAIN_STEP, self._drain_some, waiting, number)
        else:
            self.drain()

    def receive(self, arrival: Arrival) -> None:
        """Show what arrived in a room to its connections."""
        room = self._rooms.get(arrival.room)
        if room is not None:
            self.fanout.show(room, arrival.envelopes)

    def connections_of_user(self, room_arn: str, user_id: str) -> int:
        """Return how many connections a user has in a room, on all nodes."""
        room = self._rooms.get(room_arn)
        connections = () if room is None else room.connections
        here = sum(each.user_id == user_id for each in connections)
        return here + self.elsewhere.connections_of_user_elsewhere(room_arn, user_id)

    def enforce(self, ban: Restriction) -> None:
        """End the connections of a user that are still there, if he is banned."""
        if ban.kind is not Kind.BAN:
            return
        # A list first: a room that he leaves last is gone.
        rooms = [self._rooms[each] for each in self.in_scope(ban.scope)]
        for room in rooms:
            if room.of_users(frozenset({ban.user_id})):
                self.fanout.kick(room, ban.user_id, ban.reason or BANNED)

    def in_scope(self, scope: str) -> list[str]:
        """Return the rooms here that a scope means: one of them by its ARN, or an account's."""
        if scope in self._rooms:
            return [scope]
        return [arn for arn, room in self._rooms.items() if room.owner[0] == scope]

    def is_moderator(self, room_arn: str, user_id: str) -> bool:
        """Return whether a user has a connection in a room, on any node, that may moderate.

        On another node it is known a second later.
        """
        here = (each for each in self.those_in(room_arn) if each.user_id == user_id)
        return any(each.may_moderate for each in here) or (
            self.elsewhere.is_moderator_elsewhere(room_arn, user_id)
        )

    def revoke(self, key_id: str) -> None:
        """End the connections that a killed key has let in."""
        everybody = (each for room in self._rooms.values() for each in room.connections)
        self._revoke([each for each in everybody if each.key_id == key_id])

    def _revoke(self, connections: list[Connection]) -> None:
        """End connections, a slice at a time: there may be tens of thousands."""
        for connection in connections[:SLICE]:
            connection.revoke()
        if rest := connections[SLICE:]:
            asyncio.get_running_loop().call_soon(self._revoke, rest)


_NOTHING: frozenset[str] = frozenset()


def _drain(connections: list[Connection]) -> None:
    for connection in connections:
        connection.drain()
