"""The messages that wait in rooms until viewers may see them, in memory, each room's in its order.

- A room is paused, or delays: then what is accepted waits. What comes behind messages that wait
  does, too, so that they stay in order when a mode has just ended.
- On the node that releases them they are here whole; on another one only what says how much waits,
  as far as it has arrived there.
- **Bound.** Of a room `MOST_MESSAGES` wait at most, and so many bytes, and of all rooms together
  `MOST_BYTES`: who sends more is refused, and told why.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence

import msgspec

from greenroom.bus.base import Audience, Deliver, History, RoomEnvelope, Stage
from greenroom.clock import Clock
from greenroom.model.held_message import HeldMessage
from greenroom.protocol.errors import ActionError, ErrorCode

MOST_MESSAGES = 5_000
"""Messages that may wait in a room: more than come in the longest delay at a hundred a second."""

MOST_ROOM_BYTES = 8 << 20
MOST_BYTES = 64 << 20
"""Bytes of frames that may wait in one room, and in all together."""

EACH_BYTES = 500
"""What a message takes beside its frame."""

MOST_GONE = 20_000
"""Messages that are remembered as released or deleted, in case that they are read once more."""

TOO_MANY = "Too many messages wait in this room: write again when it goes on"


class Waiting(msgspec.Struct, gc=False):
    """One that waits since a time on the monotonic clock; without a message: elsewhere."""

    since: float
    size: int
    message: HeldMessage | None = None


class HeldQueues:
    """What waits, by room and id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.by_room: dict[str, OrderedDict[str, Waiting]] = {}
        """The rooms in which something waits."""
        self._bytes: dict[str, int] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        """Return how many messages wait that are to be released here."""
        rooms = self.by_room.values()
        return sum(each.message is not None for room in rooms for each in room.values())

    def __contains__(self, room: str) -> bool:
        return room in self.by_room

    @property
    def rooms(self) -> Sequence[str]:
        """Return the rooms in which something waits."""
        return tuple(self.by_room)

    def check(self, room: str, request_id: str) -> None:
        """Refuse what would be too much.

        Raises:
            ActionError: 403.
        """
        queue = self.by_room.get(room, ())
        if (
            len(queue) >= MOST_MESSAGES
            or self._bytes.get(room, 0) >= MOST_ROOM_BYTES
            or self.bytes >= MOST_BYTES
        ):
            raise ActionError(ErrorCode.FORBIDDEN, TOO_MANY, request_id)

    def add(self, message: HeldMessage, since: float | None = None) -> None:
        """Have a message wait that is to be released here, unless it is known to be gone.

        It comes behind those that are to be, whatever was heard of before: who begins to follow a
        room hears of what comes now, and is told of what was before as he reads it.
        """
        if message.id in self._gone:
            return
        known = self._queue(message.room).get(message.id)
        if known is not None:
            known.message = message
            self._queue(message.room).move_to_end(message.id)
            return
        at = self._clock.monotonic() if since is None else since
        size = len(message.payload) + len(message.marked) + EACH_BYTES
        self._put(message.room, message.id, Waiting(at, size, message))

    def note(self, room: str, envelopes: Iterable[RoomEnvelope]) -> None:
        """Take note of what has arrived: messages that wait, and those that no longer do."""
        for each in envelopes:
            if each.stage is NONE and not each.deletes:
                continue
            if each.stage.waits:
                if each.id not in self._gone and each.id not in self._queue(room):
                    size = len(each.payload) + len(each.marked) + EACH_BYTES
                    self._put(room, each.id, Waiting(self._clock.monotonic(), size))
            elif each.stage is RELEASED:
                self.remove(room, (each.id,))
            else:
                self.remove(room, each.deletes)

    def _queue(self, room: str) -> OrderedDict[str, Waiting]:
        return self.by_room.get(room, _NOTHING)

    def _put(self, room: str, message_id: str, waiting: Waiting) -> None:
        self.by_room.setdefault(room, OrderedDict())[message_id] = waiting
        self._bytes[room] = self._bytes.get(room, 0) + waiting.size
        self.bytes += waiting.size

    def oldest(self, room: str) -> Waiting | None:
        """Return what has waited for longest in a room, wherever it is to be released."""
        return next(iter(self._queue(room).values()), None)

    def first(self, room: str) -> Waiting | None:
        """Return the next of a room that is to be released here."""
        return next((each for each in self._queue(room).values() if each.message), None)

    def is_here(self, room: str, message_id: str) -> bool:
        """Return whether a message waits to be released here."""
        waiting = self._queue(room).get(message_id)
        return waiting is not None and waiting.message is not None

    def has_over(self, ids: Iterable[str]) -> bool:
        """Return whether some message waited here once, and no longer does."""
        return any(each in self._gone for each in ids)

    def replace(self, room: str, messages: Sequence[HeldMessage], now_ns: int) -> None:
        """Have messages wait to be released here that were kept, before what has come since."""
        now, before = self._clock.monotonic(), self.by_room.pop(room, OrderedDict())
        self.bytes -= self._bytes.pop(room, 0)
        for each in messages:
            since = now - max(0.0, (now_ns - each.time_ns) / 1e9)
            known = before.pop(each.id, None)
            self.add(each, since if known is None else known.since)
        for message_id, waiting in before.items():
            self._put(room, message_id, waiting)

    def remove(self, room: str, ids: Collection[str]) -> list[str]:
        """Have messages wait no longer; return those of them that did."""
        queue = self._queue(room)
        removed = [each for each in ids if each in queue]
        for each in removed:
            size = queue.pop(each).size
            self._bytes[room] -= size
            self.bytes -= size
        for each in ids:
            self._gone[each] = None
        while len(self._gone) > MOST_GONE:
            self._gone.popitem(last=False)
        self._forget_empty(room)
        return removed

    def ids(self, room: str) -> list[str]:
        """Return those that wait in a room, oldest first."""
        return list(self.by_room.get(room, ()))

    def give_up(self, rooms: Iterable[str]) -> None:
        """Release those of some rooms no longer: another node does. How many wait still counts."""
        for room in rooms:
            for each in self._queue(room).values():
                each.message = None

    def unfollowed(self, room: str) -> None:
        """Forget what was noted of a room of which nothing arrives any more."""
        queue = self._queue(room)
        noted = {each: waiting for each, waiting in queue.items() if waiting.message is None}
        for each, waiting in noted.items():
            del queue[each]
            self._bytes[room] -= waiting.size
            self.bytes -= waiting.size
        self._forget_empty(room)

    def _forget_empty(self, room: str) -> None:
        if room in self.by_room and not self.by_room[room]:
            del self.by_room[room], self._bytes[room]


_NOTHING: OrderedDict[str, Waiting] = OrderedDict()

NONE, WAITS, RELEASED = Stage.NONE, Stage.WAITS, Stage.RELEASED
EVERYBODY = Audience.EVERYBODY
# Looked up once: in Python 3.11 a member costs 50 ns each time.


def held(shown: Deliver, author: str) -> Deliver:
    """Return a message as it is shown until it is released."""
    return msgspec.structs.replace(
        shown,
        audience=Audience.SHADOWED,
        user_id=author,
        author=author,
        configurations=(),
        history=History.PASSING,
        stage=WAITS if shown.audience is EVERYBODY else Stage.APART,
    )
