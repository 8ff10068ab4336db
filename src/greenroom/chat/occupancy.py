"""How many are in each room over all nodes: connections, and the users that they are of.

- Counting costs when a connection comes or goes, and nothing for a message.
- Users are distinct, and exact. One whose last connection has ended counts for `GRACE_SECONDS`
  more: an SDK replaces its connection now and then, on another node perhaps, and that the old one
  is gone may be known before it is known that the new one is there.
- A user is a key: the id on a node alone, in a cluster the number that stands for it.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from greenroom.clock import Clock

LISTED_SECONDS = 1.0
"""How long rooms that were put in order are listed so: page after page, and whoever asks."""

GRACE_SECONDS = 1.5
"""Longer than a node waits until it tells of a connection, and what it tells travels."""

User = str | int
"""What stands for a user in one room."""


class Occupancy(msgspec.Struct, frozen=True):
    """How many are in a room."""

    connections: int = 0
    users: int = 0


class _Room(msgspec.Struct):
    connections: int = 0
    users: dict[User, int] = {}
    """The connections of each."""
    leaving: dict[User, float] = {}
    """Who has none any more, and since when."""
    version: int = 0
    """Another one when somebody has come or gone; no room ever has the same again."""

    def count(self) -> Occupancy:
        return Occupancy(self.connections, len(self.users) + len(self.leaving))


_NOBODY = Occupancy()


class Occupancies:
    """Counts who is in rooms, by what it is told of each node."""

    def __init__(self, clock: Clock) -> None:
        """Make it without a connection."""
        self._clock = clock
        self._rooms: dict[str, _Room] = {}
        # Who left, in that order; some may be back, and are then not looked at.
        self._left: deque[tuple[float, str, User]] = deque()
        self._version = 0
        # By what the rooms' ARNs begin with: when they were put in order, and so they are.
        self._listed: dict[str, tuple[float, Sequence[Place]]] = {}

    def change(self, room_arn: str, user: User, number: int, *, at_once: bool = False) -> None:
        """Count connections of a user, or with a negative number no longer.

        `at_once` leaves no grace: so long ago nobody had heard of them.
        """
        if not number:
            return
        room = self._rooms.get(room_arn)
        if room is None:
            room = self._rooms[room_arn] = _Room()
        room.connections += number
        before = room.users.get(user, 0)
        after = before + number
        if after:
            room.users[user] = after
            if not before:
                room.leaving.pop(user, None)
                self._version = room.version = self._version + 1
            return
        del room.users[user]
        self._version = room.version = self._version + 1
        if not at_once:
            now = self._clock.monotonic()
            room.leaving[user] = now
            self._left.append((now, room_arn, user))
        elif not room.users and not room.leaving:
            del self._rooms[room_arn]

    def forget_left(self) -> None:
        """Count those no longer whose grace is over."""
        over = self._clock.monotonic() - GRACE_SECONDS
        while self._left and self._left[0][0] <= over:
            left, room_arn, user = self._left.popleft()
            room = self._rooms.get(room_arn)
            if room is None or room.leaving.get(user) != left:
                continue
            del room.leaving[user]
            if not room.users and not room.leaving:
                del self._rooms[room_arn]

    def of(self, room_arn: str) -> Occupancy:
        """Return how many are in a room."""
        room = self._rooms.get(room_arn)
        return _NOBODY if room is None else room.count()

    def users_of_all(self) -> int:
        """Return how many users are in each room, of all rooms together."""
        return sum(room.count().users for room in self._rooms.values())

    def with_one_more(self, room_arn: str, user: User) -> Occupancy:
        """Return how many will be in a room when a user's connection has come."""
        room = self._rooms.get(room_arn)
        if room is None:
            return Occupancy(1, 1)
        new = user not in room.users and user not in room.leaving
        now = room.count()
        return Occupancy(now.connections + 1, now.users + new)

    def users(self, room_arn: str) -> Mapping[User, int]:
        """Return who is in a room now, with the connections of each: do not change it."""
        room = self._rooms.get(room_arn)
        return {} if room is None else room.users

    def version(self, room_arn: str) -> int:
        """Return what differs when somebody has come or gone."""
        room = self._rooms.get(room_arn)
        return 0 if room is None else room.version

    def page(self, prefix: str, after: "Place | None", most: int) -> list["Place"]:
        """Return the fullest rooms whose ARNs begin so, behind a place; empty ones are not there.

        Those of most users first, then of most connections, then by ARN; as they were a second ago
        at most.
        """
        places = self._in_order(prefix)
        start = 0 if after is None else bisect_right(places, after)
        return list(places[start : start + most])

    def _in_order(self, prefix: str) -> Sequence["Place"]:
        now = self._clock.monotonic()
        if prefix not in self._listed or self._listed[prefix][0] + LISTED_SECONDS <= now:
            fresh = {
                each: listed
                for each, listed in self._listed.items()
                if now < listed[0] + LISTED_SECONDS
            }
            self._listed = {**fresh, prefix: (now, sorted(self._places(prefix)))}
        return self._listed[prefix][1]

    def _places(self, prefix: str) -> Iterator["Place"]:
        for room_arn, room in self._rooms.items():
            if room_arn.startswith(prefix):
                count = room.count()
                yield -count.users, -count.connections, room_arn


Place = tuple[int, int, str]
"""A room among others: its users and connections, both negative, and its ARN."""
