"""A room's flush on its way: whom it is written to, in which order, and what each of them is shown.

Mostly all are shown the same bytes. Who is addressed by name, or came with history meanwhile, has
bytes of his own, in his turn: behind those who joined before him, and before those after him.

A shadowed user's frames go to him and to moderators alone, and nothing must tell him that. So where
others are not written to, the time passes that it would take, before him and behind him: as long as
writing to as many of the room took of late, when all were. Nobody but the room waits for that, as
behind any message.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from time import perf_counter

from greenroom.bus.base import Audience, RoomEnvelope, Stage
from greenroom.chat.history import NOT_REPLAYED
from greenroom.messaging.members import Members, Part, SealedPart
from greenroom.messaging.sockets import Connection
from greenroom.messaging.views import is_by_name, payload_for
from greenroom.protocol.frames import text_frame
from greenroom.protocol.wishes import View

EACH_SECONDS = 5e-6
"""What writing to a connection takes, in a room of which nothing is known yet."""

TICK = 0.003
"""What a timer may be late by: the last so many seconds are waited turn by turn.

That takes no more of the processor than writing would."""

SHORTEST = 0.0001
"""What is not waited for: a turn of the loop would take longer."""

AnyPart = Part | SealedPart
Step = Sequence[tuple[AnyPart, bytes]]


class Write:
    """What is written to parts of a room, a part in a turn, and how many of them have it."""

    __slots__ = ("_data", "_made_of", "_number", "_parts", "ended", "is_whole", "room")

    ended: bool
    """Whether nobody is left to be written to, when somebody was asked for."""

    def __init__(self, room: Members, parts: Sequence[AnyPart], data: bytes = b"") -> None:
        self.room, self._parts, self._data = room, parts, data
        self._made_of = room.parts
        self._number = 0
        self.is_whole = True
        """Whether everybody in the room is written to."""

    def next_parts(self) -> Step:
        """Return those who are next and still there, and what they are shown."""
        number, parts = self._number, self._parts
        self._number = after = number + 1
        self.ended = after >= len(parts)
        return self._present(parts[number], self._data) if parts else ()

    def pause(self) -> float:
        """Return how many seconds there are until it goes on."""
        return 0.0

    def _present(self, part: AnyPart, data: bytes) -> Step:
        if self.room.parts is self._made_of:
            return ((part, data),)
        return [(each, data) for each in self.room.present(part)]


class Arranged(Write):
    """The same where not all are shown the same: a step in a turn, a step of nothing is a pause."""

    __slots__ = ("_seconds", "_steps", "_until")

    def __init__(
        self, room: Members, steps: Sequence[Step], seconds: float, *, is_whole: bool
    ) -> None:
        """Make it of steps; where nothing is shown `seconds` pass for each connection."""
        super().__init__(room, ())
        self._steps, self._seconds, self._until = steps, seconds, 0.0
        self.is_whole = is_whole

    def next_parts(self) -> Step:
        shown: Step = ()
        while not shown and self._number < len(self._steps) and not self.pause():
            step = self._steps[self._number]
            self._number += 1
            if step[0][1]:
                shown = [each for part, data in step for each in self._present(part, data)]
            else:
                passing = sum(len(part.connections) for part, _ in step) * self._seconds
                if passing > SHORTEST:
                    self._until = perf_counter() + passing
        self.ended = self._number >= len(self._steps) and not self.pause()
        return shown

    def pause(self) -> float:
        return max(0.0, self._until - perf_counter()) if self._until else 0.0


Seen = Mapping[Connection, set[str]]
"""The ids of what each connection was shown long before it is for all."""

NOTHING: Seen = {}

RELEASED = Stage.RELEASED
# Looked up once: in Python 3.11 a member costs 50 ns each time.


class Data:
    """What each connection is shown of some envelopes, joined once for all who see the same."""

    def __init__(self, envelopes: Sequence[RoomEnvelope], seen: Seen = NOTHING) -> None:
        self._envelopes, self._seen = envelopes, seen
        self.named = frozenset(each.user_id for each in envelopes if is_by_name(each))
        """The users who are shown some of them by their name."""
        self._joined: dict[tuple[str | None, View, int, frozenset[str]], bytes] = {}

    def of(self, connection: Connection, before: int) -> bytes:
        """Return what a connection is shown that was shown so many of them when it came."""
        user_id = connection.user_id if connection.user_id in self.named else None
        known = frozenset(self._seen.get(connection, ()))
        key = user_id, connection.view, before, known
        if key not in self._joined:
            new = new_to(self._envelopes, before)
            if known:
                new = [one for one in new if one.stage is not RELEASED or one.id not in known]
            self._joined[key] = joined(new, connection.view, user_id)
        return self._joined[key]


def seen_before(room: Members) -> Seen:
    """Return who has seen what of what is about to be written; note who is shown what waits."""
    seen: dict[Connection, set[str]] = {}
    newcomers = room.newcomers
    waiting = [each for each in room.pending if each.stage.waits]
    if waiting:
        # Nobody else is shown it: of a large room that is next to nobody.
        among = room.early_viewers(frozenset(each.user_id for each in waiting))
        note_waiting(room, room.pending, [(each, newcomers.get(each, 0)) for each in among])
    for envelope in room.pending if room.early else ():
        for deleted in envelope.deletes:
            room.early.pop(deleted, None)
        if envelope.stage is RELEASED:
            for each in room.early.pop(envelope.id, ()):
                if each in room.connections:
                    seen.setdefault(each, set()).add(envelope.id)
    return seen


def note_waiting(
    room: Members, envelopes: Sequence[RoomEnvelope], shown: Collection[tuple[Connection, int]]
) -> None:
    """Note who is shown those of the envelopes that wait, if he was shown so many before."""
    for place, envelope in enumerate(envelopes):
        if not envelope.stage.waits:
            continue
        seers = {
            each
            for each, before in shown
            if before <= place and payload_for(envelope, each.view, each.user_id) is not None
        }
        room.early[envelope.id] = room.early.get(envelope.id, frozenset()) | seers


def arranged(room: Members, shown: Sequence[bytes], size: int, seen: Seen = NOTHING) -> Write:
    """Return a flush of what waits in a room, in which not all are shown the same.

    `shown` is what each view is, in the order of the views; a part has so many connections at most.
    """
    data = Data(room.pending, seen)
    of_users = room.of_users(data.named) if data.named else ()
    here = {each.user_id for each in of_users}
    is_secret = any(_is_secret(each) and each.user_id in here for each in room.pending)
    apart = dict.fromkeys((*of_users, *seen), 0) | room.newcomers

    def own(connection: Connection) -> bytes | None:
        before = apart.get(connection)
        return None if before is None else data.of(connection, before)

    steps: list[Step] = []
    is_whole = True
    for part in room.divided(size):
        others = shown[part.view]
        if apart.keys().isdisjoint(part.connections):
            pieces = [(part, others)]
        else:
            pieces = [
                (piece, others if his is None else his)
                for his, run in groupby(part.connections, own)
                for piece in room.again(tuple(run), part.view)
            ]
        steps += _steps(pieces, with_pauses=is_secret)
        is_whole = is_whole and all(data for _, data in pieces)
    return Arranged(room, steps, room.each_seconds or EACH_SECONDS, is_whole=is_whole)


def _is_secret(envelope: RoomEnvelope) -> bool:
    """Return whether nobody is to know that an envelope is not for all.

    What waits is for its author alone at first, whoever that is.
    """
    return envelope.audience is Audience.SHADOWED and not envelope.stage.waits


def _steps(pieces: Sequence[tuple[AnyPart, bytes]], *, with_pauses: bool) -> Iterator[Step]:
    """Give pieces of a part that are written to in one turn; between them those that are not."""
    for is_shown, step in groupby(pieces, lambda piece: bool(piece[1])):
        if is_shown or with_pauses:
            yield tuple(step)


def joined_all(envelopes: Sequence[RoomEnvelope]) -> bytes:
    """Return the frames of those envelopes, which everybody is shown, joined."""
    return b"".join([text_frame(envelope.payload) for envelope in envelopes])


def joined(envelopes: Sequence[RoomEnvelope], view: View, user_id: str | None = None) -> bytes:
    """Return the frames of those envelopes that a view is shown, or a user in it, joined."""
    payloads = (payload_for(envelope, view, user_id) for envelope in envelopes)
    return b"".join([text_frame(payload) for payload in payloads if payload is not None])


def new_to(envelopes: Sequence[RoomEnvelope], before: int) -> Sequence[RoomEnvelope]:
    """Return what is shown to who was shown history when so many of the envelopes were there."""
    told = [each for each in envelopes[:before] if each.action in NOT_REPLAYED]
    return [*told, *envelopes[before:]]
