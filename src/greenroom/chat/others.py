"""What the other nodes have told of themselves: their connections, counted by room and owner."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec
import structlog

from greenroom.bus.base import Position
from greenroom.chat.announcements import Announcement, News
from greenroom.chat.occupancy import Occupancies
from greenroom.model.arn import Arn

SILENT_SECONDS = 2.5
"""A node that was silent for so long is taken for dead: at the third tick without a word of it."""

Owner = tuple[str, str]
"""An account, and a region of it."""

log = structlog.get_logger()


class RoomThere(msgspec.Struct):
    """What one node has of a room; users by their numbers, with the connections of each.

    `bots` are the connections of bots among them, `moderators` those that may moderate.
    """

    owner: Owner
    connections: int = 0
    position: Position = 0
    users: dict[int, int] = {}
    bots: dict[int, int] = {}
    moderators: dict[int, int] = {}

    def count(self, user: int, change: int) -> None:
        """Add connections of a user, or take some away."""
        _count(self.users, user, change)

    def count_bot(self, user: int, change: int) -> None:
        """Do the same of a bot, besides."""
        _count(self.bots, user, change)

    def count_moderator(self, user: int, change: int) -> None:
        """Do the same of who may moderate, besides."""
        _count(self.moderators, user, change)


def _count(numbers: dict[int, int], user: int, change: int) -> None:
    number = numbers.get(user, 0) + change
    if number:
        numbers[user] = number
    else:
        numbers.pop(user, None)


class _Node(msgspec.Struct):
    """Another node. `number` is its last announcement's, `heard` when that came."""

    heard: float = 0.0
    number: int = 0
    skew_ns: int = 0
    rooms: dict[str, RoomThere] = {}
    # Until it has told everything, what it tells are changes of something unknown.
    known: bool = False
    # The part of everything that has come, while more of it is to come.
    coming: list[News] = []
    name: str = ""


class Others:
    """The other nodes, as far as they have told."""

    def __init__(self, learned: Callable[[News], None], occupancies: Occupancies) -> None:
        """Make it without a node; `learned` is told of each piece of news.

        In `occupancies` those who are there are counted.
        """
        self._learned = learned
        self._occupancies = occupancies
        self._nodes: dict[str, _Node] = {}
        self._rooms: Counter[str] = Counter()
        self._owners: Counter[Owner] = Counter()
        self.when_silent: Callable[[str, float, Mapping[str, RoomThere]], None] = _pass_over
        """Is told of a node that is taken for dead what `told_by` returned."""

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, node: str) -> bool:
        return node in self._nodes

    def names(self) -> frozenset[str]:
        """Return the nodes."""
        return frozenset(self._nodes)

    def connections_in(self, room_arn: str) -> int:
        """Return how many connections a room has on other nodes."""
        return self._rooms[room_arn]

    def connections_of(self, owner: Owner) -> int:
        """Return how many connections of an account in a region other nodes have."""
        return self._owners[owner]

    def connections_of_user(self, room_arn: str, user: int) -> int:
        """Return how many connections a user has in the room on other nodes."""
        rooms = (node.rooms.get(room_arn) for node in self._nodes.values())
        return sum(room.users.get(user, 0) for room in rooms if room is not None)

    def with_user(self, room_arn: str, user: int) -> list[str]:
        """Return the nodes on which a user is in a room."""
        rooms = ((name, node.rooms.get(room_arn)) for name, node in self._nodes.items())
        return [name for name, room in rooms if room is not None and user in room.users]

    def told_by(self, name: str) -> tuple[float, Mapping[str, RoomThere]]:
        """Return at which monotonic time a node was heard last, and what it has in its rooms."""
        node = self._nodes.get(name)
        return (float("-inf"), {}) if node is None else (node.heard, node.rooms)

    def is_moderator(self, room_arn: str, user: int) -> bool:
        """Return whether a user has a connection in the room on another node that may moderate."""
        rooms = (node.rooms.get(room_arn) for node in self._nodes.values())
        return any(user in room.moderators for room in rooms if room is not None)

    def skew_ns(self) -> int:
        """Return by how many nanoseconds the wall clock of another node differs at most."""
        return max((abs(node.skew_ns) for node in self._nodes.values()), default=0)

    def unknown(self) -> list[str]:
        """Return the nodes that are to tell everything."""
        return [name for name, node in self._nodes.items() if not node.known]

    def hear(self, told: Announcement, me: str, now: float, wall_ns: int) -> None:
        """Take in what another node has told, at a monotonic and a wall time.

        Raises:
            ValueError: it names what is no room.
        """
        node = self._nodes.get(told.node)
        if node is None:
            log.info("another node is there", node=told.node, name=told.name)
            node = self._nodes[told.node] = _Node(name=told.name)
        node.heard, node.skew_ns = now, told.sent_ns - wall_ns
        if told.number != node.number + 1:
            # Something was missed: changes are of no use before everything is known again. Until
            # then the counts are those of before.
            node.coming, node.known = [], False
        node.number = told.number
        if not told.whole_for:
            if node.known:
                self._learn(node, told.news)
        elif me in told.whole_for:
            node.coming += told.news
            if not told.more:
                self._replace(node)

    def forget(self, name: str, *, at_once: bool = True) -> None:
        """Forget a node, and what it has told; but `at_once` its users are still expected back."""
        node = self._nodes.pop(name, None)
        if node is not None:
            self._forget_rooms(node, at_once=at_once)

    def leave(self, name: str) -> None:
        """Forget a node that says that it ends."""
        if name in self._nodes:
            log.info("another node has left", node=name, name=self._nodes[name].name)
            self.forget(name, at_once=False)

    def forget_silent(self, now: float) -> None:
        """Forget the nodes that were silent for long, at a monotonic time."""
        for name, node in list(self._nodes.items()):
            if now - node.heard >= SILENT_SECONDS:
                event = "another node is silent: it is taken for dead"
                log.warning(event, node=name, name=node.name)
                self.when_silent(name, node.heard, node.rooms)
                self.forget(name)

    def _replace(self, node: _Node) -> None:
        """Know of a node what it has told as everything, and nothing else."""
        coming, node.coming = node.coming, []
        # Whoever is still there comes back in the same turn of the loop.
        self._forget_rooms(node, at_once=False)
        self._learn(node, coming)
        node.known = True

    def _learn(self, node: _Node, told: Sequence[News]) -> None:
        for news in told:
            room = node.rooms.get(news.room)
            if room is None:
                room = node.rooms[news.room] = RoomThere(owner_of(news.room))
            self._count(news.room, room.owner, news.connections - room.connections)
            room.connections, room.position = news.connections, news.position
            for user, change in news.users.items():
                room.count(user, change)
                bots = news.bots.get(user, 0)
                if bots:
                    room.count_bot(user, bots)
                moderators = news.moderators.get(user, 0)
                if moderators:
                    room.count_moderator(user, moderators)
                self._occupancies.change(news.room, user, change - bots)
            if not room.connections:
                del node.rooms[news.room]
            self._learned(news)

    def _forget_rooms(self, node: _Node, *, at_once: bool) -> None:
        rooms, node.rooms = node.rooms, {}
        change = self._occupancies.change
        for room_arn, room in rooms.items():
            self._count(room_arn, room.owner, -room.connections)
            for user, number in room.users.items():
                change(room_arn, user, room.bots.get(user, 0) - number, at_once=at_once)

    def _count(self, room_arn: str, owner: Owner, change: int) -> None:
        self._rooms[room_arn] += change
        if not self._rooms[room_arn]:
            del self._rooms[room_arn]
        self._owners[owner] += change
        if not self._owners[owner]:
            del self._owners[owner]


def _pass_over(_name: str, _heard: float, _rooms: Mapping[str, RoomThere]) -> None:
    """Nobody asks."""


def owner_of(room_arn: str) -> Owner:
    """Return the account and the region of a room.

    Raises:
        ValueError: it is no ARN of a room.
    """
    arn = Arn.parse(room_arn)
    return arn.account, arn.region
