"""The connections of one room, kept as writing to all of them wants it.

Writing wants flat arrays, coming and going wants a dict. The arrays are made at the first flush
after somebody came, went or writes another way: in a room that is being filled that is hardly ever.
"""

import asyncio
import socket
from array import array
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from greenroom.bus.base import RoomEnvelope
from greenroom.chat.occupancy import Occupancy
from greenroom.messaging.pacing import Pace
from greenroom.messaging.sockets import Connection, Way
from greenroom.model.arn import Arn
from greenroom.model.room_settings import RoomSettings
from greenroom.protocol.wishes import View
from greenroom.tls.transport import TlsTransport


class Part:
    """Connections of a room that are written to in one go, as writing wants them.

    After each message to a thousand sockets nothing else is in the processor's caches: what a flush
    needs of a connection is one number, and the connection itself is not looked at.
    """

    __slots__ = ("connections", "cost", "descriptors", "sockets", "view")

    def __init__(
        self, members: Sequence[tuple[Connection, socket.SocketType]], view: View = View.PLAIN
    ) -> None:
        # All of them are shown the same.
        self.view = view
        self.connections = tuple(connection for connection, _ in members)
        self.cost = len(members)
        self.sockets = tuple(straight for _, straight in members)
        self.descriptors = array("i", [straight.fileno() for straight in self.sockets])


class SealedPart:
    """The same of connections whose bytes are encrypted on the way, for each of them anew."""

    __slots__ = ("connections", "cost", "descriptors", "transports", "view", "writes")

    def __init__(
        self, members: Sequence[tuple[Connection, TlsTransport]], view: View = View.PLAIN
    ) -> None:
        self.view = view
        self.connections = tuple(connection for connection, _ in members)
        self.cost = len(members) * SEALED_COST
        self.transports = tuple(straight for _, straight in members)
        self.descriptors = array("i", [straight.descriptor for straight in self.transports])
        self.writes = tuple(straight.side.write for straight in self.transports)


SEALED_COST = 3
"""How many plain connections take as long to write to as one whose bytes are encrypted."""


_ALL = 1 << 30
"""More connections than a part can have had."""


class Kick(msgspec.Struct, frozen=True):
    """A user whose connections end, for a reason, behind so many of the envelopes that wait."""

    user_id: str
    reason: str
    behind: int


class Members:
    """A room's connections, and what is to be shown to them; only the fan-out writes the latter."""

    __slots__ = (
        "actions",
        "after_flush",
        "begun",
        "connections",
        "deletion_told",
        "each_seconds",
        "early",
        "ending",
        "flushed",
        "flushing",
        "kicks",
        "late",
        "loop",
        "narrow",
        "newcomers",
        "owner",
        "pace",
        "parts",
        "pending",
        "pins_looked_ms",
        "scheduled",
        "settings_told",
        "users",
        "viewers_at",
        "viewers_told",
        "views",
        "waited",
        "writing",
    )

    def __init__(self, arn: Arn) -> None:
        """Make a room without anybody in it."""
        # Asking asyncio for it costs a system call each time.
        self.loop = asyncio.get_running_loop()
        self.owner = (arn.account, arn.region)
        # A dict for its order: who joined together lies together in memory, here and in the kernel.
        self.connections: dict[Connection, Way] = {}
        # The same for writing; none when somebody came or went, or writes another way.
        self.parts: tuple[Part | SealedPart, ...] | None = None
        # How many are each user's; only where somebody asked, in a large room or by a user's name.
        self.users: Counter[str] | None = None
        # How many have each view, but the plain one: in most rooms there is no other.
        self.views: Counter[View] = Counter()
        # The settings that those who asked for events know; None: whatever holds now.
        self.settings_told: RoomSettings | None = None
        # Up to when they know of expired pins: a room that is not at hand is looked at later.
        self.pins_looked_ms: int | None = None
        # Whether they know that the room was deleted.
        self.deletion_told = False
        # How many are here as far as they were told, and when: see `viewers_teller`.
        self.viewers_told: Occupancy | None = None
        self.viewers_at = float("-inf")
        self.pending: list[RoomEnvelope] = []
        # Whether something of that is not the same for all.
        self.narrow = False
        # Of messages that viewers see later: who was shown each already.
        self.early: dict[str, frozenset[Connection]] = {}
        # Who came while it waited and was shown it, and how much of it was there before.
        self.newcomers: dict[Connection, int] = {}
        # What the flush under way shows, who came meanwhile, and how much of it he was shown then.
        self.flushing: list[RoomEnvelope] = []
        self.late: dict[Connection, int] = {}
        # Whose connections the next flush ends.
        self.kicks: list[Kick] = []
        # What is to be done after the next flush, and after the one under way.
        self.actions: list[Callable[[], None]] = []
        self.after_flush: list[Callable[[], None]] = []
        self.ending = False
        self.scheduled = False
        self.writing = False
        self.flushed = float("-inf")
        # When the flush under way began, on the clock for durations; zero when it writes nothing.
        self.begun = 0.0
        # What writing to one of many takes, where all are written to: see the fan-out.
        self.each_seconds = 0.0
        # How many frames there were when the flush to come was put off, zero when it was not.
        self.waited = 0
        self.pace = Pace()

    def join(self, connection: Connection, straight: Way) -> None:
        """Take a connection in; `straight` is where its frames are written to."""
        self.connections[connection] = straight
        self.parts = None
        if self.writing:
            self.late[connection] = 0
        if connection.view:
            self.views[connection.view] += 1
        if self.users is not None:
            self.users[connection.user_id] += 1

    def note_replayed(self, connection: Connection) -> None:
        """Take note that who has just come was shown what waits, among what was before it."""
        if self.pending:
            self.newcomers[connection] = len(self.pending)
        if self.writing:
            self.late[connection] = len(self.flushing)

    def write_to(self, connection: Connection, straight: Way) -> None:
        """Write elsewhere from now on, if the connection is still there."""
        if connection in self.connections:
            self.connections[connection] = straight
            self.parts = None

    def leave(self, connection: Connection) -> bool:
        """Take a connection out; return whether it was there."""
        if connection not in self.connections:
            return False
        del self.connections[connection]
        self.newcomers.pop(connection, None)
        self.late.pop(connection, None)
        self.parts = None
        if connection.view:
            self.views -= Counter((connection.view,))
        if self.users is not None:
            self.users[connection.user_id] -= 1
            if not self.users[connection.user_id]:
                del self.users[connection.user_id]
        return True

    def reaches(self, user_id: str, number: int) -> bool:
        """Return whether a user has so many connections here."""
        if len(self.connections) < number:
            return False
        # Counted at the first question and kept up from then on: small rooms never need it.
        if self.users is None:
            self.users = Counter(each.user_id for each in self.connections)
        return self.users[user_id] >= number

    def divided(self, size: int) -> tuple[Part | SealedPart, ...]:
        """Return the connections in slices of so many, of fewer where each takes longer.

        Each slice is of one view.
        """
        if self.parts is None:
            members = tuple(self.connections.items())
            if self.views:
                self.parts = tuple(
                    part
                    for view in View
                    for part in _parts(
                        [each for each in members if each[0].view == view], size, view
                    )
                )
            else:
                self.parts = _parts(members, size)
        return self.parts

    def present(self, part: Part | SealedPart) -> tuple[Part | SealedPart, ...]:
        """Return what is left of a part; some may have changed their way since."""
        return self.again(
            [each for each in part.connections if each in self.connections], part.view
        )

    def again(self, left: Sequence[Connection], view: View) -> tuple[Part | SealedPart, ...]:
        """Return parts of some of one, who are still there."""
        members = [(each, self.connections[each]) for each in left]
        return _parts(members, _ALL, view)

    def number(self, view: View) -> int:
        """Return how many connections have a view."""
        if view is View.PLAIN:
            return len(self.connections) - self.views.total()
        return self.views[view]

    def of_users(self, users: frozenset[str]) -> list[Connection]:
        """Return the connections of some users."""
        return [each for each in self.connections if each.user_id in users]

    def early_viewers(self, authors: frozenset[str]) -> list[Connection]:
        """Return the connections that are shown what these users wrote while it waits."""
        return [
            each
            for each in self.connections
            if each.user_id in authors or each.view is View.MODERATORS
        ]

    def tell(self, connection: Connection, data: bytes) -> None:
        """Write to one connection alone, if it is still there."""
        if data and connection in self.connections:
            connection.write(data)

    def learn(self) -> None:
        """Note whether putting the flush off brought more frames."""
        if self.waited:
            self.pace.note(gained=len(self.pending) > self.waited)
            self.waited = 0


def _parts(
    members: Sequence[tuple[Connection, Way]], size: int, view: View = View.PLAIN
) -> tuple[Part | SealedPart, ...]:
    plain: list[tuple[Connection, socket.SocketType]] = []
    sealed: list[tuple[Connection, TlsTransport]] = []
    for connection, way in members:
        if isinstance(way, TlsTransport):
            sealed.append((connection, way))
        else:
            plain.append((connection, way))
    fewer = max(1, size // SEALED_COST)
    return (
        *(Part(plain[start : start + size], view) for start in range(0, len(plain), size)),
        *(
            SealedPart(sealed[start : start + fewer], view)
            for start in range(0, len(sealed), fewer)
        ),
    )
