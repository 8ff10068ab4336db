"""One room at one node: what it has seen of the room's order, and what it wants to add to it.

- **One predecessor.** Every attempt names the last message that this node has seen; the stream
  takes it only if that is still the last. So there is one order, nothing is stored twice, and each
  grant knew all that came before.
- **One attempt at a time**, with all that waits: in a burst they share a round trip.
- **An attempt is decided by what is seen.** Its own batch has arrived: published. Another's has:
  it can never be stored any more, and what it held is decided again. Nothing has, and no answer
  came: the same bytes once more, which are stored once at most. A refusal decides nothing: a copy
  that was sent before may be stored yet. So an attempt that gave way to another one is remembered
  until something is stored behind their predecessor. Nobody is told before that what it held is
  refused now.
- **A gap** is a message whose predecessor was not seen. Those that come meanwhile are held back,
  and what is missing is read.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from greenroom.bus.base import Arrival, Before, RoomEnvelope
from greenroom.bus.figures import Figures, Repair
from greenroom.bus.nats import headers, subjects
from greenroom.bus.nats.client import Subscribed
from greenroom.bus.nats.codec import Batch, Undecodable, decode_batch, decode_known, encode
from greenroom.bus.nats.publication import Attempt, Publication
from greenroom.bus.rings import Rings

MOST_ENVELOPES = 500
"""Envelopes of one batch at most."""

MOST_HELD = 4096
"""Messages that are held back during a repair at most; further ones are read instead."""

LEAST_SECONDS = 0.05
"""What is to be decided sooner than this is not tried any more."""

ELSEWHERE_SECONDS, REFUSED_SECONDS, FAILED_SECONDS = 0.005, 0.01, 0.2
"""When an attempt is made again: another's was in process, or won; the stream could not store.

The first two are doubled each time until something arrives, up to the third: a stream that lost its
other servers has an attempt in process for as long as that lasts.
"""

WRONG_LAST = b'"err_code":10071'
IN_PROCESS = b'"err_code":10164'


class Surroundings(Protocol):
    """What a line needs of its node."""

    node: str
    figures: Figures
    rings: Rings

    @property
    def is_up(self) -> bool:
        """Whether there is a connection, on which lines may send."""

    @property
    def most_bytes(self) -> int:
        """The most bytes of envelopes in one batch."""

    def now(self) -> float:
        """Return seconds on the monotonic clock."""

    def server_ns(self, stream: int) -> int:
        """Return what the clock of a stream's leader shows, in nanoseconds since the epoch."""

    def compare_clocks(self, stream: int, since: float, stamp_ns: int) -> None:
        """Learn what a leader's clock showed between a time on the monotonic clock and now."""

    def next_number(self) -> int:
        """Return a number that no attempt of this node had."""

    def send(self, line: "Line", attempt: Attempt) -> None:
        """Send an attempt, and have its answer come to the line's `answered`."""

    def forget(self, attempt: Attempt) -> None:
        """Have no more answers come."""

    def repair(self, line: "Line") -> None:
        """Have the line read what it misses."""

    def debit(self, room: str, rate: int, seconds_ago: float) -> None:
        """Tell who counts."""

    def show(self, arrival: Arrival) -> None:
        """Tell who is shown what arrives."""


class Line:
    """One room. It is ready when it has seen all there is, as far as it knows."""

    __slots__ = (
        "_around",
        "_given_way",
        "_refusals",
        "attempt",
        "followed",
        "held",
        "last",
        "opened",
        "ready",
        "repairing",
        "room",
        "since_ns",
        "stamp",
        "stream",
        "subject",
        "subscribed",
        "time_ns",
        "undecided",
        "used",
        "waiters",
        "waiting",
    )

    def __init__(self, room: str, around: Surroundings) -> None:
        self._around = around
        self.room = room
        self.subject = subjects.published(room)
        self.stream = subjects.stream_of(room)
        # The number and the stamp of the last message, and the send time of the newest envelope.
        self.last: int = 0
        self.stamp = b""
        self.time_ns = 0
        # Whether the room was read once; from when on all is shown then, if not from then on.
        self.opened = False
        self.since_ns: int | None = None
        self.ready = self.repairing = self.followed = False
        self.held: list[tuple[int, int, bytes, bytes]] = []
        self.waiting: deque[Publication] = deque()
        self.attempt: Attempt | None = None
        # What is refused now, and may be stored yet by an attempt that gave way.
        self.undecided: list[Publication] = []
        # What attempts held that may be stored yet in place of the present one, by their numbers.
        self._given_way: dict[int, Sequence[Publication]] = {}
        # How often attempts were refused since something arrived.
        self._refusals = 0
        self.waiters: list[asyncio.Future[None]] = []
        self.subscribed: Subscribed | None = None
        self.used = around.now()

    @property
    def is_busy(self) -> bool:
        """Whether something here has no outcome yet."""
        return bool(self.waiting or self.undecided) or self.attempt is not None

    # What arrives

    def heard(self, _subject: bytes, raw: bytes, data: bytes) -> None:
        """Take what the stream tells as it is stored."""
        sequence, stamp = headers.sequence(raw), headers.stamp(raw)
        previous = max(headers.previous(raw), headers.expected(raw))
        if self.ready:
            if previous <= self.last < sequence:
                self.take(sequence, stamp, data)
                return
            if not self.is_news(sequence, stamp):
                return
        if len(self.held) < MOST_HELD:
            self.held.append((sequence, previous, stamp, data))
        if self.ready:
            self.repair(Repair.GAP)

    def is_news(self, sequence: int, stamp: bytes) -> bool:
        """Return whether a message was not seen: a stream that lost its end reuses numbers."""
        if sequence > self.last:
            return True
        return not self.stamp or headers.stamp_ns(stamp) > headers.stamp_ns(self.stamp)

    def take(self, sequence: int, stamp: bytes, data: bytes) -> None:
        """Show a message, all before it having been shown."""
        self.last, self.stamp, self._refusals = sequence, stamp, 0
        around, figures = self._around, self._around.figures
        figures.received += 1
        batch = self.decoded(data)
        envelopes = () if batch is None else batch.shown(headers.stamp_ns(stamp))
        if envelopes:
            self.time_ns = envelopes[-1].time_ns
            for each in envelopes:
                if each.rate:
                    around.debit(self.room, each.rate, 0.0)
            around.rings.take(self.room, sequence, envelopes)
            if self.followed:
                around.show(Arrival(self.room, sequence, envelopes))
        elif batch is not None:
            figures.void += 1
        if self._given_way:
            self._settle_earlier(batch, shown=bool(envelopes))
        if self.attempt is not None:
            self._decide(self.attempt, batch, shown=bool(envelopes))

    def note(self, sequence: int, stamp: bytes, data: bytes, seconds_ago: float) -> None:
        """Know of a message that is not to be shown; it counts for the rate all the same."""
        self.last, self.stamp = sequence, stamp
        batch = self.decoded(data)
        if batch is None or not batch.envelopes:
            return
        self.time_ns = batch.envelopes[-1].time_ns
        shown = batch.shown(headers.stamp_ns(stamp))
        self._around.rings.take(self.room, sequence, shown)
        for each in shown:
            if each.rate:
                self._around.debit(self.room, each.rate, seconds_ago)

    def decoded(self, data: bytes) -> Batch | None:
        """Return the batch, None of what is not of this service; without what a newer one has."""
        try:
            return decode_batch(data)
        except Undecodable:
            self._around.figures.undecodable += 1
            self._around.figures.tell("a message on the bus is not of this service")
        try:
            return decode_known(data)
        except Undecodable:
            return None

    # What is published

    def publish(self, publication: Publication) -> None:
        """Publish behind what waits."""
        self.waiting.append(publication)
        self.flush()

    def flush(self) -> None:
        """Make an attempt with what waits, unless one is under way."""
        if self.attempt is not None or not self.waiting or not self.ready:
            return
        granted, envelopes = self._granted()
        if not granted:
            return
        around = self._around
        until, now = min(each.deadline for each in granted), around.now()
        attempt = Attempt(around.next_number(), self.last, granted, until)
        attempt.made = now
        until_ns = around.server_ns(self.stream) + int((until - now) * 1e9)
        try:
            attempt.body = encode(Batch(around.node, attempt.number, until_ns, tuple(envelopes)))
        except Exception as error:  # noqa: BLE001 - raised where it was published
            self._divide(granted, envelopes, error)
            return
        self.attempt = attempt
        for each in granted:
            each.sent = True
        around.send(self, attempt)

    def _divide(
        self,
        granted: Sequence[Publication],
        envelopes: Sequence[RoomEnvelope],
        error: Exception,
    ) -> None:
        """Fail what cannot be written as bytes; publish the rest of the batch that it was in."""
        sound = list[Publication]()
        for publication, envelope in zip(granted, envelopes, strict=True):
            try:
                encode(Batch("", 0, 0, (envelope,)))
            except Exception as own:  # noqa: BLE001 - raised where it was published
                publication.fail(own)
            else:
                sound.append(publication)
        if len(sound) < len(granted):
            self.waiting.extendleft(reversed(sound))
            self.flush()
            return
        for publication in sound:
            publication.fail(error)

    def _granted(self) -> tuple[list[Publication], list[RoomEnvelope]]:
        """Ask those that wait, as many as go into one batch."""
        granted: list[Publication] = []
        envelopes: list[RoomEnvelope] = []
        now, time_ns, counted, size = self._around.now(), self.time_ns, 0, 0
        most = self._around.most_bytes
        deleted: tuple[str, ...] = ()
        while self.waiting and len(granted) < MOST_ENVELOPES and size < most:
            publication = self.waiting.popleft()
            if publication.future.done():
                continue
            if publication.deadline - now < LEAST_SECONDS:
                self._give_up(publication)
                continue
            try:
                envelope = publication.grant(Before(time_ns, counted, deleted))
            except Exception as error:  # noqa: BLE001 - raised where it was published
                self._refuse(publication, error)
                continue
            time_ns = envelope.time_ns
            counted += bool(envelope.rate)
            deleted += envelope.deletes
            size += len(envelope.payload)
            granted.append(publication)
            envelopes.append(envelope)
        return granted, envelopes

    def _refuse(self, publication: Publication, error: Exception) -> None:
        """Tell who published, once it is known that no earlier attempt is stored."""
        if any(publication in held for held in self._given_way.values()):
            publication.refusal = error
            self.undecided.append(publication)
        else:
            publication.fail(error)

    def _decide(self, attempt: Attempt, batch: Batch | None, *, shown: bool) -> None:
        """Find out what became of the attempt: something is stored behind its predecessor."""
        around = self._around
        own = batch is not None and batch.number == attempt.number and batch.node == around.node
        if own:
            around.compare_clocks(self.stream, attempt.made, headers.stamp_ns(self.stamp))
        if own and shown:
            self._end(attempt)
            self._settle(attempt.publications)
        else:
            if not own:
                self._count_conflict(attempt)
            self._again(attempt)
        self.flush()

    def _settle(self, publications: Sequence[Publication]) -> None:
        """Tell whoever waits that it is published, as the last message."""
        figures = self._around.figures
        figures.published += 1
        if figures.refusing:
            figures.refusing.pop(subjects.stream_name(self.stream), None)
        for publication in publications:
            if not publication.future.done():
                publication.future.set_result(self.last)

    def _settle_earlier(self, batch: Batch | None, *, shown: bool) -> None:
        """Find out what became of attempts that gave way: nothing more, from now on.

        The present attempt holds the same publications, which are not made twice: those that have
        their outcome are not asked again.
        """
        given_way, self._given_way = self._given_way, {}
        if batch is not None and batch.node == self._around.node and shown:
            published = given_way.get(batch.number)
            if published is not None:
                self._settle(published)
        undecided, self.undecided = self.undecided, []
        for each in undecided:
            each.refuse()

    def _end(self, attempt: Attempt) -> None:
        self.attempt = None
        self._around.forget(attempt)

    def _again(self, attempt: Attempt) -> None:
        """Have decided again what an attempt held that is not stored by now."""
        self._end(attempt)
        if attempt.predecessor == self.last:
            self._given_way[attempt.number] = attempt.publications
        self.waiting.extendleft(reversed(attempt.publications))

    def answered(self, attempt: Attempt, raw: bytes, data: bytes) -> None:
        """Take the stream's answer to an attempt; that it is stored is told by its arrival."""
        if attempt is not self.attempt or (b'"error"' not in data and headers.status(raw) != 503):
            return
        later = asyncio.get_running_loop().call_later
        self._refusals += 1
        longer = 2 ** min(self._refusals - 1, 10)
        if IN_PROCESS in data:
            self._count_conflict(attempt)
            later(min(ELSEWHERE_SECONDS * longer, FAILED_SECONDS), self._refused, attempt)
        elif WRONG_LAST in data:
            refused = partial(self._refused, attempt, missed=True)
            later(min(REFUSED_SECONDS * longer, FAILED_SECONDS), refused)
        else:
            self._around.figures.tell(
                "the stream of a room does not store", stream=subjects.stream_name(self.stream)
            )
            later(FAILED_SECONDS, self._refused, attempt)

    def _count_conflict(self, attempt: Attempt) -> None:
        """Count an attempt that lost, once, whichever is known first: the refusal or what won."""
        self._around.figures.conflicts += not attempt.counted
        attempt.counted = True

    def _refused(self, attempt: Attempt, *, missed: bool = False) -> None:
        """Decide again; an attempt that lost to something that did not arrive waits for that."""
        if attempt is not self.attempt:
            return
        attempt.refused = True
        if missed:
            self.repair(Repair.REFUSED)
        elif self.ready:
            self._again(attempt)
            self.flush()

    def look_after(self, now: float, unanswered: float, patience: float) -> None:
        """Give up what takes too long, and find out about an attempt without an answer.

        `patience` is how much longer than to its deadline somebody waits: by then what was stored
        in time has arrived, if anything does.
        """
        attempt = self.attempt
        if attempt is not None:
            if attempt.until + patience <= now:
                # It is void if it is proposed from now on: who has more time is decided again.
                self._again(attempt)
            elif self.ready and now - attempt.sent > unanswered:
                self.repair(Repair.UNANSWERED)
        while self.waiting and (
            self.waiting[0].deadline + patience <= now or self.waiting[0].future.done()
        ):
            self._give_up(self.waiting.popleft())
        for each in [each for each in self.undecided if each.deadline + patience <= now]:
            self.undecided.remove(each)
            self._give_up(each)
        self.flush()

    def _give_up(self, publication: Publication) -> None:
        if not publication.future.done():
            figures = self._around.figures
            figures.unavailable += 1
            if self._around.is_up:
                figures.refusing[subjects.stream_name(self.stream)] = time.monotonic()
            publication.unavailable("the bus does not answer in time")

    # Repairs

    def repair(self, why: Repair) -> None:
        """Read what was missed; what arrives meanwhile is held back."""
        self.ready = False
        if not self.repairing and self._around.is_up:
            self.repairing = True
            self._around.figures.repairs[why.value] += 1
            self._around.repair(self)

    def release(self) -> bool:
        """Show what was held back; return whether nothing is missing in between."""
        held, self.held = self.held, []
        complete = len(held) < MOST_HELD
        for index, (sequence, previous, stamp, data) in enumerate(held):
            if sequence <= self.last:
                complete = complete and not self.is_news(sequence, stamp)
            elif previous > self.last:
                self.held = held[index:]
                return False
            else:
                self.take(sequence, stamp, data)
        return complete

    def resume(self) -> None:
        """Go on after a repair."""
        self.repairing, self.ready, self.opened = False, True, True
        self.since_ns = None
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)
        self.waiters.clear()
        attempt = self.attempt
        if attempt is not None:
            if attempt.refused or attempt.predecessor != self.last:
                self._again(attempt)
            else:
                self._around.send(self, attempt)
        self.flush()

    def lost(self) -> None:
        """Know that the stream has lost what was seen here last: what it kept does not go on."""
        self._around.rings.forget(self.room)

    def lose(self) -> None:
        """Wait for the next connection."""
        self.ready = self.repairing = False
        self.subscribed = None
        self.held.clear()
