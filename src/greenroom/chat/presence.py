"""Who is in which room, over all nodes: what this one tells, and what the others told.

Each node tells all others once a second what changed of it. Nothing has to be agreed on: a node
that is silent for long is taken for dead, and what it told is forgotten; when it speaks again it
is asked for everything.

- **Counts** of other nodes are as old as their last announcement, a second at most. So a bound over
  all nodes can be passed by what the others admit within that second.
- **Users** are told as numbers that stand for them in one room, made with a key that the nodes
  share: exact, and of no use to who only reads along.
- **Positions** show what was missed: when a peer has seen more of a room than this node, and a
  second later this node still has not, `behind` is called with the room and the position.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import structlog

from greenroom.bus.base import Arrival, Peers, Position, RoomLine
from greenroom.chat.announcements import Announcement, News, decode, encode, in_pieces
from greenroom.chat.occupancy import Occupancies, Occupancy, User
from greenroom.chat.others import Others, RoomThere, owner_of
from greenroom.clock import Clock
from greenroom.process.ticker import Ticker

TELL_SECONDS = 1.0
"""Seconds between two announcements of a node."""

SKEW_SECONDS = 2.0
"""From which difference on clocks are told of."""

log = structlog.get_logger()

Silent = Callable[[str, float, Mapping[str, RoomThere]], None]
"""Told of a node, when it was heard last, and what it had."""

Behind = Callable[[str, Position], None]
"""Told of a room that another node has seen up to a position that this node has not."""


class Elsewhere(Protocol):
    """Is told of this node's connections, and tells how many there are on all nodes."""

    def joined(
        self, room_arn: str, user_id: str, *, is_bot: bool = False, may_moderate: bool = False
    ) -> None:
        """Count a connection of this node."""

    def left(
        self, room_arn: str, user_id: str, *, is_bot: bool = False, may_moderate: bool = False
    ) -> None:
        """Count a connection of this node no more."""

    def connections_elsewhere(self, room_arn: str) -> int:
        """Return how many connections a room has on other nodes."""

    def connections_of_elsewhere(self, account: str, region: str) -> int:
        """Return how many connections of an account in a region other nodes have."""

    def connections_of_user_elsewhere(self, room_arn: str, user_id: str) -> int:
        """Return how many connections a user has in the room on other nodes."""

    def is_moderator_elsewhere(self, room_arn: str, user_id: str) -> bool:
        """Return whether a user has a connection in a room there that may moderate."""

    def key_of(self, room_arn: str, user_id: str) -> User:
        """Return what stands for a user of a room there."""

    def occupancies(self) -> Occupancies:
        """Return who is in rooms, of all nodes that are there now; bots are not counted."""

    def occupancy_with(self, room_arn: str, user_id: str, *, is_bot: bool = False) -> Occupancy:
        """Return how many are in a room when a connection of this node has joined it."""


class Alone:
    """There is no other node: nothing to tell, nothing to hear."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._occupancies = Occupancies(clock or Clock())

    def joined(
        self, room_arn: str, user_id: str, *, is_bot: bool = False, may_moderate: bool = False
    ) -> None:
        if not is_bot:
            self._occupancies.change(room_arn, user_id, 1)

    def left(
        self, room_arn: str, user_id: str, *, is_bot: bool = False, may_moderate: bool = False
    ) -> None:
        if not is_bot:
            self._occupancies.change(room_arn, user_id, -1)

    def connections_elsewhere(self, room_arn: str) -> int:
        return 0

    def connections_of_elsewhere(self, account: str, region: str) -> int:
        return 0

    def connections_of_user_elsewhere(self, room_arn: str, user_id: str) -> int:
        return 0

    def is_moderator_elsewhere(self, room_arn: str, user_id: str) -> bool:
        return False

    def key_of(self, room_arn: str, user_id: str) -> User:
        return user_id

    def occupancies(self) -> Occupancies:
        self._occupancies.forget_left()
        return self._occupancies

    def occupancy_with(self, room_arn: str, user_id: str, *, is_bot: bool = False) -> Occupancy:
        found = self.occupancies()
        return found.of(room_arn) if is_bot else found.with_one_more(room_arn, user_id)


class Presence:
    """Counts connections, of this node and of all others."""

    def __init__(
        self,
        peers: Peers,
        line: RoomLine,
        clock: Clock,
        key: bytes,
        behind: Behind,
        *,
        name: str = "",
    ) -> None:
        """Make it without a connection; `key` is the same on all nodes, of 64 bytes at most.

        By the `name` people know this node, in the logs of the others.
        """
        self.node = secrets.token_hex(8)
        self._name = name
        self._peers = peers
        self._clock = clock
        self._key = key
        self._behind = behind
        self._number = 0
        self._here: dict[str, RoomThere] = {}
        # Rooms of which something is to be told: what changed for each user, by their numbers.
        self._changes: dict[str, _Changes] = {}
        # How far peers have seen rooms of which this node had seen less: told since the last tick,
        # and between the two before.
        self._ahead: dict[str, Position] = {}
        self._ahead_before: dict[str, Position] = {}
        # Nodes that asked for everything. They are told together, with the next tick: after an
        # outage of the bus every node asks every other one.
        self._asked: set[str] = set()
        self._occupancies = Occupancies(clock)
        self._others = Others(self._learned, self._occupancies)
        self._gone = False
        self._clocks_differ = False
        self._ticker = Ticker(TELL_SECONDS, self.tick)
        self.unreadable = 0
        """Announcements that were none."""
        line.on_arrival(self._arrived)
        peers.on_announcement(self.receive)

    def start(self) -> None:
        """Begin to tell."""
        self._announce()
        self._ticker.start()

    def stop(self) -> None:
        """Tell the others that this node is gone, and nothing more, whoever asks."""
        self._gone = True
        self._ticker.stop()
        self._announce(leaving=True)

    @property
    def nodes(self) -> int:
        """How many nodes there are, this one included."""
        return len(self._others) + 1

    @property
    def skew_seconds(self) -> float:
        """By how much the wall clock of another node differs at most, in seconds."""
        return self._others.skew_ns() / 1e9

    def joined(
        self, room_arn: str, user_id: str, *, is_bot: bool = False, may_moderate: bool = False
    ) -> None:
        room = self._here.get(room_arn)
        if room is None:
            room = self._here[room_arn] = RoomThere(owner_of(room_arn))
        self._change(room_arn, room, user_id, 1, is_bot=is_bot, may_moderate=may_moderate)

    def left(
        self, room_arn: str, user_id: str, *, is_bot: bool = False, may_moderate: bool = False
    ) -> None:
        room = self._here[room_arn]
        self._change(room_arn, room, user_id, -1, is_bot=is_bot, may_moderate=may_moderate)

    def connections_elsewhere(self, room_arn: str) -> int:
        return self._others.connections_in(room_arn)

    def connections_of_elsewhere(self, account: str, region: str) -> int:
        return self._others.connections_of((account, region))

    def connections_of_user_elsewhere(self, room_arn: str, user_id: str) -> int:
        if not self._others.connections_in(room_arn):
            return 0
        return self._others.connections_of_user(room_arn, self._stands_for(room_arn, user_id))

    def is_moderator_elsewhere(self, room_arn: str, user_id: str) -> bool:
        if not self._others.connections_in(room_arn):
            return False
        return self._others.is_moderator(room_arn, self._stands_for(room_arn, user_id))

    def key_of(self, room_arn: str, user_id: str) -> User:
        return self._stands_for(room_arn, user_id)

    def number_of(self, room_arn: str, user_id: str) -> int:
        """Return the number that stands for a user of a room."""
        return self._stands_for(room_arn, user_id)

    def nodes_with(self, room_arn: str, user_id: str) -> Sequence[str]:
        """Return the other nodes on which a user is in a room."""
        if not self._others.connections_in(room_arn):
            return ()
        return self._others.with_user(room_arn, self._stands_for(room_arn, user_id))

    def told_by(self, node: str) -> tuple[float, Mapping[str, RoomThere]]:
        """Return at which monotonic time a node was heard last, and what it has in its rooms."""
        return self._others.told_by(node)

    def when_silent(self, receiver: Silent) -> None:
        """Tell the receiver of a node that is taken for dead what `told_by` returned."""
        self._others.when_silent = receiver

    def other_nodes(self) -> frozenset[str]:
        """Return the names of the other nodes that are there now."""
        self._others.forget_silent(self._clock.monotonic())
        return self._others.names()

    def occupancies(self) -> Occupancies:
        self._others.forget_silent(self._clock.monotonic())
        self._occupancies.forget_left()
        return self._occupancies

    def occupancy_with(self, room_arn: str, user_id: str, *, is_bot: bool = False) -> Occupancy:
        found = self.occupancies()
        if is_bot:
            return found.of(room_arn)
        return found.with_one_more(room_arn, self._stands_for(room_arn, user_id))

    def tick(self) -> None:
        """Tell what changed, forget who is silent, look after rooms of which peers know more."""
        self._tell_changes()
        if self._asked:
            self._tell_everything()
        self._others.forget_silent(self._clock.monotonic())
        self._occupancies.forget_left()
        self._look_at_clocks()
        self._look_behind()

    def receive(self, payload: bytes) -> None:
        """Take in what a node has told, if it is another one."""
        try:
            told = decode(payload)
            if told.node != self.node and not self._gone:
                self._hear(told)
        except (msgspec.DecodeError, ValueError):
            self.unreadable += 1

    def _hear(self, told: Announcement) -> None:
        if told.leaving:
            self._others.leave(told.node)
            return
        is_new = told.node not in self._others
        self._others.hear(told, self.node, self._clock.monotonic(), self._clock.wall_ns())
        if self.node in told.asks:
            self._asked.add(told.node)
        if is_new:
            # Both learn of each other now, and of everything with the next ticks.
            self._announce(asks=[told.node])

    def _learned(self, news: News) -> None:
        here = self._here.get(news.room)
        if here is not None and news.position > max(here.position, self._ahead.get(news.room, 0)):
            self._ahead[news.room] = news.position

    def _look_at_clocks(self) -> None:
        """Tell once when clocks begin to differ, and once when they no longer do."""
        if (self.skew_seconds > SKEW_SECONDS) is self._clocks_differ:
            return
        self._clocks_differ = not self._clocks_differ
        if self._clocks_differ:
            log.warning("clocks of nodes differ", seconds=round(self.skew_seconds, 1))
        else:
            log.info("clocks of nodes agree again")

    def _look_behind(self) -> None:
        for room_arn, position in self._ahead_before.items():
            here = self._here.get(room_arn)
            if here is not None and here.position < position:
                self._behind(room_arn, position)
        self._ahead_before, self._ahead = self._ahead, {}

    def _arrived(self, arrival: Arrival) -> None:
        room = self._here.get(arrival.room)
        if room is not None:
            room.position = arrival.position
            if arrival.room not in self._changes:
                self._changes[arrival.room] = _Changes()

    def _change(
        self,
        room_arn: str,
        room: RoomThere,
        user_id: str,
        change: int,
        *,
        is_bot: bool,
        may_moderate: bool,
    ) -> None:
        user = self._stands_for(room_arn, user_id)
        room.connections += change
        room.count(user, change)
        changes = self._changes.get(room_arn)
        if changes is None:
            changes = self._changes[room_arn] = _Changes()
        changes.users[user] = changes.users.get(user, 0) + change
        if may_moderate:
            room.count_moderator(user, change)
            changes.moderators[user] = changes.moderators.get(user, 0) + change
        if is_bot:
            room.count_bot(user, change)
            changes.bots[user] = changes.bots.get(user, 0) + change
        else:
            self._occupancies.change(room_arn, user, change)

    def _stands_for(self, room_arn: str, user_id: str) -> int:
        # An ARN has no NUL, so that no other room and user together make the same text.
        text = f"{room_arn}\0{user_id}".encode(errors="surrogatepass")
        return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=self._key).digest())

    def _tell_changes(self) -> None:
        """Tell what changed since the last time; also if nothing did, that this node lives."""
        changes, self._changes = self._changes, {}
        news = (_news(arn, self._here[arn], each) for arn, each in changes.items())
        asks = self._others.unknown()
        for piece in list(in_pieces(news)) or [[]]:
            self._announce(piece, asks=asks)
            asks = []
        for room_arn in changes:
            if not self._here[room_arn].connections:
                del self._here[room_arn]

    def _tell_everything(self) -> None:
        """Tell it to those that asked; what changed was told before, and nothing comes between."""
        asked, self._asked = sorted(self._asked), set()
        news = (_news(arn, room, room) for arn, room in self._here.items())
        pieces = list(in_pieces(news)) or [[]]
        for left, piece in zip(reversed(range(len(pieces))), pieces, strict=True):
            self._announce(piece, whole_for=asked, more=left > 0)

    def _announce(
        self,
        news: Sequence[News] = (),
        *,
        asks: Sequence[str] = (),
        whole_for: Sequence[str] = (),
        more: bool = False,
        leaving: bool = False,
    ) -> None:
        self._number += 1
        wall_ns = self._clock.wall_ns()
        told = Announcement(
            self.node, self._number, wall_ns, news, asks, whole_for, more, leaving, self._name
        )
        self._peers.announce(encode(told))


class _Changes(msgspec.Struct):
    """What is new of a room's users, bots and moderators, by their numbers."""

    users: dict[int, int] = {}
    bots: dict[int, int] = {}
    moderators: dict[int, int] = {}


def _news(room_arn: str, room: RoomThere, told: _Changes | RoomThere) -> News:
    return News(room_arn, room.connections, room.position, told.users, told.bots, told.moderators)
