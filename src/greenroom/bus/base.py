"""The ports between nodes, and what every adapter of them guarantees.

A room has an order, the rest has not: what is shown in a room goes through its `RoomLine`, what
nodes have to forget or to learn goes through `Control`, and who is where through `Peers`. What was
shown in a room lately is given again by `RoomHistory`.

`RoomLine`:

- **Order.** Every node that follows a room is shown the same envelopes in the same order. Positions
  rise in that order; nothing else can be told from them.
- **Delivery.** What is published after a node began to follow arrives there once, without a gap,
  the publisher's own included. A room that nobody follows on a node costs that node nothing.
- **Outcome.** A publication is known to be in the room's order, or what `grant` raised is raised
  and nobody sees it. BusUnavailable leaves it open, unless it says that it is not published: it may
  be in the order by then, or come into it later, once.
- **Rate.** What counts for a room's rate is told to `on_debit` on every node that knows the room,
  as soon as it has its place there, and before anything is granted behind it.
- **Waiting.** An adapter that knows the outcome at once returns it; another returns what to await,
  and nothing waits for ever: what cannot be published in time raises BusUnavailable.

`RoomHistory`:

- **What is kept.** Of the rooms whose envelopes say so the newest, for a time and up to a bound;
  the store keeps them for longer. Ids decide, not positions.
- **Complete or not.** An answer that says `complete` misses nothing. One that does not may miss
  something before its first envelope; within it there is no gap. What was trimmed, lost, never kept
  or cannot be read now is not known, and so is an id of another room.
- **The seam.** An answer tells the position up to which it goes. What is behind that arrives, in a
  room that is followed: so who follows first, asks then, and leaves out of what arrived meanwhile
  what is not behind that position, has each envelope once, without a gap.
- **Waiting.** What is in memory is returned at once, always so if the room is followed and the id
  is known here. Otherwise there is something to await, which does not take long and raises nothing:
  many who ask for one room at once have it read once.

`Control`:

- **Delivery.** Each envelope reaches every node that is connected, the sender included. A node that
  may have missed some is told by `on_reset`; so is one that had subscribed and not started when
  they came. What a node broadcasts before its own start reaches the others.
- **Order.** What one node sends arrives in its order. Receivers of one type hear it one after
  another, as they subscribed.
- **Waiting.** `broadcast` never waits; it raises nothing when a node is away.

`Peers` carries what soon becomes untrue, and is said again: it may be lost.

Receivers run on the event loop; they must not raise or block. Before `start` and after `close`
nobody is told anything.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from enum import StrEnum
from typing import ClassVar, Protocol, TypeVar

import msgspec

from greenroom.bus.figures import Figures, HistoryFigures
from greenroom.model.errors import ServiceUnavailableException
from greenroom.process.start_refused import StartRefused


class BusUnavailable(ServiceUnavailableException):
    """It is not published in time; the text tells whether it still may be, or is not at all.

    `is_open` tells it, too.
    """

    def __init__(self, message: str, *, is_open: bool = False) -> None:
        super().__init__(message)
        self.is_open = is_open

    @property
    def code(self) -> str:
        return "ServiceUnavailableException"


class BusRefused(StartRefused):
    """The bus cannot be used: the message is one clear line for the operator."""


class BusUnreachable(BusRefused):
    """No server answers, or who answers does not let us in or is not who it should be."""


class Audience(StrEnum):
    """Who in a room is shown a frame: stored, and read by nodes of other versions.

    One that does not know an audience leaves its frames out, and 0.2.0 cannot read a history that
    has any: say by other members what is new.
    """

    EVERYBODY = "everybody"
    SENDER = "sender"
    """The connections of the user that `Deliver.user_id` names."""
    YOU = "you"
    """Those of them that asked for the service's own events."""
    SHADOWED = "shadowed"
    """The same, and the moderators: of a deletion those alone whom its `action` is for."""
    MODERATORS = "moderators"
    """The connections that may moderate, and asked for events."""
    EVENTS = "events"
    """The connections that asked for the service's own events.

    With `Deliver.user_id` that user's are shown what moderators are.
    """
    PLAIN = "plain"
    """The connections that did not."""


class History(StrEnum):
    """What becomes of an envelope when it has been shown."""

    NONE = "none"
    """The room keeps no history: what it kept before is not followed by this, and not given."""
    KEPT = "kept"
    """Who comes back is shown it. Its id must be its own."""
    PASSING = "passing"
    """It is soon untrue: nobody is shown it later, and nothing is missing without it."""


class Stage(StrEnum):
    """Where a message stands that viewers see later than others."""

    NONE = ""
    """It does not wait, and did not."""
    WAITS = "waits"
    """It was accepted: its author and moderators are shown it, and it is kept until it is released,
    or deleted. Its audience is SHADOWED, and in history it is PASSING."""
    APART = "apart"
    """It waits as others do, and is for its author and moderators alone then, too."""
    RELEASED = "released"
    """It has waited: now it has its place in the room, byte for byte the same."""

    @property
    def waits(self) -> bool:
        """Return whether it waits now."""
        return self is Stage.WAITS or self is Stage.APART


class Deliver(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """Give a frame's JSON text to its audience in the room. `action` labels it in metrics.

    `id` is the message's or event's, `time_ns` its SendTime in nanoseconds since the epoch.
    `configurations` are the ARNs of the logging configurations that it is recorded for. `rate` is
    the room's rate, a second, that it was counted against; 0: it counts for none. `marked` is the
    frame for moderators where theirs differs, as by a mark on its sender. `author` is the user who
    wrote a message that is kept; `deletes` are the ids of the messages that are no longer shown
    when this has been. `stage`: it is one of the messages that viewers see later than others.
    """

    payload: bytes
    action: str
    audience: Audience = Audience.EVERYBODY
    user_id: str = ""
    id: str = ""
    time_ns: int = 0
    configurations: tuple[str, ...] = ()
    rate: int = 0
    history: History = History.NONE
    marked: bytes = b""
    author: str = ""
    deletes: tuple[str, ...] = ()
    stage: Stage = Stage.NONE


class Disconnect(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Give an event to everybody in the room, then close the user's connections there.

    The members that `Deliver` has as well mean the same.
    """

    action: ClassVar[str] = "DisconnectUser"
    rate: ClassVar[int] = 0
    audience: ClassVar[Audience] = Audience.EVERYBODY
    marked: ClassVar[bytes] = b""
    author: ClassVar[str] = ""
    deletes: ClassVar[tuple[str, ...]] = ()
    stage: ClassVar[Stage] = Stage.NONE

    payload: bytes
    user_id: str
    reason: str
    id: str = ""
    time_ns: int = 0
    configurations: tuple[str, ...] = ()
    history: History = History.NONE


RoomEnvelope = Deliver | Disconnect
"""What has a place in a room's order."""

MOST_KEPT = 1000
"""Envelopes that are kept in memory of one room: who missed more is not told of each any more.

Those that delete do not count: there may be `MOST_DELETIONS` more.
"""

Position = int
"""A place in a room's order: it rises, with gaps, and means nothing in another room."""


class Before(msgspec.Struct, frozen=True, gc=False):
    """What stands before a publication in its room.

    `time_ns` is the SendTime of the last one. `undebited` of them count for the room's rate and
    were not told to `on_debit` yet. `deleted` are the ids of the messages that those delete which
    were granted just before, and have not arrived yet.
    """

    time_ns: int
    undebited: int
    deleted: tuple[str, ...] = ()


Grant = Callable[[Before], RoomEnvelope]
"""Decides what is published, when everything earlier in the room is known here.

It returns the envelope, its send time behind all earlier ones, or raises what refuses it. An
adapter that finds out too late that others were faster asks again before each attempt: only the
last answer counts, so a grant takes nothing; what it let through is debited when it has its place.
"""

Debit = Callable[[str, int, float], None]
"""Takes something off the rate of a room: its ARN, the rate a second, and how many seconds ago."""


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """What came next in a room, in its order; `position` is that of the last envelope."""

    room: str
    position: Position
    envelopes: Sequence[RoomEnvelope]


class Recovered(msgspec.Struct, frozen=True, gc=False):
    """What a room has kept, oldest first, up to a position; `complete`: nothing of it is missing.

    It goes up to `position`, though what stands there may not be kept. `is_unread`: there may be
    more before it, which could not be read now.
    """

    envelopes: Sequence[RoomEnvelope]
    position: Position
    complete: bool
    is_unread: bool = False


class InMemory(msgspec.Struct, frozen=True, weakref=True):
    """What is in memory of a room, oldest first: nothing is missing within `envelopes`.

    `before` is what was earlier, and something may be missing behind it. `more`: there was more
    before that, or may have been. `origin` is like the id of something before the first of
    `envelopes`, as long as nothing is missing since it was told; "": there is no such.
    """

    envelopes: Sequence[RoomEnvelope] = ()
    before: Sequence[RoomEnvelope] = ()
    more: bool = True
    origin: str = ""


BEGINNING = "-"
"""How `InMemory.origin` begins, as no id does; alone it is before all that a room ever kept."""


class Older(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a room, oldest first, as `InMemory` has it.

    `is_partial`: what is kept of it for longest is not among it, and is still to be read.
    """

    envelopes: Sequence[RoomEnvelope] = ()
    before: Sequence[RoomEnvelope] = ()
    more: bool = False
    is_partial: bool = False


class Keeper(Protocol):
    """Keeps what rooms have shown for longer than memory does."""

    @property
    def rooms(self) -> Collection[str]:
        """The rooms of which something is kept: they are told to `take`, whatever it is."""

    def take(self, room: str, envelope: RoomEnvelope) -> None:
        """Keep what comes next in a room, if it is to be kept."""

    async def appended(self) -> None:
        """Wait until what was given to `take` is kept.

        Raises:
            ServiceUnavailableException: that takes too long, or some of it will never be.
        """

    async def older(self, room: str) -> Older:
        """Return what is kept of a room: all that was given to `take` before the call.

        Raises:
            ServiceUnavailableException: it cannot be read now.
        """


class RoomChanged(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Forget what is cached of the room: it was updated."""

    room: str


class RoomDeleted(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Forget what is cached of the room: it is gone. Its connections stay, and can be ended."""

    room: str


class IdentitiesChanged(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Forget what is cached of who may do what in the account."""

    account: str


class AccountSuspended(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Refuse what the account would change or publish, or no longer do so."""

    account: str
    suspended: bool


class TokenKeysChanged(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Read the keys of chat tokens again; end the connections that `killed` has let in, if any."""

    killed: str


class RestrictionsChanged(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Read what is new of the restrictions of an account's users: there is this version now."""

    account: str
    version: int


class LoggingConfigurationChanged(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Look at the logging configuration anew: deliver to its present destination from now on."""

    configuration: str


class JournalGrew(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Deliver: another node may have added records for these logging configurations."""

    configurations: tuple[str, ...]


ControlEnvelope = (
    RoomChanged
    | RoomDeleted
    | TokenKeysChanged
    | IdentitiesChanged
    | AccountSuspended
    | RestrictionsChanged
    | LoggingConfigurationChanged
    | JournalGrew
)
"""What every node is to know, whichever rooms it follows: its caches hold others, too."""

E = TypeVar("E", bound=ControlEnvelope)

Renew = Callable[[], Awaitable[object] | None]
"""Forgets what may be out of date; returns what is done when it was read again, if anything is.

A bus that had no connection is back when that is done, or takes too long.
"""


class RoomLine(Protocol):
    """Puts what happens in a room in one order, and carries it to the nodes that follow it."""

    @property
    def skew_ns(self) -> int:
        """How far the clocks of those who publish may lie apart: 0 where there is only one."""

    def on_arrival(self, receiver: Callable[[Arrival], None]) -> None:
        """Call the receiver with what arrives in the rooms that this node follows."""

    def on_debit(self, receiver: Debit) -> None:
        """Call the receiver with each envelope that counts for its room's rate.

        With all of rooms that this node follows or publishes in, those of the second before it
        began to included.
        """

    def follow(self, room: str) -> Awaitable[None] | None:
        """Have arrive here what is published in the room from now on.

        Return what to await until that is so, if it is not yet. An adapter that cannot reach the
        others has it arrive later, from now on all the same, and lets nobody wait for that.
        """

    def unfollow(self, room: str) -> None:
        """Have nothing arrive of the room from now on."""

    def publish(self, room: str, grant: Grant) -> Position | Awaitable[Position]:
        """Publish in the room what `grant` returns; return where it stands, or what to await.

        Raises (at once, or when awaited): what `grant` raises, and nothing is published then;
        BusUnavailable. Who no longer awaits it leaves its outcome open.
        """

    def kept(self) -> Awaitable[None] | None:
        """Return what is done when all published by now, if it is kept, outlives this process.

        None: it does.

        Raises (when awaited):
            ServiceUnavailableException: that takes too long, or some of it will never be.
        """

    def settled(self) -> asyncio.Future[None] | None:
        """Return what is done when everything published by now has its outcome; None: it has."""


class RoomHistory(Protocol):
    """Gives again what was shown in a room that keeps it."""

    def since(self, room: str, message_id: str) -> Recovered | Awaitable[Recovered]:
        """Return all behind the envelope with that id; if it is not known, all there is."""

    def recent(self, room: str, count: int) -> Recovered | Awaitable[Recovered]:
        """Return so many of the newest that count; it is not complete if there are fewer."""

    def newest(self, room: str) -> RoomEnvelope | None:
        """Return the newest that is in memory, None if none is."""

    def here(self, room: str) -> InMemory:
        """Return what is in memory now, up to what has arrived here."""


class Control(Protocol):
    """Tells every node what to forget or to learn."""

    def on(self, kind: type[E], receiver: Callable[[E], None]) -> None:
        """Call the receiver with every envelope of one type."""

    def on_reset(self, receiver: Renew) -> None:
        """Call the receiver when envelopes may have been missed: forget every cache."""

    def broadcast(self, envelope: ControlEnvelope) -> None:
        """Send the envelope to every node, this one included."""


class About(StrEnum):
    """What nodes announce: who is interested in one kind is told of that alone."""

    PRESENCE = "news"
    RATES = "rates"
    STATE = "state"
    ASKED = "asked"
    USERS = "users"
    PLACES = "places"


class Peers(Protocol):
    """Tells the other nodes what is true of this one; who is not there is told nothing later."""

    def announce(self, payload: bytes, about: About = About.PRESENCE) -> None:
        """Send the bytes to every node that is connected, perhaps this one too; never wait."""

    def on_announcement(
        self, receiver: Callable[[bytes], None], about: About = About.PRESENCE
    ) -> None:
        """Call the receiver with what nodes announce, each one's in its order, with gaps."""


class Bus(RoomLine, RoomHistory, Control, Peers, Protocol):
    """All these ports over one connection, and when it begins and ends."""

    @property
    def figures(self) -> Figures | None:
        """What it counts of its work; None where publishing is a call."""

    @property
    def rings(self) -> HistoryFigures:
        """What it keeps in memory of rooms' history."""

    async def start(self) -> None:
        """Begin to tell the receivers."""

    def stop(self) -> None:
        """Stop telling them: they are about to end."""

    async def close(self) -> None:
        """Stop telling them, and end; what the other nodes are to know is sent before."""
