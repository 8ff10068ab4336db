"""The rooms of one node: which are read, followed, given up and closed, and what is bounded."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from greenroom.bus.base import Arrival, Before, BusUnavailable, Deliver, Position, RoomEnvelope
from greenroom.bus.figures import Figures
from greenroom.bus.nats import lines, subjects
from greenroom.bus.nats.connection import NoAnswer
from greenroom.bus.nats.line import Line
from greenroom.bus.nats.lines import Lines, Patience
from tests.running.buses import until
from tests.stand_ins.hand_clock import HandClock

ROOM = "room"


class Wire:
    """In place of a connection: writes down what it is asked for."""

    most_bytes = 10_000

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, str]]] = []
        self.listened: list[str] = []
        self.unlistened: list[object] = []
        self.expected: list[bytes] = []
        self.forgotten: list[bytes] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.on_unlisten: Callable[[], None] = lambda: None

    def send(self, subject: str, data: bytes, reply: str, headers: dict[str, str]) -> None:
        """Note what is sent."""
        self.sent.append((subject, headers))

    def expect(self, answer: object) -> bytes:
        """Note that answers are expected."""
        self.expected.append(b"%d" % len(self.expected))
        return self.expected[-1]

    def reply_to(self, token: bytes) -> str:
        """Return a subject."""
        return token.decode()

    def forget(self, token: bytes) -> None:
        """Note that none are expected any more."""
        self.forgotten.append(token)

    async def listen(self, subject: str, listener: object) -> object:
        """Note what is listened to."""
        self.listened.append(subject)
        return subject

    async def unlisten(self, subscribed: object) -> None:
        """Note what is no longer."""
        self.unlistened.append(subscribed)
        self.on_unlisten()

    def start(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Do it."""
        task = asyncio.get_running_loop().create_task(work())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class Node:
    """The rooms of a node that is connected; what it reads of one is what the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = HandClock()
        self.wire = Wire()
        self.figures = Figures()
        self.reads: list[Line] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures = 0
        """How many of the next reads fail."""
        wire: Any = self.wire
        self.lines = Lines(wire, "here", self.figures, self.time.clock, Patience())
        self.shown: list[Arrival] = []
        self.lines.on_arrival(self.shown.append)
        self.lines.tell(told=True)
        monkeypatch.setattr(lines, "catch_up", self._catch_up)
        self._sweep, self._swept = self.lines._sweep, asyncio.Event()
        monkeypatch.setattr(self.lines, "_sweep", self._note_sweep)
        self.up()

    def up(self) -> None:
        """Begin a connection."""
        self.lines.up([0] * subjects.STREAMS)

    async def _catch_up(self, line: Line, reader: object, figures: object, now: int) -> None:
        self.reads.append(line)
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise NoAnswer("not now")

    async def followed(self, room: str = ROOM) -> Line:
        """Follow a room, and return its line when it is ready."""
        following = self.lines.follow(room)
        if following is not None:
            await following
        return self.lines._lines[room]

    def publish(self, room: str = ROOM, payload: bytes = b"x") -> "asyncio.Future[Position]":
        """Publish something."""

        def grant(before: Before) -> RoomEnvelope:
            return Deliver(payload, "SendMessage", time_ns=before.time_ns + 1)

        return self.lines.publish(room, grant)

    async def looked_after(self, seconds: float) -> None:
        """Let so much time pass at once, and be looked after."""
        self.time.advance(seconds)
        self._swept.clear()
        task = asyncio.create_task(self.lines.look_after())
        async with asyncio.timeout(20):
            await self._swept.wait()
        task.cancel()
        await asyncio.wait([task])

    async def _note_sweep(self, now: float) -> None:
        await self._sweep(now)
        self._swept.set()


@pytest.fixture
async def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    """Return a node."""
    monkeypatch.setattr(lines, "TICK_SECONDS", 0.001)
    monkeypatch.setattr(lines, "SWEEP_TICKS", 1)
    return Node(monkeypatch)


async def test_a_room_is_followed_when_it_was_read(node: Node) -> None:
    """Once; whoever comes later does not wait."""
    node.gate.clear()
    first, second = node.lines.follow(ROOM), node.lines.follow(ROOM)
    assert isinstance(first, asyncio.Future)
    assert isinstance(second, asyncio.Future)
    await until(lambda: node.reads)
    assert not first.done()
    node.gate.set()
    await asyncio.gather(first, second)
    assert node.lines.follow(ROOM) is None
    assert [each.room for each in node.reads] == [ROOM]
    assert node.wire.listened == [subjects.delivered(subjects.published(ROOM))]
    assert (node.figures.rooms, node.figures.repairs) == (1, {"opened": 1})
    assert node.lines._lines[ROOM].since_ns is None
    assert node.lines._lines[ROOM].waiters == []


async def test_nobody_waits_for_long_for_a_room(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is published meanwhile is shown when it was read."""
    monkeypatch.setattr(lines, "FOLLOW_SECONDS", 0.01)
    node.gate.clear()
    following = node.lines.follow(ROOM)
    assert following is not None
    line, begun = node.lines._lines[ROOM], node.time.clock.monotonic()
    await following
    assert line.since_ns == int(begun * 1e9) - lines.MARGIN_NS
    node.time.advance(5)
    again = node.lines.follow(ROOM)
    assert again is not None
    await again
    assert line.since_ns == int(begun * 1e9) - lines.MARGIN_NS


async def test_without_a_connection_nobody_waits(node: Node) -> None:
    """The room is read when there is one, from then on."""
    node.lines.down()
    assert node.lines.follow(ROOM) is None
    line, since = node.lines._lines[ROOM], list[int | None]()
    since.append(line.since_ns)
    assert (line.followed, node.reads) == (True, [])
    node.up()
    await until(lambda: line.ready)
    since.append(line.since_ns)
    node.lines.down()
    assert node.lines.follow(ROOM) is None
    since.append(line.since_ns)
    begun = int(node.time.clock.monotonic() * 1e9)
    # What it misses the second time it reads from where it is.
    assert since == [begun - lines.MARGIN_NS, None, None]


async def test_publications_are_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a room and over all: whoever is beyond is told at once. What is over counts no more."""
    monkeypatch.setattr(lines, "MOST_WAITING_IN_ROOM", 2)
    monkeypatch.setattr(lines, "MOST_WAITING", 3)
    node.lines.down()
    waiting = [node.publish(), node.publish()]
    with pytest.raises(BusUnavailable, match="This is not published: too much waits"):
        await node.publish()
    waiting.append(node.publish("other"))
    with pytest.raises(BusUnavailable):
        await node.publish("third")
    assert (node.figures.unavailable, node.figures.waiting) == (2, 3)
    for each in waiting[1:]:
        each.cancel()
    await asyncio.sleep(0)
    assert node.figures.waiting == 1
    waiting.append(node.publish("third"))
    assert node.figures.waiting == 2
    node.lines.end()


async def test_the_end_fails_what_waits(node: Node) -> None:
    """And what comes afterwards; nobody is followed any more."""
    line = await node.followed()
    node.lines.rings.of(ROOM, 1)
    sent, waiting = node.publish(), node.publish()
    assert line.attempt is not None
    node.lines.end()
    assert ROOM not in node.lines.rings
    with pytest.raises(BusUnavailable, match=r"It is not known .*: the bus is closed"):
        await sent
    with pytest.raises(BusUnavailable, match="This is not published: the bus is closed"):
        await waiting
    with pytest.raises(BusUnavailable, match="This is not published: the bus is closed"):
        await node.publish()
    assert node.lines.follow("other") is None
    assert not node.lines._lines
    assert node.lines.settled() is None


async def test_when_all_is_settled(node: Node) -> None:
    """Nothing waits, or all that waited when it was asked has its outcome."""
    assert node.lines.settled() is None
    await node.followed()
    sent, waiting = node.publish(), node.publish("other")
    settled = node.lines.settled()
    assert settled is not None
    later = node.publish()
    sent.cancel()
    await asyncio.sleep(0)
    assert not settled.done()
    waiting.cancel()
    await asyncio.sleep(0)
    assert settled.done()
    later.cancel()
    await asyncio.sleep(0)
    assert node.lines.settled() is None


async def test_an_attempt_names_what_it_follows(node: Node) -> None:
    """Answers come to it; each copy has its own."""
    line = await node.followed()
    line.last = 7
    outcome = node.publish()
    attempt = line.attempt
    assert attempt is not None
    expected = {"Nats-Expected-Last-Subject-Sequence": "7"}
    assert node.wire.sent == [(subjects.published(ROOM), expected)]
    assert attempt.sent == node.time.clock.monotonic()
    before = attempt.token
    node.lines.send(line, attempt)
    assert attempt.token != before
    assert node.wire.forgotten[-1] == before
    node.lines.forget(attempt)
    assert node.wire.forgotten[-1] == attempt.token
    outcome.cancel()
    assert node.lines.next_number() == attempt.number + 1


async def test_positions_are_of_rooms_that_are_followed(node: Node) -> None:
    """Others are of no use to anybody."""
    line = await node.followed()
    line.last = 7
    (await node.followed("other")).last = 8
    node.lines.unfollow("other")
    node.lines.unfollow("nobody's")
    assert node.lines.positions() == {ROOM: 7}


@pytest.mark.parametrize(("position", "reads"), [(6, 1), (7, 1), (8, 2)])
async def test_what_others_have_seen_is_read(node: Node, position: int, reads: int) -> None:
    """Where they have seen more, and the room is not read anyway."""
    line = await node.followed()
    line.last = 7
    node.lines.seen_elsewhere("nobody's", 1)
    node.gate.clear()
    for _ in range(2):
        node.lines.seen_elsewhere(ROOM, position)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(node.reads) == reads
    assert node.figures.repairs["behind"] == reads - 1


@pytest.mark.parametrize(
    ("ahead", "stamp", "found"),
    [(0, 60, 50), (0, 49, 39), (45, 60, 50), (55, 60, 55), (80, 60, 60)],
)
def test_clocks_are_compared(ahead: int, stamp: int, found: int) -> None:
    """What was stored between two moments says how far a leader's clock is ahead, within them."""
    time = HandClock()
    wire: Any = Wire()
    made = Lines(wire, "here", Figures(), time.clock, Patience())
    now = time.clock.monotonic()
    made._ahead_ns[3] = ahead * 10**9
    time.advance(10)
    made.compare_clocks(3, now, (int(now) + stamp) * 10**9)
    assert round(made._ahead_ns[3] / 1e9) == found
    assert made.server_ns(3) == made._ahead_ns[3] + int(time.clock.monotonic() * 1e9)


async def test_so_many_rooms_of_a_stream_are_read_at_once(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others when one of these was read; a stream waits for no other."""
    monkeypatch.setattr(lines, "READERS", 2)
    rooms = [f"room-{number}" for number in range(300)]
    of_one = [each for each in rooms if subjects.stream_of(each) == 3][:5]
    other = next(each for each in rooms if subjects.stream_of(each) == 4)
    node.gate.clear()
    waiters: list[Awaitable[None]] = []
    for room in (*of_one, other):
        following = node.lines.follow(room)
        assert following is not None
        waiters.append(following)
    await asyncio.sleep(0.01)
    assert [each.room for each in node.reads] == [*of_one[:2], other]
    node.gate.set()
    await asyncio.gather(*waiters)
    assert [each.room for each in node.reads] == [*of_one[:2], other, *of_one[2:]]
    assert not any(node.lines._readers)


async def test_a_room_that_cannot_be_read_is_tried_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A while later, over the same subscription; the log says so once."""
    monkeypatch.setattr(lines, "PAUSE", 0.001)
    node.failures = 2
    with capture_logs() as told:
        line = await node.followed()
    assert (line.ready, len(node.reads), len(node.wire.listened)) == (True, 3, 1)
    assert [(each["event"], each["reason"]) for each in told] == [
        ("a room cannot be read now", "not now")
    ]
    assert node.figures.repairs == {"opened": 1}


async def test_a_room_is_not_tried_again_over_an_old_connection(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one begins with reading all."""
    monkeypatch.setattr(lines, "PAUSE", 0.01)
    node.failures = 1
    node.lines.follow(ROOM)
    while not node.reads:  # noqa: ASYNC110 - each turn of the loop counts
        await asyncio.sleep(0)
    node.lines.down()
    await asyncio.sleep(0.03)
    assert len(node.reads) == 1
    node.up()
    await until(lambda: node.lines._lines[ROOM].ready)
    assert len(node.reads) == 2
    assert node.figures.repairs == {"opened": 1, "connected": 1}


async def test_what_was_read_over_an_old_connection_ends_nothing(node: Node) -> None:
    """Its readers are not those of the new one."""
    node.gate.clear()
    node.lines.follow(ROOM)
    await until(lambda: node.reads)
    node.lines.down()
    node.up()
    node.gate.set()
    await until(lambda: not node.wire.tasks)
    assert not any(node.lines._readers)


async def test_what_the_stream_does_not_have_is_lost(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It told of something and has it not, however often it is asked: that is begun anew."""
    monkeypatch.setattr(lines, "PAUSE", 0.001)
    monkeypatch.setattr(lines, "MOST_ROUNDS", 3)
    line = await node.followed()
    line.held = [(9, 8, b"2026-11-30T00:00:00Z", b"")]
    with capture_logs() as told:
        line.ready = line.repairing = False
        node.lines.seen_elsewhere(ROOM, 99)
        line.ready = True
        node.lines.seen_elsewhere(ROOM, 99)
        await until(lambda: line.ready)
    assert len(node.reads) == 1 + 3 + 1
    assert "does not have what it told of" in told[0]["reason"]
    assert line.held == []


async def test_who_is_told_of_rooms(node: Node) -> None:
    """All, one after another, though one crashes; before the start and at the end nobody."""
    arrival = Arrival(ROOM, 1, ())
    later: list[Arrival] = []

    def crash(_arrival: Arrival) -> None:
        raise RuntimeError

    node.lines.on_arrival(crash)
    node.lines.on_arrival(later.append)
    with capture_logs() as told:
        node.lines.show(arrival)
    assert (node.shown, later) == ([arrival], [arrival])
    assert [each["event"] for each in told] == ["who is told of rooms crashed"]
    node.lines.tell(told=False)
    node.lines.show(arrival)
    assert (len(node.shown), len(later)) == (1, 1)


async def test_who_counts_rates(node: Node) -> None:
    """All who asked."""
    counted: list[tuple[str, int, float]] = []
    for _ in range(2):
        node.lines.on_debit(lambda *what: counted.append(what))
    node.lines.debit(ROOM, 5, 0.5)
    assert counted == [(ROOM, 5, 0.5)] * 2


async def test_a_new_leader(node: Node) -> None:
    """The rooms of its stream are read again, but not those that are being read."""
    rooms = [f"room-{number}" for number in range(300)]
    of_it = [each for each in rooms if subjects.stream_of(each) == 3][:2]
    other = next(each for each in rooms if subjects.stream_of(each) == 4)
    for room in (*of_it, other):
        await node.followed(room)
    node.lines._lines[of_it[1]].ready = False
    node.reads.clear()
    node.lines.led_anew(3)
    await until(lambda: node.reads)
    assert [each.room for each in node.reads] == [of_it[0]]
    assert node.figures.repairs["leader"] == 1


async def test_what_takes_too_long_is_given_up(node: Node) -> None:
    """Though it was never tried; a room with nothing to do is not looked after any more."""
    node.lines.down()
    outcome = node.publish()
    await node.looked_after(Patience().outcome)
    assert not outcome.done()
    await node.looked_after(Patience().arrival)
    with pytest.raises(BusUnavailable, match="does not answer in time"):
        await outcome
    assert not node.lines._busy


async def test_a_room_that_fails_holds_up_no_other(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says so."""
    node.lines.down()
    failing, outcome = node.publish("failing"), node.publish()

    def crash(*_: object) -> None:
        raise RuntimeError

    look_after = Line.look_after
    monkeypatch.setattr(
        Line,
        "look_after",
        lambda line, *times: (crash if line.room == "failing" else look_after)(line, *times),
    )
    with capture_logs() as told:
        await node.looked_after(60)
    assert isinstance(outcome.exception(), BusUnavailable)
    assert [(each["event"], each["error"]) for each in told] == [("a room failed", "RuntimeError")]
    failing.cancel()


async def test_rooms_that_nobody_needs_are_closed(node: Node) -> None:
    """Some seconds after their last use; not while they are followed, or something waits there."""
    for room in ("left", "published", "followed", "busy"):
        await node.followed(room)
        if room != "followed":
            node.lines.unfollow(room)
    node.lines.down()
    node.up()
    await until(lambda: all(line.ready for line in node.lines._lines.values()))
    published = node.publish("published")
    published.cancel()
    busy = node.publish("busy")
    await node.looked_after(lines.LINGER_SECONDS)
    assert set(node.lines._lines) == {"left", "published", "followed", "busy"}
    line = node.lines._lines["left"]
    await node.looked_after(0.1)
    assert set(node.lines._lines) == {"published", "followed", "busy"}
    assert (line.ready, node.figures.rooms) == (False, 3)
    assert node.wire.unlistened == [subjects.delivered(subjects.published("left"))]
    busy.cancel()
    node.lines.unfollow("followed")
    await node.looked_after(lines.LINGER_SECONDS + 0.1)
    await node.looked_after(lines.LINGER_SECONDS + 0.1)
    assert (set(node.lines._lines), node.figures.rooms) == (set(), 0)


async def test_a_room_lingers_from_when_its_last_viewer_left(node: Node) -> None:
    """However long it was followed before: he may come back."""
    await node.followed()
    await node.looked_after(10 * lines.LINGER_SECONDS)
    node.lines.unfollow(ROOM)
    await node.looked_after(lines.LINGER_SECONDS)
    assert set(node.lines._lines) == {ROOM}
    await node.looked_after(0.1)
    assert not node.lines._lines


async def test_a_room_lingers_from_when_it_was_read_last(node: Node) -> None:
    """Who asks for what it keeps, without following it, may ask again."""
    await node.followed()
    node.lines.unfollow(ROOM)
    node.time.advance(lines.LINGER_SECONDS)
    assert await node.lines.ready(ROOM) is node.lines._lines[ROOM]
    await node.looked_after(lines.LINGER_SECONDS)
    assert set(node.lines._lines) == {ROOM}
    await node.looked_after(0.1)
    assert not node.lines._lines


async def test_a_room_that_is_used_again_meanwhile_is_not_closed(node: Node) -> None:
    """Closing one takes a while, in which somebody may come to another."""
    for room in ("first", "second"):
        await node.followed(room)
        node.lines.unfollow(room)

    def come_back() -> None:
        assert node.lines.follow("second") is None

    node.wire.on_unlisten = come_back
    await node.looked_after(lines.LINGER_SECONDS + 1)
    assert set(node.lines._lines) == {"second"}
    assert node.lines._lines["second"].ready


async def test_without_a_connection_there_is_nothing_to_end(node: Node) -> None:
    """A room is closed all the same."""
    await node.followed()
    node.lines.unfollow(ROOM)
    node.lines.down()
    await node.looked_after(lines.LINGER_SECONDS + 1)
    assert not node.lines._lines
    assert not node.wire.unlistened


@pytest.mark.parametrize("how", ["followed", "published", "read", "used"])
async def test_whatever_a_room_is_needed_for_meanwhile(node: Node, how: str) -> None:
    """It stays; the others that nobody needs are closed all the same."""
    for room in ("first", "second", "third"):
        await node.followed(room)
        node.lines.unfollow(room)
    line, begun = node.lines._lines["second"], node.time.clock.monotonic()
    published: list[asyncio.Future[Position]] = []

    def come_back() -> None:
        if how == "followed":
            node.lines.follow("second")
        elif how == "published":
            published.append(node.publish("second"))
        elif how == "read":
            node.gate.clear()
            node.lines.seen_elsewhere("second", 7)
        else:
            line.used = begun + lines.LINGER_SECONDS + 2

    node.wire.on_unlisten = come_back
    await node.looked_after(lines.LINGER_SECONDS + 1)
    assert set(node.lines._lines) == {"second"}
    assert node.wire.unlistened == [
        subjects.delivered(subjects.published(each)) for each in ("first", "third")
    ]
    node.gate.set()
    node.lines.end()


async def test_a_room_lingers_from_its_last_outcome(node: Node) -> None:
    """Not from when it was published."""
    await node.followed()
    node.lines.unfollow(ROOM)
    outcome = node.publish()
    await node.looked_after(9)
    outcome.cancel()
    node.lines._lines[ROOM].attempt = None
    await node.looked_after(0)
    await node.looked_after(lines.LINGER_SECONDS - 1)
    assert set(node.lines._lines) == {ROOM}
    await node.looked_after(2)
    assert not node.lines._lines


async def test_a_room_that_was_never_listened_to_is_closed(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to end."""
    monkeypatch.setattr(lines, "PAUSE", 60)
    node.lines.follow(ROOM)
    await until(lambda: node.lines._lines[ROOM].ready)
    node.lines.unfollow(ROOM)
    node.lines._lines[ROOM].subscribed = None
    await node.looked_after(lines.LINGER_SECONDS + 1)
    assert (node.lines._lines, node.wire.unlistened) == ({}, [])


async def test_nothing_is_read_twice_over_a_new_connection(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited to be read over the old one waits no more."""
    monkeypatch.setattr(lines, "READERS", 1)
    rooms = [f"room-{number}" for number in range(300)]
    of_one = [each for each in rooms if subjects.stream_of(each) == 3][:2]
    node.gate.clear()
    for room in of_one:
        node.lines.follow(room)
    await until(lambda: node.reads)
    node.lines.down()
    node.up()
    node.gate.set()
    await until(lambda: not node.wire.tasks)
    assert [each.room for each in node.reads] == [of_one[0], *of_one]


async def test_the_clocks_of_a_new_connection(node: Node) -> None:
    """They are those that were looked at when it was made."""
    node.lines.up([number * 10**9 for number in range(subjects.STREAMS)])
    now = int(node.time.clock.monotonic() * 1e9)
    assert [node.lines.server_ns(each) - now for each in (0, 3)] == [0, 3 * 10**9]


async def test_the_line_of_who_reads_what_is_kept(node: Node) -> None:
    """It has seen all there is; without a connection, or when it takes too long, there is none."""
    assert node.lines.position(ROOM) == 0
    line = await node.lines.ready(ROOM)
    assert line is node.lines._lines[ROOM]
    line.last = 7
    assert (await node.lines.ready(ROOM), node.lines.position(ROOM)) == (line, 7)
    assert len(node.reads) == 1
    current = node.lines.reader(line)
    current._check()
    node.lines.down()
    with pytest.raises(NoAnswer):
        current._check()
    assert await node.lines.ready("other") is None
    assert "other" not in node.lines._lines
    node.up()
    with pytest.raises(NoAnswer):
        current._check()
    node.lines.end()
    assert await node.lines.ready(ROOM) is None


async def test_a_line_that_is_not_ready_in_time(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked goes on without it."""
    monkeypatch.setattr(lines, "FOLLOW_SECONDS", 0.01)
    node.gate.clear()
    assert await node.lines.ready(ROOM) is None
    node.gate.set()
