"""One room at one node, step by step: what is attempted, what decides it, what is read again.

Covers: greenroom.bus.nats.publication
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom.bus.base import Arrival, Before, BusUnavailable, Deliver, Position, RoomEnvelope
from greenroom.bus.figures import STUCK_SECONDS, Figures, Repair
from greenroom.bus.nats import headers, line
from greenroom.bus.nats.codec import Batch, decode_batch, encode
from greenroom.bus.nats.line import Line
from greenroom.bus.nats.publication import UNKNOWN, Attempt, Publication
from greenroom.bus.rings import Rings

START_NS = 1_800_000_000_000_000_000
ALWAYS = START_NS * 2


class Around:
    """A node that writes down what its line asks of it; time stands still."""

    node = "here"
    is_up = True
    most_bytes = 10_000

    def __init__(self) -> None:
        self.figures = Figures()
        self.rings = Rings()
        self.seconds = 100.0
        self.sent: list[Attempt] = []
        self.forgotten: list[Attempt] = []
        self.repaired = 0
        self.debited: list[float] = []
        self.shown: list[bytes] = []
        self.compared: list[tuple[float, int]] = []
        self._number = 0

    def now(self) -> float:
        return self.seconds

    def server_ns(self, stream: int) -> int:
        return START_NS + int(self.seconds * 1e9)

    def compare_clocks(self, stream: int, since: float, stamp_ns: int) -> None:
        self.compared.append((since, stamp_ns))

    def next_number(self) -> int:
        self._number += 1
        return self._number

    def send(self, line: Line, attempt: Attempt) -> None:
        attempt.sent = self.seconds
        self.sent.append(attempt)

    def forget(self, attempt: Attempt) -> None:
        self.forgotten.append(attempt)

    def repair(self, line: Line) -> None:
        self.repaired += 1

    def debit(self, room: str, rate: int, seconds_ago: float) -> None:
        self.debited.append(seconds_ago)

    def show(self, arrival: Arrival) -> None:
        self.shown += [envelope.payload for envelope in arrival.envelopes]


class Scene:
    """A line that is ready, and a stream that stores what the test says."""

    def __init__(self) -> None:
        self.around = Around()
        self.line = Line("room", self.around)
        self.line.followed = True
        self.line.resume()
        self.asked: list[Before] = []
        self.time_ns = START_NS + 100 * 10**9

    def publish(self, *payloads: bytes, seconds: float = 10) -> list["asyncio.Future[Position]"]:
        """Publish messages; return their outcomes."""
        outcomes = []
        for payload in payloads:
            future: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
            grant = partial(self._grant, payload)
            self.line.publish(Publication(grant, future, self.around.seconds + seconds))
            outcomes.append(future)
        return outcomes

    def _grant(self, payload: bytes, before: Before) -> RoomEnvelope:
        self.asked.append(before)
        if payload == b"refused":
            raise LookupError
        return Deliver(payload, "SendMessage", time_ns=before.time_ns + 1, rate=5)

    def holding(self, *sent: tuple[bytes, float]) -> list["asyncio.Future[Position]"]:
        """Publish messages, each with its seconds, that go on only when the line does."""
        self.line.ready = False
        outcomes = [self.publish(payload, seconds=seconds)[0] for payload, seconds in sent]
        self.line.ready = True
        return outcomes

    def hear(
        self,
        sequence: int,
        previous: int,
        data: bytes,
        stamp_ns: int | None = None,
        expected: int = 0,
    ) -> None:
        """Have the stream tell of a message."""
        self.time_ns += 1
        stamp = headers.written(stamp_ns or self.time_ns)
        raw = (
            f"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: {expected}\r\n"
            f"Nats-Sequence: {sequence}\r\nNats-Last-Sequence: {previous}\r\n"
            f"Nats-Time-Stamp: {stamp}\r\n\r\n"
        )
        self.line.heard(b"gd.00.room", raw.encode(), data)

    def other(self, *payloads: bytes) -> bytes:
        """Return what another node publishes."""
        envelopes = [Deliver(each, "SendMessage", time_ns=50, rate=5) for each in payloads]
        return encode(Batch("there", 1, ALWAYS, tuple(envelopes)))

    @property
    def attempts(self) -> list[list[bytes]]:
        """What was sent."""
        batches = [decode_batch(each.body) for each in self.around.sent]
        return [[envelope.payload for envelope in batch.envelopes] for batch in batches]

    def refuse(self, code: int, number: int = -1) -> None:
        """Have the stream refuse an attempt."""
        data = b'{"error":{"code":400,"err_code":%d}}' % code
        self.line.answered(self.around.sent[number], b"", data)


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Give a scene in which nothing is waited for long."""
    for name in ("ELSEWHERE_SECONDS", "REFUSED_SECONDS", "FAILED_SECONDS"):
        monkeypatch.setattr(line, name, 0)
    return Scene()


async def turn() -> None:
    """Let what is due be done."""
    await asyncio.sleep(0.001)


async def test_one_attempt_at_a_time(scene: Scene) -> None:
    """What comes meanwhile goes together, when the first has been seen."""
    first = scene.publish(b"1")
    more = scene.publish(b"2", b"3")
    assert scene.attempts == [[b"1"]]
    scene.line.answered(scene.around.sent[0], b"", b'{"stream":"ROOMS_00","seq":7}')
    assert not first[0].done()
    scene.hear(7, 0, scene.around.sent[0].body)
    assert await first[0] == 7
    assert scene.attempts == [[b"1"], [b"2", b"3"]]
    assert scene.around.sent[1].predecessor == 7
    assert scene.asked == [Before(0, 0), Before(1, 0), Before(2, 1)]
    scene.hear(9, 7, scene.around.sent[1].body)
    assert [await each for each in more] == [9, 9]
    assert scene.around.shown == [b"1", b"2", b"3"]
    assert scene.around.debited == [0.0] * 3
    assert scene.around.forgotten == scene.around.sent
    assert not scene.line.is_busy


async def test_what_is_deleted_in_the_same_batch(scene: Scene) -> None:
    """Who is asked later is told: nothing of it has arrived by then."""
    seen: list[tuple[str, ...]] = []

    def grant(deletes: tuple[str, ...], before: Before) -> RoomEnvelope:
        seen.append(before.deleted)
        return Deliver(b"x", "DeleteMessage", time_ns=before.time_ns + 1, deletes=deletes)

    first = scene.publish(b"1")
    for deletes in (("a",), (), ("b", "c"), ()):
        future: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        scene.line.publish(Publication(partial(grant, deletes), future, scene.around.seconds + 10))
    scene.hear(7, 0, scene.around.sent[0].body)
    assert await first[0] == 7
    assert seen == [(), ("a",), ("a",), ("a", "b", "c")]
    scene.hear(8, 7, scene.around.sent[1].body)
    scene.publish(b"2")
    assert scene.asked[-1].deleted == ()


async def test_a_good_answer_decides_nothing(scene: Scene) -> None:
    """What is stored is told by its arrival, and is attempted no more until then."""
    (outcome,) = scene.publish(b"1")
    with capture_logs() as logs:
        scene.line.answered(scene.around.sent[0], b"", b'{"stream":"ROOMS_00","seq":7}')
        await turn()
    assert (scene.attempts, outcome.done(), logs) == ([[b"1"]], False, [])


async def test_a_late_refusal_puts_nothing_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is of an attempt that gave way: the present one is not waited for longer."""
    pauses: list[float] = []
    monkeypatch.setattr(
        asyncio.get_running_loop(), "call_later", lambda seconds, *_: pauses.append(seconds)
    )
    scene = Scene()
    scene.publish(b"1")
    scene.hear(3, 0, scene.other(b"other"))
    for _ in range(3):
        scene.refuse(10164, 0)
    assert pauses == []
    scene.refuse(10164)
    assert pauses == [line.ELSEWHERE_SECONDS]


async def test_a_room_whose_stream_has_lost_something(scene: Scene) -> None:
    """What is in memory of it does not go on with what comes."""
    scene.around.rings.of("room", 1)
    scene.line.lost()
    assert "room" not in scene.around.rings


async def test_what_cannot_be_written_as_bytes(scene: Scene) -> None:
    """It is told to who published it; what was in its batch is published, in its order."""
    line, loop = scene.line, asyncio.get_running_loop()
    line.ready = False
    first = scene.publish(b"1")
    future: asyncio.Future[Position] = loop.create_future()
    # Half of a character, as JSON may hold one.
    poison = Deliver(b"{}", "SendMessage", user_id="\ud800", time_ns=START_NS)
    line.publish(Publication(lambda _: poison, future, scene.around.seconds + 10))
    last = scene.publish(b"2")
    line.ready = True
    line.flush()
    assert scene.attempts == [[b"1", b"2"]]
    scene.hear(7, 0, scene.around.sent[0].body)
    assert [await each for each in first + last] == [7, 7]
    with pytest.raises(UnicodeEncodeError):
        await future
    assert not line.is_busy


async def test_a_batch_that_cannot_be_written(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no part of it is to blame, all are told."""
    monkeypatch.setattr(scene.around, "server_ns", lambda _: 2**80)
    (outcome,) = scene.publish(b"1")
    with pytest.raises(OverflowError):
        await outcome
    assert not scene.line.is_busy


async def test_a_stream_that_takes_nothing(scene: Scene) -> None:
    """It is named from the first message that was not taken in time until it takes one."""
    figures = scene.around.figures
    (late,) = scene.publish(b"1", seconds=1)
    scene.around.seconds += 5
    scene.line.look_after(scene.around.now(), 100, 0)
    with pytest.raises(BusUnavailable):
        await late
    assert figures.stuck == [f"ROOMS_{scene.line.stream:02}"]
    (later,) = scene.publish(b"2")
    scene.hear(7, 0, scene.around.sent[-1].body)
    await later
    assert figures.stuck == []
    figures.refusing["ROOMS_01"] = time.monotonic() - STUCK_SECONDS - 1
    assert figures.stuck == []


async def test_somebody_else_was_faster(scene: Scene) -> None:
    """As soon as that is seen all is decided again, knowing it; answers to the first are late."""
    outcomes = scene.publish(b"1", b"2")
    scene.hear(3, 0, scene.other(b"other"))
    assert scene.attempts == [[b"1"], [b"1", b"2"]]
    assert (scene.around.sent[1].predecessor, scene.asked[-2]) == (3, Before(50, 0))
    scene.refuse(10071, 0)
    await turn()
    assert (len(scene.around.sent), scene.around.repaired) == (2, 0)
    scene.hear(4, 3, scene.around.sent[1].body)
    assert [await each for each in outcomes] == [4, 4]
    assert scene.around.figures.conflicts == 1


async def test_a_refusal_that_is_not_explained(scene: Scene) -> None:
    """What was faster did not arrive: the room is read; then all is decided again."""
    scene.publish(b"1")
    scene.refuse(10071)
    await turn()
    assert scene.around.repaired == 1
    assert not scene.line.ready
    scene.line.take(5, headers.written(scene.time_ns).encode(), scene.other(b"missed"))
    assert scene.line.release()
    scene.line.resume()
    assert scene.attempts == [[b"1"], [b"1"]]
    assert scene.around.sent[1].predecessor == 5
    assert scene.around.shown == [b"missed"]
    assert scene.around.figures.conflicts == 1


async def test_a_refusal_of_which_nothing_is_found(scene: Scene) -> None:
    """All is decided again as well, behind the same message, when the room was read in vain."""
    scene.publish(b"1")
    scene.refuse(10071)
    await turn()
    assert scene.around.repaired == 1
    scene.line.resume()
    first, again = scene.around.sent
    assert scene.attempts == [[b"1"], [b"1"]]
    assert (again.predecessor, again.number) == (first.predecessor, first.number + 1)
    assert scene.around.figures.conflicts == 0


@pytest.mark.parametrize(
    ("code", "first"), [(10071, line.REFUSED_SECONDS), (10164, line.ELSEWHERE_SECONDS)]
)
async def test_each_refusal_is_waited_for_longer(
    code: int, first: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as long as the last one, until something arrives, and up to a bound."""
    pauses: list[float] = []
    monkeypatch.setattr(
        asyncio.get_running_loop(), "call_later", lambda seconds, *_: pauses.append(seconds)
    )
    scene = Scene()
    scene.publish(b"1")
    for _ in range(8):
        scene.refuse(code)
    assert pauses == [min(first * 2**number, line.FAILED_SECONDS) for number in range(8)]


@pytest.mark.parametrize("code", [10164, 10047, 10077])
async def test_a_refusal_that_may_pass(code: int, scene: Scene) -> None:
    """Another's attempt is in process, or nothing can be stored: it is made again in a moment."""
    scene.publish(b"1")
    with capture_logs() as logs:
        scene.refuse(code)
    stream = f"ROOMS_{scene.line.stream:02}"
    told = [] if code == 10164 else [("the stream of a room does not store", stream)]
    assert [(each["event"], each["stream"]) for each in logs] == told
    await turn()
    assert scene.attempts == [[b"1"], [b"1"]]
    assert scene.around.repaired == 0
    assert scene.around.figures.conflicts == (code == 10164)
    assert scene.around.sent[0].number != scene.around.sent[1].number


async def test_refusals_without_end(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits twice as long as the one before, up to a bound, until something arrives."""
    waited: list[float] = []
    monkeypatch.setattr(line, "ELSEWHERE_SECONDS", 0.001)
    monkeypatch.setattr(line, "FAILED_SECONDS", 0.02)
    loop = asyncio.get_running_loop()
    later = loop.call_later

    def noting(seconds: float, *work: Any) -> asyncio.TimerHandle:
        waited.append(seconds)
        return later(0, *work)

    scene.publish(b"1")
    with monkeypatch.context() as patched:
        patched.setattr(loop, "call_later", noting)
        for _ in range(8):
            scene.refuse(10164)
            scene.line._refused(scene.around.sent[-1])
    assert waited == [0.001, 0.002, 0.004, 0.008, 0.016, 0.02, 0.02, 0.02]
    scene.hear(1, 0, scene.other(b"x"))
    assert scene.line._refusals == 0


async def test_no_leader(scene: Scene) -> None:
    """Nobody answers for the stream: it is made again in a moment."""
    scene.publish(b"1")
    scene.line.answered(scene.around.sent[0], b"NATS/1.0 503\r\n\r\n", b"")
    await turn()
    assert scene.attempts == [[b"1"], [b"1"]]


async def test_no_answer(scene: Scene) -> None:
    """The room is read; what is not in it is sent once more, the very same bytes."""
    (outcome,) = scene.publish(b"1")
    scene.around.seconds += 0.9
    scene.line.look_after(scene.around.seconds, 1.0, 0.25)
    assert scene.around.repaired == 0
    scene.around.seconds += 0.2
    scene.line.look_after(scene.around.seconds, 1.0, 0.25)
    assert scene.around.repaired == 1
    scene.publish(b"2")
    scene.line.resume()
    first, again = scene.around.sent
    assert first is again
    scene.hear(1, 0, first.body)
    assert await outcome == 1
    assert scene.around.compared == [(100.0, scene.time_ns)]
    assert scene.attempts[-1] == [b"2"]


@pytest.mark.parametrize("code", [10164, 10047])
async def test_a_copy_that_was_sent_before_is_stored_yet(code: int, scene: Scene) -> None:
    """What was refused when it was sent again is published, not what was attempted in its place."""
    first, second = scene.publish(b"1", b"2")
    scene.hear(1, 0, scene.other(b"x"))
    scene.line.repair(Repair.UNANSWERED)
    scene.line.resume()
    original = scene.around.sent[-1]
    assert scene.around.sent[-2] is original
    scene.refuse(code)
    await turn()
    (third,) = scene.publish(b"3")
    again = scene.around.sent[-1]
    assert (again.predecessor, again.number) == (original.predecessor, original.number + 1)
    scene.hear(2, 1, original.body)
    assert [await first, await second] == [2, 2]
    assert scene.attempts[-1] == [b"3"]
    scene.hear(3, 2, scene.around.sent[-1].body)
    assert await third == 3
    assert scene.around.shown == [b"x", b"1", b"2", b"3"]


def publish_once(scene: Scene) -> "asyncio.Future[Position]":
    """Publish what is granted once, and refused when it is asked again; return its outcome."""
    future: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
    envelope = Deliver(b"1", "SendMessage", time_ns=1, rate=5)
    grant = Mock(side_effect=[envelope, LookupError("a new limit")])
    scene.line.publish(Publication(grant, future, scene.around.seconds + 10))
    return future


async def test_what_is_refused_now_may_have_been_stored_before(scene: Scene) -> None:
    """It is published, if the copy that was sent first is stored; nobody is told otherwise."""
    outcome = publish_once(scene)
    scene.refuse(10164)
    await turn()
    assert not outcome.done()
    assert scene.line.is_busy
    scene.hear(1, 0, scene.around.sent[0].body)
    assert await outcome == 1
    assert not scene.line.is_busy


async def test_what_is_refused_now_and_can_no_longer_be_stored(scene: Scene) -> None:
    """It is refused, as soon as something else is stored in its place."""
    outcome = publish_once(scene)
    scene.refuse(10164)
    await turn()
    (other,) = scene.publish(b"2")
    assert not outcome.done()
    scene.hear(1, 0, scene.around.sent[-1].body)
    with pytest.raises(LookupError, match="a new limit"):
        await outcome
    assert await other == 1
    assert not scene.line.is_busy


async def test_what_is_refused_now_and_of_which_nothing_is_heard(scene: Scene) -> None:
    """That it may be stored is told when its time is over, not before."""
    outcome = publish_once(scene)
    scene.refuse(10164)
    await turn()
    scene.around.seconds += 10.2
    scene.line.look_after(scene.around.seconds, 100, 0.25)
    assert not outcome.done()
    scene.around.seconds += 0.1
    scene.line.look_after(scene.around.seconds, 100, 0.25)
    with pytest.raises(BusUnavailable, match=UNKNOWN):
        await outcome
    assert not scene.line.is_busy


async def test_an_attempt_that_gave_way_is_forgotten(scene: Scene) -> None:
    """When something else is stored behind its predecessor it never will be."""
    (outcome,) = scene.publish(b"1")
    scene.refuse(10164)
    await turn()
    scene.hear(1, 0, scene.other(b"x"))
    assert scene.line._given_way == {}
    scene.hear(2, 1, scene.around.sent[-1].body)
    assert await outcome == 2


async def test_it_was_stored_though_nobody_said_so(scene: Scene) -> None:
    """Read, it is published, and not sent again."""
    (outcome,) = scene.publish(b"1")
    scene.line.repair(Repair.UNANSWERED)
    scene.line.take(1, headers.written(scene.time_ns).encode(), scene.around.sent[0].body)
    scene.line.resume()
    assert await outcome == 1
    assert len(scene.around.sent) == 1


async def test_patience_ends(scene: Scene) -> None:
    """Who waited long enough is told; who has more time is decided again, the batch being void."""
    short, long = *scene.publish(b"1", seconds=2), *scene.publish(b"2", seconds=9)
    scene.hear(1, 0, scene.other(b"x"))
    assert scene.attempts[-1] == [b"1", b"2"]
    until_ns = decode_batch(scene.around.sent[-1].body).until_ns
    assert until_ns == scene.around.server_ns(0) + 2 * 10**9
    scene.around.seconds += 2.2
    scene.line.look_after(scene.around.seconds, 100, 0.25)
    assert not short.done()
    scene.around.seconds += 0.1
    scene.line.look_after(scene.around.seconds, 100, 0.25)
    with pytest.raises(BusUnavailable):
        await short
    assert scene.attempts[-1] == [b"2"]
    # The first is stored after all, too late: it shows nothing, and the second is made again.
    scene.hear(2, 1, scene.around.sent[-2].body, until_ns + 1)
    assert scene.around.shown == [b"x"]
    assert scene.around.figures.void == 1
    scene.hear(3, 2, scene.around.sent[-1].body)
    assert await long == 3


async def test_nothing_is_tried_at_the_last_moment(scene: Scene) -> None:
    """What could not be stored in time is not sent."""
    (outcome,) = scene.publish(b"1", seconds=0.01)
    with pytest.raises(BusUnavailable):
        await outcome
    assert scene.around.sent == []


async def test_who_no_longer_waits_is_not_asked(scene: Scene) -> None:
    """A publication that was cancelled before its attempt is not made."""
    scene.publish(b"1")
    cancelled, other = scene.publish(b"2", b"3")
    cancelled.cancel()
    scene.hear(1, 0, scene.around.sent[0].body)
    assert scene.attempts[-1] == [b"3"]
    assert not other.done()


async def test_batches_are_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """In number, and in bytes."""
    monkeypatch.setattr(line, "MOST_ENVELOPES", 4)
    scene.publish(b"0")
    scene.publish(*(b"%d" % number for number in range(1, 7)))
    scene.hear(1, 0, scene.around.sent[0].body)
    assert scene.attempts[-1] == [b"1", b"2", b"3", b"4"]
    scene.publish(bytes(9_000), bytes(9_000), b"last")
    scene.hear(2, 1, scene.around.sent[-1].body)
    assert [len(each) for each in scene.attempts[-1]] == [1, 1, 9_000, 9_000]
    scene.hear(3, 2, scene.around.sent[-1].body)
    assert scene.attempts[-1] == [b"last"]


@pytest.mark.parametrize("behind_ns", [0, 10**9])
async def test_a_gap(scene: Scene, behind_ns: int) -> None:
    """What comes behind something that was not heard is held back until that is read.

    So it is when the stream has a new leader, whose clock is behind.
    """
    scene.hear(1, 0, scene.other(b"1"))
    scene.time_ns -= behind_ns
    scene.hear(5, 3, scene.other(b"3"))
    scene.hear(6, 5, scene.other(b"4"))
    assert (scene.around.shown, scene.around.repaired) == ([b"1"], 1)
    assert scene.around.figures.repairs == {"gap": 1}
    assert not scene.line.release()
    scene.line.take(3, headers.written(scene.time_ns).encode(), scene.other(b"2"))
    assert scene.line.release()
    scene.line.resume()
    assert scene.around.shown == [b"1", b"2", b"3", b"4"]


async def test_a_gap_of_which_only_the_publisher_tells(scene: Scene) -> None:
    """The server takes an older message for the one before: what is missing is read as well."""
    scene.hear(1, 0, scene.other(b"x"))
    scene.hear(5, 1, scene.other(b"y"), expected=3)
    assert scene.line.last == 1
    assert scene.around.figures.repairs == {"gap": 1}
    assert [each[:2] for each in scene.line.held] == [(5, 3)]


async def test_what_aged_out_is_no_gap(scene: Scene) -> None:
    """A message whose predecessor is older than the last one seen comes next all the same."""
    scene.hear(7, 0, scene.other(b"1"))
    scene.hear(9, 0, scene.other(b"2"))
    assert (scene.around.shown, scene.around.repaired) == ([b"1", b"2"], 0)


async def test_what_was_seen_comes_again(scene: Scene) -> None:
    """It is not shown twice."""
    scene.hear(7, 0, scene.other(b"1"))
    before = scene.time_ns
    scene.hear(8, 7, scene.other(b"2"))
    scene.hear(7, 0, scene.other(b"1"), before)
    scene.hear(8, 7, scene.other(b"2"), before + 1)
    assert (scene.around.shown, scene.around.repaired) == ([b"1", b"2"], 0)


async def test_numbers_come_again(scene: Scene) -> None:
    """A number that was seen, with a later stamp: the stream lost its end, and is read again."""
    scene.hear(7, 0, scene.other(b"1"))
    scene.hear(8, 7, scene.other(b"2"))
    scene.hear(7, 0, scene.other(b"new"))
    assert (scene.around.shown, scene.around.repaired) == ([b"1", b"2"], 1)
    assert not scene.line.release()


async def test_too_much_is_held_back(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond the bound is read once more."""
    monkeypatch.setattr(line, "MOST_HELD", 3)
    scene.line.repair(Repair.GAP)
    for number in range(1, 6):
        scene.hear(number, number - 1, scene.other(b"%d" % number))
    assert len(scene.line.held) == 3
    assert not scene.line.release()
    assert scene.around.shown == [b"1", b"2", b"3"]
    assert scene.line.release()


async def test_foreign_bytes_have_a_place(scene: Scene) -> None:
    """They show nothing, count for nothing, and others go on behind them."""
    (outcome,) = scene.publish(b"1")
    with capture_logs() as logs:
        scene.hear(1, 0, b"\xff not ours")
    assert [each["event"] for each in logs] == ["a message on the bus is not of this service"]
    assert scene.around.figures.undecodable == 1
    scene.hear(2, 1, scene.around.sent[-1].body)
    assert await outcome == 2
    assert scene.around.shown == [b"1"]


async def test_a_batch_of_a_newer_node(scene: Scene) -> None:
    """What is known in it is shown in its place; that something is not is counted."""
    sent = msgspec.msgpack.decode(scene.other(b"1", b"2", b"3"))
    sent[3][1][0] = "OfNextYear"
    scene.hear(1, 0, msgspec.msgpack.encode(sent))
    scene.hear(2, 1, scene.other(b"4"))
    assert scene.around.shown == [b"1", b"3", b"4"]
    assert scene.around.figures.undecodable == 1


async def test_without_a_connection(scene: Scene) -> None:
    """Everything waits; nothing is read, and nothing sent, before the next one."""
    (outcome,) = scene.publish(b"1")
    scene.around.is_up = False
    scene.line.lose()
    scene.publish(b"2")
    scene.line.repair(Repair.GAP)
    assert (scene.around.repaired, len(scene.around.sent)) == (0, 1)
    scene.around.is_up = True
    scene.line.repair(Repair.CONNECTED)
    assert scene.around.repaired == 1
    scene.line.resume()
    assert scene.around.sent[1] is scene.around.sent[0]
    scene.hear(1, 0, scene.around.sent[0].body)
    assert await outcome == 1
    assert scene.attempts[-1] == [b"2"]


@pytest.mark.parametrize(
    ("size", "number"),
    [(Around.most_bytes, 1), (Around.most_bytes - 1, 2), (Around.most_bytes // 2, 2)],
)
async def test_a_batch_is_bounded_by_its_bytes(size: int, number: int) -> None:
    """What would be too much waits for the next one."""
    scene = Scene()
    for _ in range(4):
        future: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        grant = partial(scene._grant, b"x" * size)
        scene.line.waiting.append(Publication(grant, future, scene.around.seconds + 10))
    granted, envelopes = scene.line._granted()
    assert (len(granted), len(envelopes)) == (number, number)
    assert len(scene.line.waiting) == 4 - number


@pytest.fixture
def kept(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, list[bytes]]]:
    """Give what is kept in memory: of which room, up to where."""
    found: list[tuple[str, int, list[bytes]]] = []

    def take(room: str, sequence: int, envelopes: Sequence[RoomEnvelope]) -> None:
        found.append((room, sequence, [each.payload for each in envelopes]))

    monkeypatch.setattr(scene.around.rings, "take", take)
    return found


async def test_a_room_that_nobody_follows(
    scene: Scene, kept: list[tuple[str, int, list[bytes]]]
) -> None:
    """Nobody is shown what arrives; it counts, and is kept for whoever comes, all the same."""
    scene.line.followed = False
    scene.hear(1, 0, scene.other(b"1", b"2"))
    assert (scene.around.shown, scene.around.debited) == ([], [0.0, 0.0])
    assert (kept, scene.around.figures.received) == ([("room", 1, [b"1", b"2"])], 1)


async def test_what_is_only_known(scene: Scene, kept: list[tuple[str, int, list[bytes]]]) -> None:
    """It is not shown; it is kept, counts for the rate from when it was, and others come behind."""
    stamp = headers.written(scene.time_ns).encode()
    envelopes = (
        Deliver(b"1", "SendMessage", time_ns=70, rate=5),
        Deliver(b"2", "SendMessage", time_ns=80, rate=0),
    )
    scene.line.note(4, stamp, encode(Batch("there", 1, ALWAYS, envelopes)), 0.5)
    assert (scene.around.shown, scene.around.debited) == ([], [0.5])
    assert (kept, scene.line.time_ns) == ([("room", 4, [b"1", b"2"])], 80)
    for sequence, data in ((5, b"\xff not ours"), (6, encode(Batch("there", 2, ALWAYS, ())))):
        scene.line.note(sequence, stamp, data, 0.5)
        assert (scene.line.last, scene.line.time_ns) == (sequence, 80)
    scene.publish(b"3")
    assert (scene.around.sent[0].predecessor, scene.asked) == (6, [Before(80, 0)])


async def test_what_cannot_be_granted_holds_up_nothing(scene: Scene) -> None:
    """Nor does what has no time left: each is told, and what waits behind it goes with the rest."""
    scene.around.seconds = 0.0
    least = line.LEAST_SECONDS
    late, refused, *good = scene.holding(
        (b"late", least - 0.001), (b"refused", 9), (b"1", least), (b"2", 9)
    )
    scene.line.flush()
    assert scene.attempts == [[b"1", b"2"]]
    with pytest.raises(BusUnavailable):
        await late
    with pytest.raises(LookupError):
        await refused
    assert not any(each.done() for each in good)


async def test_the_last_moment_is_one(scene: Scene) -> None:
    """An attempt, and what waits behind it, are given up when the time is over, not before."""
    sent, waiting = *scene.publish(b"1", seconds=2), *scene.publish(b"2", seconds=2)
    for seconds, given_up in ((102.125, False), (102.25, True)):
        scene.line.look_after(seconds, 100, 0.25)
        assert (sent.done(), waiting.done()) == (given_up, given_up)
    assert scene.around.figures.unavailable == 2
    assert not scene.line.is_busy
    with pytest.raises(BusUnavailable, match="It is not known whether this is published"):
        await sent
    with pytest.raises(BusUnavailable, match="This is not published"):
        await waiting


async def test_an_answer_that_comes_at_the_last_moment(scene: Scene) -> None:
    """Until the time for it is over the room is not read."""
    scene.publish(b"1")
    for seconds, repaired in ((101.0, 0), (101.125, 1)):
        scene.line.look_after(seconds, 1.0, 0.25)
        assert scene.around.repaired == repaired


async def test_who_left_takes_no_place(scene: Scene) -> None:
    """What was cancelled is gone from what waits, though an attempt is under way."""
    scene.publish(b"1")
    left, stays = scene.publish(b"2", b"3")
    left.cancel()
    scene.line.look_after(scene.around.seconds, 100, 0.25)
    assert [each.future for each in scene.line.waiting] == [stays]
    assert scene.around.figures.unavailable == 0


async def test_no_stream_is_blamed_without_a_connection(scene: Scene) -> None:
    """That there is none is told by itself."""
    scene.around.is_up = False
    scene.publish(b"1", seconds=0.01)
    assert (scene.around.figures.unavailable, scene.around.figures.stuck) == (1, [])


async def test_what_was_read_meanwhile_is_held_back_for_nothing(scene: Scene) -> None:
    """It is shown once; where more came than was held, the rest is read for all that."""
    scene.hear(1, 0, scene.other(b"1"))
    scene.hear(3, 2, scene.other(b"3"))
    stamp = headers.written(scene.time_ns).encode()
    scene.line.take(2, stamp, scene.other(b"2"))
    scene.line.take(3, stamp, scene.other(b"3"))
    assert scene.line.release()
    assert scene.around.shown == [b"1", b"2", b"3"]


async def test_what_was_not_held_is_missing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where all that was held has been read meanwhile."""
    monkeypatch.setattr(line, "MOST_HELD", 1)
    scene.hear(1, 0, scene.other(b"1"))
    scene.hear(3, 2, scene.other(b"3"))
    scene.line.take(3, headers.written(scene.time_ns).encode(), scene.other(b"3"))
    assert not scene.line.release()


async def test_what_a_repair_finds_out_about_an_attempt(scene: Scene) -> None:
    """Nothing may be stored behind another predecessor: it is decided again."""
    (outcome,) = scene.publish(b"1")
    scene.line.repair(Repair.UNANSWERED)
    scene.line.note(5, headers.written(scene.time_ns).encode(), scene.other(b"x"), 3.0)
    scene.line.resume()
    assert [each.predecessor for each in scene.around.sent] == [0, 5]
    scene.hear(6, 5, scene.around.sent[-1].body)
    assert await outcome == 6


async def test_an_end_of_the_connection_forgets_what_was_held(scene: Scene) -> None:
    """It is read again over the next one; and it is listened to anew."""
    scene.line.repair(Repair.GAP)
    scene.hear(5, 3, scene.other(b"4"))
    subscribed: Any = "something"
    scene.line.subscribed = subscribed
    scene.line.lose()
    left: Any = scene.line.subscribed
    assert (left, scene.line.ready, scene.line.repairing) == (None, False, False)
    assert scene.line.release()
    assert scene.around.shown == []


@pytest.mark.parametrize("code", [10071, 10164])
async def test_a_refusal_that_is_over_when_its_time_comes(code: int, scene: Scene) -> None:
    """What was faster has arrived meanwhile: nothing is read, and nothing is attempted again."""
    scene.publish(b"1")
    scene.refuse(code)
    scene.hear(1, 0, scene.other(b"x"))
    await turn()
    assert (len(scene.around.sent), scene.around.repaired, scene.line.ready) == (2, 0, True)
    assert not scene.around.sent[0].refused


async def test_what_is_stored_too_late_is_no_conflict(scene: Scene) -> None:
    """It shows nothing, and who still has time is decided again."""
    (outcome,) = scene.publish(b"1", seconds=2)
    until_ns = decode_batch(scene.around.sent[0].body).until_ns
    scene.hear(1, 0, scene.around.sent[0].body, until_ns + 1)
    assert (scene.around.shown, outcome.done()) == ([], False)
    assert (scene.around.figures.void, scene.around.figures.conflicts) == (1, 0)
    assert [each.predecessor for each in scene.around.sent] == [0, 1]


async def test_a_conflict_counts_once(scene: Scene) -> None:
    """An attempt that was refused, as another one was in process, has counted already."""
    scene.publish(b"1")
    scene.refuse(10164)
    scene.hear(1, 0, scene.other(b"x"))
    assert scene.around.figures.conflicts == 1
    scene.hear(2, 1, scene.around.sent[-1].body)
    scene.publish(b"2")
    scene.hear(3, 2, scene.other(b"y"))
    assert scene.around.figures.conflicts == 2
    assert scene.around.figures.published == 1
