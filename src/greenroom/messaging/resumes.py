"""Where users stand whose connections broke, so that their next ones go on from there.

For applications that ask for nothing: in rooms with `resumeSeconds`.

- A connection's place is what it was shown before the last ping that it answered, or, before its
  first pong, what it began with. The ping has the place in it, and the pong brings it back: both
  come in their order, behind the frames.
- A clean end, and a token's renewal with it, leaves no place. Of several connections of a user that
  broke, each next one goes on from the oldest place. Which that is the room's order says, and not
  who broke first: pongs of a user's connections are seconds apart, and nodes hear in any order.
- In a cluster each node tells the others, which then know the places of all: `shared_places`.
- **Bound.** `MOST_PLACES` users' are kept; then the oldest go. `MOST_OF_ONE` of each; then no more.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection

import msgspec

from greenroom.clock import Clock
from greenroom.protocol.errors import DisconnectReason

MOST_PLACES = 100_000

MOST_OF_ONE = 16
"""Different places of a user: connections that break together were mostly asked at the same one."""

Oldest = Callable[[str, Collection[str]], str]
"""Returns which of some places in a room is furthest back."""

FIRST_PING_SECONDS = 1.0
"""When a connection is asked for the first time: the SDKs forget 0.5 s after a renewal."""

UNCLEAN = frozenset(
    {
        DisconnectReason.PEER_LOST,
        DisconnectReason.SILENT_PEER,
        DisconnectReason.SLOW_READER,
        DisconnectReason.DRAIN,
        DisconnectReason.INTERNAL_ERROR,
    }
)
"""The ends after which clients come back without having wanted to leave."""


class Place(msgspec.Struct, gc=False):
    """Where a connection stands, as `since` means it, and for how many seconds that is kept."""

    since: str
    seconds: int


class _Left(msgspec.Struct, gc=False):
    # In which order they were heard of says nothing.
    places: list[str]
    connections: int
    until: float


class Resumes:
    """The places, by room and user."""

    def __init__(self, clock: Clock, oldest: Oldest) -> None:
        self._clock = clock
        self._oldest = oldest
        self._left: OrderedDict[tuple[str, str], _Left] = OrderedDict()
        self.dropped = 0
        """How many have gone at the bound."""
        self.when_changed: Callable[[str, str, str, int], None] | None = None
        """Is told of a room and a user what `learn` takes, when he left here or came back here."""

    def leave(self, room: str, user_id: str, place: Place) -> None:
        """Note that a connection of a user broke; one that never stood anywhere leaves no place.

        Its room could not be read when it came, and nothing was said since.
        """
        if not place.since:
            return
        self.learn(room, user_id, place.since, place.seconds)
        if self.when_changed is not None:
            self.when_changed(room, user_id, place.since, place.seconds)

    def take(self, room: str, user_id: str) -> str:
        """Return where the next connection of a user goes on, "" if it just begins."""
        since = self._take((room, user_id))
        if since and self.when_changed is not None:
            self.when_changed(room, user_id, "", 0)
        return since

    def learn(self, room: str, user_id: str, since: str, seconds: int) -> None:
        """Note where a connection of a user stood that broke somewhere; "": one has come back."""
        key = (room, user_id)
        if not since:
            self._take(key)
            return
        left, until = self._find(key), self._clock.monotonic() + seconds
        if left is not None:
            left.connections += 1
            left.until = until
            if since not in left.places and len(left.places) < MOST_OF_ONE:
                left.places.append(since)
            return
        self._left[key] = _Left([since], 1, until)
        if len(self._left) > MOST_PLACES:
            self._left.popitem(last=False)
            self.dropped += 1

    def _take(self, key: tuple[str, str]) -> str:
        left = self._find(key) if self._left else None
        if left is None:
            return ""
        left.connections -= 1
        if not left.connections:
            del self._left[key]
        return left.places[0] if len(left.places) == 1 else self._oldest(key[0], left.places)

    def _find(self, key: tuple[str, str]) -> _Left | None:
        left = self._left.get(key)
        if left is not None and left.until < self._clock.monotonic():
            del self._left[key]
            return None
        return left
