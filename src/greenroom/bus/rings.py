"""The newest envelopes that rooms keep, in memory: for who comes, and for who comes back.

Each room has a ring, which is contiguous: from where it begins on it holds all that its room keeps.

- A ring holds `MOST_KEPT` envelopes, and `MOST_DELETIONS` that delete beside them; then the oldest
  go, and who asks for what was before them is told that it is not complete.
- All rings together take so many bytes; then the one goes that was used longest ago, whole.
- An envelope of a room that keeps no history ends what it kept: its ring begins anew behind that.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain, count

import msgspec

from greenroom.bus.base import (
    BEGINNING,
    MOST_KEPT,
    History,
    InMemory,
    Older,
    Position,
    Recovered,
    RoomEnvelope,
)
from greenroom.model.kept_frame import MOST_DELETIONS

MOST_BYTES = 64 << 20
"""What all rings of a node take at most."""

NONE, KEPT = History.NONE, History.KEPT
# Looked up once: in Python 3.11 a member costs 50 ns each time.

RING_BYTES = 800
EACH_BYTES = 700
"""What a ring takes, and an envelope beside its payloads: itself, its strings, its place here."""


_numbers = count()


class Ring:
    """What one room keeps, from `begin` on; `filled`: what was before that is not to be had.

    `before` is what was earlier still, and something may be missing behind it; `more`: there was
    more before all that, or may have been.
    """

    __slots__ = (
        *("_all", "before", "begin", "bytes", "deletions", "filled", "kept", "more", "origin"),
        "tried_at",
    )

    def __init__(self, begin: Position) -> None:
        self.begin = begin
        self.filled = False
        # When it was last tried to fill it, by whoever does.
        self.tried_at = float("-inf")
        self.more = True
        # Of this ring alone, in this process.
        self.origin = f"{BEGINNING}{next(_numbers)}"
        self.before: Sequence[RoomEnvelope] = ()
        self.bytes = RING_BYTES
        # By their ids, oldest first.
        self.kept: OrderedDict[str, RoomEnvelope] = OrderedDict()
        # How many of them delete others.
        self.deletions = 0
        self._all: InMemory | None = None

    @property
    def counted(self) -> int:
        """Return how many it holds that count."""
        return len(self.kept) - self.deletions

    def since(self, message_id: str, position: Position) -> Recovered:
        """Return all behind an id, or all there is where that is not known."""
        if message_id not in self.kept:
            return Recovered(tuple(self.kept.values()), position, complete=False)
        behind: list[RoomEnvelope] = []
        for each, envelope in reversed(self.kept.items()):
            if each == message_id:
                break
            behind.append(envelope)
        return Recovered(tuple(reversed(behind)), position, complete=True)

    def recent(self, count: int, position: Position) -> Recovered:
        """Return so many of the newest that count, or fewer: then it is not complete."""
        kept = tuple(self.kept.values())
        found = newest(kept, count) if self.counted > count else kept
        return Recovered(found, position, complete=self.counted >= count)

    def after_reading(self, found: Recovered) -> Recovered:
        """Return what was found here when the ring was to be filled: perhaps it was not."""
        return found if self.filled else msgspec.structs.replace(found, is_unread=True)

    def newest(self) -> RoomEnvelope | None:
        """Return the newest."""
        return next(reversed(self.kept.values()), None)

    def all(self) -> InMemory:
        """Return all there is: the same object until something else is."""
        if self._all is None:
            origin = self.origin if self.filled else ""
            self._all = InMemory(tuple(self.kept.values()), self.before, self.more, origin)
        return self._all

    def changed(self) -> None:
        """Take note that something else is there than before."""
        self._all = None


class Rings:
    """The rings of a node's rooms. A room that keeps nothing has none, and costs nothing."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.bytes = 0
        self.dropped = 0
        """How many rings have gone because all together were too large."""
        self._most_bytes = most_bytes
        # The one that was used longest ago first.
        self._rings: OrderedDict[str, Ring] = OrderedDict()

    def __contains__(self, room: str) -> bool:
        return room in self._rings

    def find(self, room: str) -> Ring | None:
        """Return a room's ring, which is in use by that; None if it has none."""
        ring = self._rings.get(room)
        if ring is not None:
            self._rings.move_to_end(room)
        return ring

    def here(self, room: str) -> InMemory:
        """Return all that a room has."""
        ring = self.find(room)
        return _NOTHING if ring is None else ring.all()

    def take(self, room: str, position: Position, envelopes: Sequence[RoomEnvelope]) -> None:
        """Keep what comes next in a room, of that what is to be kept."""
        for envelope in envelopes:
            if envelope.history is KEPT:
                ring = self.of(room, position)
                self._append(ring, envelope)
                self._shrink()
            elif envelope.history is NONE and room in self._rings:
                self.forget(room)

    def of(self, room: str, begin: Position) -> Ring:
        """Return the same, or a new one that begins there."""
        ring = self.find(room)
        if ring is None:
            ring = self._rings[room] = Ring(begin)
            self.bytes += RING_BYTES
        return ring

    def fill(self, room: str, ring: Ring, older: Older) -> None:
        """Put into a ring all that was before it, or all of that which is to be had.

        What is in both is taken once. Nothing is done if it is not the room's ring any more.
        """
        if self._rings.get(room) is not ring:
            return
        kept = ring.kept
        envelopes = [each for each in older.envelopes if each.id not in kept]
        held = newest([*envelopes, *kept.values()], MOST_KEPT)
        is_all = len(held) == len(envelopes) + len(kept)
        ring.filled, ring.more = not (is_all and older.is_partial), older.more or not is_all
        ring.kept = OrderedDict((each.id, each) for each in held)
        ring.deletions = sum(bool(each.deletes) for each in held)
        ring.before = ()
        if is_all:
            before = [each for each in older.before if each.id not in ring.kept]
            ring.before = newest(before, MOST_KEPT - ring.counted)
            ring.more = ring.more or len(ring.before) < len(before)
        ring.changed()
        size = RING_BYTES + sum(map(_size, chain(held, ring.before)))
        self._weigh(ring, size - ring.bytes)
        self._shrink()

    def forget(self, room: str) -> None:
        """Keep nothing of a room any more: what comes next is not what follows."""
        ring = self._rings.pop(room, None)
        if ring is not None:
            self.bytes -= ring.bytes

    def clear(self) -> None:
        """Keep nothing any more."""
        self._rings.clear()
        self.bytes = 0

    def _append(self, ring: Ring, envelope: RoomEnvelope) -> None:
        # For each message: what it weighs is added up here, and weighed once.
        kept, size = ring.kept, _size(envelope)
        former = kept.pop(envelope.id, None)
        if former is not None:
            size -= _size(former)
            ring.deletions -= bool(former.deletes)
        kept[envelope.id] = envelope
        ring.changed()
        if envelope.deletes:
            ring.deletions += 1
        while len(kept) - ring.deletions > MOST_KEPT or ring.deletions > MOST_DELETIONS:
            _, gone = kept.popitem(last=False)
            size -= _size(gone) + sum(map(_size, ring.before))
            ring.deletions -= bool(gone.deletes)
            ring.filled, ring.more, ring.origin, ring.before = True, True, "", ()
        self._weigh(ring, size)

    def _weigh(self, ring: Ring, size: int) -> None:
        ring.bytes += size
        self.bytes += size

    def _shrink(self) -> None:
        while self.bytes > self._most_bytes:
            self.forget(next(iter(self._rings)))
            self.dropped += 1


def newest(envelopes: Sequence[RoomEnvelope], count: int) -> Sequence[RoomEnvelope]:
    """Return the newest of envelopes, so many that count."""
    deletions = MOST_DELETIONS
    for end in range(len(envelopes), 0, -1):
        if envelopes[end - 1].deletes:
            deletions -= 1
        else:
            count -= 1
        if count < 0 or deletions < 0:
            return envelopes[end:]
    return envelopes


_NOTHING = InMemory()


def _size(envelope: RoomEnvelope) -> int:
    return EACH_BYTES + len(envelope.payload) + len(envelope.marked)
