"""Shows the connections of a room what arrives there, all of them the same bytes.

- Frames that wait are joined once per room and the same bytes are written to every connection: a
  burst of k messages costs one write per connection, not k.
- Where connections asked for more than IVS Chat has, frames are joined once for each view: at most
  three byte strings. Who is addressed by name in a flush is written to behind the others, with
  bytes of his own in which his frames are in their place.
- The first frame of a quiet room goes at the end of the loop's tick. A busy one is flushed once per
  `FLUSH_INTERVAL`: at 100 messages a second that halves the cost, at 10 it adds nothing. Where
  waiting joins nothing, because who sends waits for the echo, a room stops waiting for a while
  (see `messaging.pacing`).
- A large room, or many rooms at once, are written to in slices, so that handshakes, pings and other
  rooms are served in between. Frames that come meanwhile wait for the room's last slice: every
  connection sees one order.
- Bytes go straight to the sockets, for all rooms of a tick with one system call where there is one
  for that (see `messaging.bulk_sender`); what is encrypted on the way, too (`messaging.sealed`).
  What the kernel does not take goes through the connection's transport, and so does all that
  follows until that is written.
- Nothing awaits. A connection whose queue passes the bound drops itself (see `messaging.edge`) and
  never delays the others.
- A connection sees every frame published after it joined, and those that waited or were being
  written by then: its user's former connection may be gone before it is shown them, as when an SDK
  renews its token. What was being written it is shown when the others have it. Who was shown them
  already, in a room's history, is not shown them again, but for events of what connections are told
  when they join: what it was told may be older.
- What is counted is counted once per flush, for all connections together.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from time import perf_counter

from greenroom.bus.base import Audience, Deliver, RoomEnvelope, Stage
from greenroom.chat.history import NOT_REPLAYED
from greenroom.chat.settings import OPERATION as SETTINGS
from greenroom.messaging.bulk_sender import FEWEST, LONGEST, BulkSender
from greenroom.messaging.members import Members, Part, SealedPart
from greenroom.messaging.sealed import SealedSender
from greenroom.messaging.sockets import Connection, write_all
from greenroom.messaging.views import BY_NAME, VIEWS, is_by_name, payload_for
from greenroom.protocol.actions import OPERATIONS
from greenroom.protocol.frames import text_frame
from greenroom.protocol.wishes import View
from greenroom.telemetry.metrics import Metrics

FLUSH_INTERVAL = 0.02
"""Seconds between the flushes of a busy room."""

_EVERYBODY = Audience.EVERYBODY  # looked up once: in Python 3.11 a member costs 50 ns each time

_EVERY_VIEW = len(View)

SLICE = 1024
"""Connections written to before the loop may do something else: about 5 ms."""


AnyPart = Part | SealedPart


class _Write:
    """A flush under way: what is written to which parts of a room, and how many have it.

    `data` is what each view is shown, in the order of the views: mostly all the same.
    """

    __slots__ = ("data", "made_of", "number", "parts", "room")

    def __init__(self, room: Members, parts: tuple[AnyPart, ...], data: Sequence[bytes]) -> None:
        self.room, self.parts, self.data = room, parts, data
        self.made_of = room.parts
        self.number = 0

    @property
    def ended(self) -> bool:
        """Whether nobody is left to be written to."""
        return self.number >= len(self.parts)

    def next_parts(self) -> tuple[AnyPart, ...]:
        """Return those who are next, as many of them as are still there."""
        if self.ended:
            return ()
        part = self.parts[self.number]
        self.number += 1
        return (part,) if self.room.parts is self.made_of else self.room.present(part)


class Fanout:
    """Writes what waits in rooms; of a room, it alone touches what says when and what."""

    def __init__(self, metrics: Metrics, sender: BulkSender | None = None) -> None:
        """Make it; `sender` writes to many sockets with one system call, where there is one."""
        self._sender = sender
        self._sealed = SealedSender(sender)
        # The rooms that have something to write at the end of the tick.
        self._due: list[Members] = []
        self._fanout_seconds = metrics.fanout_seconds
        self.ending = False
        """Whether every room is to be ended behind what it has to say."""
        self.deliveries = dict.fromkeys(OPERATIONS, 0)
        self.delivered_bytes = 0

    def show(self, room: Members, envelopes: Sequence[RoomEnvelope]) -> None:
        """Have those in the room see what arrived there, in its order."""
        for envelope in envelopes:
            # Asked in this way round, the frequent answer costs a comparison of two types.
            if isinstance(envelope, Deliver):
                if envelope.audience is not _EVERYBODY or envelope.marked:
                    if not self._is_wanted(room, envelope):
                        continue
                    room.narrow = True
                room.pending.append(envelope)
                if not room.scheduled and not room.writing:
                    self._schedule(room)
            else:
                room.pending.append(envelope)
                # Everybody sees the event, the kicked user included; then that user's sockets
                # close. At once: a kick does not wait for a busy room's next flush.
                room.actions.append(partial(room.kick, envelope.user_id, envelope.reason))
                self.flush(room)

    def _is_wanted(self, room: Members, envelope: Deliver) -> bool:
        """Return whether anybody here is to be shown a frame that is not the same for all."""
        audience = envelope.audience
        if envelope.action == SETTINGS:
            room.settings_told = None
        if audience in BY_NAME and room.reaches(envelope.user_id, 1):
            return True
        return any(room.number(view) for view in VIEWS[audience])

    def _schedule(self, room: Members) -> None:
        room.scheduled = True
        # One callback for all rooms of a tick, so that they share one system call.
        if not self._due:
            room.loop.call_soon(self._end_tick)
        self._due.append(room)

    def _end_tick(self) -> None:
        """Write what the tick brought, or put it off where a busy room is to have more."""
        due, self._due = self._due, []
        writes = []
        for room in due:
            # "The first frame of a quiet room goes at the end of the tick": then this is negative.
            wait = room.flushed + FLUSH_INTERVAL - room.loop.time()
            if wait > 0 and room.pending and room.pace.waits():
                room.waited = len(room.pending)
                room.loop.call_later(wait, self._end_wait, room)
                continue
            room.scheduled = False
            # A kick may have flushed the room since, or be doing so.
            if room.pending and not room.writing:
                writes.append(self._begin(room))
        self._write(writes)

    def _end_wait(self, room: Members) -> None:
        room.scheduled = False
        if room.pending:
            self.flush(room)

    def after_flush(self, room: Members, action: Callable[[], None]) -> None:
        """Do something when everything that is there to show is written to everybody."""
        room.actions.append(action)
        self.flush(room)

    def flush(self, room: Members) -> None:
        """Write what waits; while the room is being written to, the end of that does it."""
        if not room.writing:
            self._write([self._begin(room)])

    def _begin(self, room: Members) -> _Write:
        """Take what waits out of the room, to write it to those who are there now."""
        room.writing = True
        room.flushed = room.loop.time()
        room.learn()
        if room.narrow:
            data = tuple(_shown(room.pending, view) for view in View)
            size = sum(len(data[view]) * room.number(view) for view in View)
        else:
            frames = [text_frame(envelope.payload) for envelope in room.pending]
            joined = frames[0] if len(frames) == 1 else b"".join(frames)
            data, size = (joined,) * _EVERY_VIEW, len(joined) * len(room.connections)
        self._count(room, size)
        parts = room.divided(SLICE) if size else ()
        # Only those whose frames are in this flush: what comes meanwhile must not delay them.
        room.after_flush, room.actions = room.actions, []
        seen = _seen_before(room) if room.early or room.narrow else _NOTHING
        if room.narrow or room.newcomers or seen:
            parts = self._set_apart(room, parts, seen)
        # Who joins while the parts are written to is in none of them: see `_tell_late`.
        room.flushing, room.pending = room.pending, room.flushing
        room.newcomers.clear()
        room.narrow = False
        room.ending = self.ending
        # Without data there are actions only.
        return _Write(room, parts, data)

    def _set_apart(
        self, room: Members, parts: tuple[AnyPart, ...], seen: Mapping[Connection, set[str]]
    ) -> tuple[AnyPart, ...]:
        """Leave out of the parts who is not shown what others are, and write to them at the end.

        To those who are addressed by name what the others are shown with their own frames in
        between, in the room's order; to those who came with history meanwhile what arrived since;
        to those who have seen a message before the others what else there is.
        """
        named = _named(room.pending)
        apart = dict.fromkeys((*(room.of_users(named) if named else ()), *seen), 0) | room.newcomers
        if not apart:
            return parts
        # Before what else has to wait: that may be the end of their connections.
        tells = [partial(room.tell, *each) for each in _own(room.pending, apart, named, seen)]
        room.after_flush = tells + room.after_flush
        return room.without(parts, tuple(apart))

    def _tell_late(self, room: Members) -> None:
        """Show what was written to those who came meanwhile: of that alone they have nothing."""
        late, room.late = room.late, {}
        if room.early and late:
            _note_waiting(room, room.flushing, late.items())
        for connection, data in _own(room.flushing, late, _named(room.flushing)):
            if data:
                self.delivered_bytes += len(data)
                room.tell(connection, data)
        for connection, before in late.items():
            for envelope in _new_to(room.flushing, before):
                if payload_for(envelope, connection.view) is not None:
                    self.deliveries[envelope.action] += 1

    def _write(self, writes: list[_Write]) -> None:
        """Write to about a slice of connections, to the others after what else the loop has."""
        messages: list[tuple[Part, bytes]] = []
        sealed: list[tuple[SealedPart, bytes]] = []
        # A part has a slice at most. So many small rooms share a turn of the loop, a large one
        # takes several, and no turn is longer than two slices.
        number = turn = 0
        while turn < len(writes) and number < SLICE:
            data = writes[turn].data
            for part in writes[turn].next_parts():
                shown = data[part.view]
                if shown and isinstance(part, Part):
                    messages.append((part, shown))
                elif shown and isinstance(part, SealedPart):
                    sealed.append((part, shown))
                number += part.cost
            turn += 1
        try:
            self._send(messages)
            self._sealed.send(sealed)
        finally:
            # Whatever failed, no room must stay silent. Those that had no turn come before those
            # that had one: a large room does not keep the small ones waiting.
            over = [write for write in writes[:turn] if write.ended]
            if len(over) < len(writes):
                rest = writes[turn:] + [write for write in writes[:turn] if not write.ended]
                asyncio.get_running_loop().call_soon(self._write, rest)
            for write in over:
                write.room.writing = False
                self._flushed(write.room)

    def _send(self, messages: list[tuple[Part, bytes]]) -> None:
        """Write to all connections of the parts, with one system call where that is possible."""
        sender = self._sender
        # Below so many the preparation costs more than the system calls that it saves.
        if sender is None or sum([part.cost for part, _ in messages]) < FEWEST:
            for part, data in messages:
                write_all(part.connections, part.sockets, data)
            return
        # The sender copies what it writes into memory of its own, which has a bound.
        together = [(part, data) for part, data in messages if len(data) <= LONGEST]
        if len(together) < len(messages):
            for part, data in messages:
                if len(data) > LONGEST:
                    write_all(part.connections, part.sockets, data)
        for number, index, sent in sender.send(
            [(part.descriptors, data) for part, data in together]
        ):
            part, data = together[number]
            part.connections[index].write(data[sent:])

    def _flushed(self, room: Members) -> None:
        """Do what had to wait until everybody was written to."""
        self._measure(room)
        if room.late:
            self._tell_late(room)
        room.flushing.clear()
        # Each may flush the room again, or make somebody leave it: they are taken out before.
        actions, room.after_flush = room.after_flush, []
        for action in actions:
            action()
        # When the node ends, whoever was shown everything goes; what came while the others were
        # being written to is shown first.
        if room.ending or (self.ending and not room.pending):
            for connection in tuple(room.connections):
                connection.drain()
        elif room.actions or self.ending:
            self.flush(room)
        elif room.pending and not room.scheduled:
            self._schedule(room)

    def _count(self, room: Members, size: int) -> None:
        """Count what is about to be written, `size` bytes to all connections together."""
        connections, deliveries = len(room.connections), self.deliveries
        for envelope in room.pending:
            action, number = envelope.action, connections
            if room.narrow and isinstance(envelope, Deliver):
                number = sum(room.number(view) for view in VIEWS[envelope.audience])
            deliveries[action] = deliveries.get(action, 0) + number
        self.delivered_bytes += size
        if room.newcomers:
            self._uncount(room)
        room.begun = perf_counter() if size else 0.0

    def _uncount(self, room: Members) -> None:
        """Take off what was counted for who was shown it when he came."""
        for connection, before in room.newcomers.items():
            for envelope in room.pending[:before]:
                payload = payload_for(envelope, connection.view)
                if payload is not None and envelope.action not in NOT_REPLAYED:
                    self.deliveries[envelope.action] -= 1
                    self.delivered_bytes -= len(text_frame(payload))

    def _measure(self, room: Members) -> None:
        if room.begun:
            self._fanout_seconds.observe(perf_counter() - room.begun)


_NOTHING: Mapping[Connection, set[str]] = {}

NONE, RELEASED = Stage.NONE, Stage.RELEASED
# Looked up once: in Python 3.11 a member costs 50 ns each time.


def _seen_before(room: Members) -> Mapping[Connection, set[str]]:
    """Return who has seen what of what is about to be written; note who is shown what waits."""
    seen: dict[Connection, set[str]] = {}
    newcomers = room.newcomers
    _note_waiting(room, room.pending, ((each, newcomers.get(each, 0)) for each in room.connections))
    for envelope in room.pending if room.early else ():
        for deleted in envelope.deletes:
            room.early.pop(deleted, None)
        if envelope.stage is RELEASED:
            for each in room.early.pop(envelope.id, ()):
                if each in room.connections:
                    seen.setdefault(each, set()).add(envelope.id)
    return seen


def _note_waiting(
    room: Members, envelopes: Sequence[RoomEnvelope], shown: Iterable[tuple[Connection, int]]
) -> None:
    """Note who is shown those of the envelopes that wait, if he was shown so many before."""
    waiting = [
        (place, envelope)
        for place, envelope in enumerate(envelopes)
        if envelope.stage is not NONE and envelope.stage.waits
    ]
    among = list(shown) if waiting else []
    for place, envelope in waiting:
        seers = {
            each
            for each, before in among
            if before <= place and payload_for(envelope, each.view, each.user_id) is not None
        }
        room.early[envelope.id] = room.early.get(envelope.id, frozenset()) | seers


def _named(envelopes: Sequence[RoomEnvelope]) -> frozenset[str]:
    """Return the users who are shown some envelope by their name."""
    return frozenset(
        envelope.user_id
        for envelope in envelopes
        if isinstance(envelope, Deliver) and is_by_name(envelope)
    )


def _own(
    envelopes: Sequence[RoomEnvelope],
    shown: Mapping[Connection, int],
    named: frozenset[str],
    seen: Mapping[Connection, set[str]] = _NOTHING,
) -> Iterator[tuple[Connection, bytes]]:
    """Give for each connection what it is to be shown, if it was shown so many of them before.

    `seen` are the ids of what it was shown long before.
    """
    data: dict[tuple[str | None, View, int, frozenset[str]], bytes] = {}
    for each, before in shown.items():
        user_id = each.user_id if each.user_id in named else None
        known = frozenset(seen.get(each, ()))
        key = user_id, each.view, before, known
        if key not in data:
            new = _new_to(envelopes, before)
            if known:
                new = [one for one in new if one.stage is not RELEASED or one.id not in known]
            data[key] = _shown(new, each.view, user_id)
        yield each, data[key]


def _new_to(envelopes: Sequence[RoomEnvelope], before: int) -> Sequence[RoomEnvelope]:
    """Return what is shown to who was shown history when so many of the envelopes were there."""
    if not before:
        return envelopes
    told = [each for each in envelopes[:before] if each.action in NOT_REPLAYED]
    return [*told, *envelopes[before:]]


def _shown(envelopes: Sequence[RoomEnvelope], view: View, user_id: str | None = None) -> bytes:
    """Return the frames of those envelopes that a view is shown, or a user in it, joined."""
    payloads = (payload_for(envelope, view, user_id) for envelope in envelopes)
    return b"".join([text_frame(payload) for payload in payloads if payload is not None])
