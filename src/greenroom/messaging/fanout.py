"""Shows the connections of a room what arrives there, all of them the same bytes.

- Frames that wait are joined once per room and the same bytes are written to every connection: a
  burst of k messages costs one write per connection, not k.
- Where connections asked for more than IVS Chat has, frames are joined once for each view: at most
  three byte strings. Who is addressed by name in a flush has bytes of his own, in which his frames
  are in their place, and has them when it is his turn among the others (`messaging.writes`).
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
- Who is kicked is shown what came before that, and ended, before the others are written to.
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
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter

from greenroom.bus.base import Audience, Deliver, RoomEnvelope
from greenroom.chat.history import NOT_REPLAYED
from greenroom.chat.settings import OPERATION as SETTINGS
from greenroom.messaging.bulk_sender import FEWEST, LONGEST, BulkSender
from greenroom.messaging.members import Kick, Members, Part, SealedPart
from greenroom.messaging.sealed import SealedSender
from greenroom.messaging.sockets import Connection, write_all
from greenroom.messaging.views import BY_NAME, VIEWS, payload_for
from greenroom.messaging.writes import (
    NOTHING,
    TICK,
    Data,
    Seen,
    Write,
    arranged,
    joined,
    joined_all,
    new_to,
    note_waiting,
    seen_before,
)
from greenroom.protocol.actions import OPERATIONS
from greenroom.protocol.frames import text_frame
from greenroom.protocol.wishes import View
from greenroom.telemetry.metrics import Metrics

FLUSH_INTERVAL = 0.02
"""Seconds between the flushes of a busy room."""

_EVERYBODY = Audience.EVERYBODY  # looked up once: in Python 3.11 a member costs 50 ns each time

SLICE = 1024
"""Connections written to before the loop may do something else: about 5 ms."""

FEW = 20
"""Connections that are written to in less than a turn of the loop: nobody waits for that."""

ENDED_AT_ONCE = 512
"""Connections closed before the loop may do something else: about 10 ms."""


class Fanout:
    """Writes what waits in rooms; of a room, it alone touches what says when and what."""

    def __init__(self, metrics: Metrics, sender: BulkSender | None = None) -> None:
        """Make it; `sender` writes to many sockets with one system call, where there is one."""
        self._sender = sender
        self._sealed = SealedSender(sender)
        # The rooms that have something to write at the end of the tick.
        self._due: list[Members] = []
        # Who was kicked and is to be closed, why and with what; and how many were in this turn.
        self._leaving: deque[tuple[Connection, str, bytes]] = deque()
        self._ended = 0
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
                # Everybody sees the event, the kicked user included.
                self.kick(room, envelope.user_id, envelope.reason)

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

    def kick(self, room: Members, user_id: str, reason: str) -> None:
        """End a user's connections behind what came by now.

        At once: a kick does not wait for a busy room's next flush.
        """
        room.kicks.append(Kick(user_id, reason, len(room.pending)))
        self.flush(room)

    def after_flush(self, room: Members, action: Callable[[], None]) -> None:
        """Do something when everything that is there to show is written to everybody."""
        room.actions.append(action)
        self.flush(room)

    def flush(self, room: Members) -> None:
        """Write what waits; while the room is being written to, the end of that does it."""
        if not room.writing:
            self._write([self._begin(room)])

    def _begin(self, room: Members) -> Write:
        """Take what waits out of the room, to write it to those who are there now."""
        room.writing = True
        room.flushed = room.loop.time()
        if room.waited:
            room.learn()
        pending, data = room.pending, b""
        shown: Sequence[bytes] = ()
        if room.narrow:
            shown = tuple(joined(pending, view) for view in View)
            size = sum(len(shown[view]) * room.number(view) for view in View)
        else:
            # Most often it is one.
            data = text_frame(pending[0].payload) if len(pending) == 1 else joined_all(pending)
            size = len(data) * len(room.connections)
        self._count(room, size)
        seen = seen_before(room) if room.early or room.narrow else NOTHING
        if room.kicks:
            self._end_kicked(room, seen)
        # Only those whose frames are in this flush: what comes meanwhile must not delay them.
        if room.actions:
            room.after_flush, room.actions = room.actions, []
        # Who joins while the parts are written to is in none of them: see `_tell_late`. Without
        # data there are actions only.
        if room.narrow or room.newcomers or seen:
            write: Write = arranged(room, shown or (data,) * len(View), SLICE, seen)
            room.newcomers.clear()
            room.narrow = False
        else:
            write = Write(room, room.parts or room.divided(SLICE) if size else (), data)
        room.flushing, room.pending = pending, room.flushing
        room.ending = self.ending
        return write

    def _end_kicked(self, room: Members, seen: Seen) -> None:
        """End the connections of those who are kicked: all leave now, and are told in slices."""
        kicks, room.kicks = room.kicks, []
        for kick in kicks:
            data = Data(room.pending[: kick.behind], seen)
            for each in [each for each in room.connections if each.user_id == kick.user_id]:
                before = room.newcomers.get(each, 0)
                self._uncount(each, room.pending[kick.behind :])
                self._leaving.append((each, kick.reason, data.of(each, before)))
                each.expel()
            room.actions.append(partial(self._kick_late, room, kick))
        if self._leaving and not self._ended:
            room.loop.call_soon(self._end_others)
        self._end_some()

    def _kick_late(self, room: Members, kick: Kick) -> None:
        """End those of a user's connections that came while the others were told of his end."""
        if room.of_users(frozenset({kick.user_id})):
            self.kick(room, kick.user_id, kick.reason)

    def _tell_late(self, room: Members) -> None:
        """Show what was written to those who came meanwhile: of that alone they have nothing."""
        late, room.late = room.late, {}
        if room.early and late:
            note_waiting(room, room.flushing, late.items())
        data = Data(room.flushing)
        for connection, before in late.items():
            if shown := data.of(connection, before):
                self.delivered_bytes += len(shown)
                room.tell(connection, shown)
            for envelope in new_to(room.flushing, before):
                if payload_for(envelope, connection.view) is not None:
                    self.deliveries[envelope.action] += 1

    def _end_some(self) -> None:
        """Tell some who have left why, and close."""
        while self._leaving and self._ended < ENDED_AT_ONCE:
            connection, reason, data = self._leaving.popleft()
            connection.disconnect(reason, data)
            self._ended += 1

    def _end_others(self) -> None:
        """Do so with others, when the loop has done something else."""
        self._ended = 0
        if self._leaving:
            asyncio.get_running_loop().call_soon(self._end_others)
            self._end_some()

    def _write(self, writes: Sequence[Write]) -> None:
        """Write to about a slice of connections, to the others after what else the loop has."""
        messages: list[tuple[Part, bytes]] = []
        sealed: list[tuple[SealedPart, bytes]] = []
        # A part has a slice at most. So many small rooms share a turn of the loop, a large one
        # takes several, and no turn is longer than two slices.
        number = turn = plain = 0
        while turn < len(writes) and number < SLICE:
            for part, data in writes[turn].next_parts():
                if isinstance(part, Part):
                    messages.append((part, data))
                    plain += part.cost
                else:
                    sealed.append((part, data))
                number += part.cost
            turn += 1
        try:
            if messages:
                self._send(messages, plain)
            if sealed:
                self._sealed.send(sealed)
        finally:
            # Whatever failed, no room must stay silent. Those that had no turn come before those
            # that had one: a large room does not keep the small ones waiting.
            begun = writes[:turn]
            rest = [*writes[turn:], *[write for write in begun if not write.ended]]
            if rest:
                self._go_on(rest)
            for write in begun:
                if write.ended:
                    write.room.writing = False
                    self._flushed(write)

    def _go_on(self, writes: Sequence[Write]) -> None:
        """Write on in the next turn of the loop, or when the time is over that is let pass."""
        loop = asyncio.get_running_loop()
        ready = []
        for write in writes:
            pause = write.pause()
            if pause > 2 * TICK:
                loop.call_later(pause - TICK, self._write, (write,))
            else:
                ready.append(write)
        if ready:
            loop.call_soon(self._write, ready)

    def _send(self, messages: list[tuple[Part, bytes]], number: int) -> None:
        """Write to so many connections, with one system call where that is possible."""
        sender = self._sender
        # Below so many the preparation costs more than the system calls that it saves.
        if sender is None or number < FEWEST:
            for part, data in messages:
                write_all(part.connections, part.sockets, data)
            return
        # The sender copies what it writes into memory of its own, which has a bound.
        together = [(part, data) for part, data in messages if len(data) <= LONGEST]
        for part, data in messages:
            if len(data) > LONGEST:
                write_all(part.connections, part.sockets, data)
        for place, index, sent in sender.send(
            [(part.descriptors, data) for part, data in together]
        ):
            part, data = together[place]
            part.connections[index].write(data[sent:])

    def _flushed(self, write: Write) -> None:
        """Do what had to wait until everybody was written to."""
        room = write.room
        if room.begun:
            self._measure(write)
        if room.late:
            self._tell_late(room)
        room.flushing.clear()
        # Each may flush the room again, or make somebody leave it: they are taken out before.
        if room.after_flush:
            actions, room.after_flush = room.after_flush, []
            for action in actions:
                action()
        # When the node ends, whoever was shown everything goes; what came while the others were
        # being written to is shown first.
        if room.ending or (self.ending and not room.pending):
            for connection in tuple(room.connections):
                connection.drain()
        elif room.actions or room.kicks or self.ending:
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
        for connection, before in room.newcomers.items():
            # He was shown it when he came.
            shown = [each for each in room.pending[:before] if each.action not in NOT_REPLAYED]
            self._uncount(connection, shown)
        room.begun = perf_counter() if size else 0.0

    def _uncount(self, connection: Connection, envelopes: Sequence[RoomEnvelope]) -> None:
        """Take off what was counted for a connection that is not shown it."""
        for envelope in envelopes:
            payload = payload_for(envelope, connection.view)
            if payload is not None:
                self.deliveries[envelope.action] -= 1
                self.delivered_bytes -= len(text_frame(payload))

    def _measure(self, write: Write) -> None:
        room = write.room
        seconds = perf_counter() - room.begun
        self._fanout_seconds.observe(seconds)
        number = len(room.connections)
        if number > FEW and write.is_whole:
            each, known = seconds / number, room.each_seconds
            # What else the machine did is in it: so what three of four took longer than counts.
            room.each_seconds = known * (1.03 if each > known else 0.9) if known else each
