"""Tails on streams to which everything happens that can.

Covers: greenroom.bus.streams
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any
from unittest import mock
from unittest.mock import AsyncMock, Mock

import msgspec
import pytest
import structlog.testing

from greenroom.bus.base import Deliver, Disconnect, Stage
from greenroom.chatlog import idling
from greenroom.chatlog.idling import IDLE_SECONDS, LONGEST_PAUSE, UNKEPT_PAUSE
from greenroom.chatlog.tail import (
    LEASE_PAUSE,
    LEFT_TIMES,
    LONGEST_ARN,
    Cause,
    Failure,
    Tail,
    TailSurroundings,
    arn_of,
    entries_of,
)
from greenroom.model.arn import Arn
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.history import NOTHING_SHOWN, Shown
from greenroom.storage.journal import Entry, StreamPosition
from greenroom.storage.memory.history import MemoryHistory
from greenroom.storage.memory.journal import MemoryJournal
from greenroom.storage.memory.opened import Opened
from greenroom.storage.memory.store import MemoryStore
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.scene import Alarm
from tests.stand_ins.streams import MESSAGES_PER_READ, MemoryStreams, logged
from tests.stand_ins.values import configuration_arn, room_arn


@pytest.fixture(autouse=True)
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a read that brought all that one can bring here be followed by the next one.

    The first that it brings is the one that was read last.
    """
    monkeypatch.setattr(idling, "MANY", MESSAGES_PER_READ - 1)


class Moody(MemoryJournal):
    """A journal that may not answer; an append may be kept, and its answer lost."""

    def __init__(self) -> None:
        super().__init__(Opened(), MemoryHistory(Opened()))
        self.available = True
        self.answers = True
        self.rival = False

    async def append_from(
        self,
        stream: int,
        expected: StreamPosition | None,
        last: StreamPosition,
        entries: Iterable[Entry],
        shown: Shown = NOTHING_SHOWN,
    ) -> bool:
        self._check(self.available)
        if self.rival:
            self.rival = False
            assert await super().append_from(stream, expected, last, list(entries), shown)
        moved = await super().append_from(stream, expected, last, list(entries), shown)
        self._check(self.answers)
        return moved

    async def position(self, stream: int) -> StreamPosition | None:
        self._check(self.available)
        return await super().position(stream)

    def _check(self, answers: bool) -> None:
        if not answers:
            raise StorageUnavailable("as the test says")


class Nodes:
    """Nodes that share a journal and one stream, and what they say."""

    def __init__(self) -> None:
        self.time = HandClock()
        self.alarm = Alarm(self.time)
        self.streams = MemoryStreams()
        self.journal = Moody()
        self.room = room_arn()
        self.configuration = configuration_arn()
        self.stored = 0
        self.grown: list[Arn] = []
        self.missed: list[int] = []
        self.failed: list[Failure | None] = []
        self.tails: list[Tail] = []
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> Tail:
        """Start a node's tail."""
        around = TailSurroundings(
            streams=self.streams,
            journal=self.journal,
            clock=self.time.clock,
            random=lambda: 0.0,
            grown=self.grown.extend,
            missed=self.missed.append,
            failed=lambda _, why: self.failed.append(why),
            wait=self.alarm.wait,
        )
        tail = Tail(0, around)
        self.tails.append(tail)
        self.tasks.append(asyncio.create_task(tail.run()))
        return tail

    async def kill(self, node: int) -> None:
        """End a node's tail wherever it is."""
        self.tasks[node].cancel()
        await asyncio.wait([self.tasks[node]])

    def store(self, count: int = 1) -> None:
        """Store messages that are to be on record."""
        for _ in range(count):
            self.stored += 1
            self.streams.store(self.room, logged(self.stored, [self.configuration]))

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(10):
            await self.settle()
            self.time.advance(seconds / 10)
            self.alarm.ring()
        await self.settle()

    async def settle(self) -> None:
        """Let everything happen that can."""
        for _ in range(60):
            await asyncio.sleep(0)

    async def on_record(self) -> list[int]:
        """Return the numbers of the records, in their order."""
        records = await self.journal.batch(self.configuration, 1_000_000)
        return [int(record.payload) for record in records]


@asynccontextmanager
async def nodes(count: int = 1) -> AsyncIterator[Nodes]:
    """Give so many nodes, and kill them in the end."""
    made = Nodes()
    for _ in range(count):
        made.start()
    try:
        yield made
    finally:
        for node in range(len(made.tasks)):
            await made.kill(node)


def test_what_is_on_record() -> None:
    """All that names configurations, with its time, in order; nothing else."""
    streams, room, configurations = MemoryStreams(), room_arn(), (configuration_arn(),)
    named = tuple(map(str, configurations))
    messages = [
        streams.store(room, logged(1, configurations), Deliver(b"unlogged", "SendEvent")),
        streams.store(room),
        streams.store(room, Disconnect(b"kicked", "ann", "spam", "id", 7, named)),
    ]
    first, second = entries_of(messages)
    assert (first.payload, first.configurations, first.room) == (b"0001", configurations, room)
    assert second == Entry(room, configurations, 7, b"kicked")


@pytest.mark.parametrize("name", ["arn:aws:s3:::bucket", f"{configuration_arn()}{'a' * 512}"])
def test_what_is_no_arn(name: str) -> None:
    """A message that names a room or a configuration wrongly is told of, and stops nobody."""
    streams, configurations = MemoryStreams(), (configuration_arn(),)
    wrong = Deliver(b"wrong", "SendEvent", configurations=(name,))
    messages = [
        streams.store(room_arn(), wrong, logged(1, configurations)),
        msgspec.structs.replace(streams.store(room_arn(), logged(2, configurations)), room="room"),
        streams.store(room_arn(), logged(3, configurations)),
    ]
    with structlog.testing.capture_logs() as lines:
        assert [each.payload for each in entries_of(messages)] == [b"0001", b"0003"]
    assert [line["at"] for line in lines] == [1, 2]


class TestReading:
    """From the stream into the journal."""

    async def test_from_the_beginning(self) -> None:
        """What was stored before any node read is on record, and what comes then."""
        async with nodes(0) as made:
            made.store(6)
            made.start()
            await made.settle()
            made.store(7)
            await made.advance(LONGEST_PAUSE)
            assert await made.on_record() == list(range(1, 14))
            assert set(made.grown) == {made.configuration}
            assert made.missed == []

    async def test_messages_of_one_moment(self) -> None:
        """Of several with the same stamp the next node reads those that are not on record."""
        async with nodes() as made:
            made.store(2)
            await made.advance(1)
            for number in (3, 4):
                message = logged(number, [made.configuration])
                made.streams.store(made.room, message, later_ns=0)
            await made.advance(1)
            assert await made.on_record() == [1, 2, 3, 4]

    async def test_after_a_death(self) -> None:
        """The next node goes on behind what the last one added."""
        async with nodes() as made:
            for _ in range(5):
                made.store(3)
                await made.advance(LONGEST_PAUSE)
                await made.kill(-1)
                made.store(2)
                made.start()
                await made.settle()
            assert await made.on_record() == list(range(1, 26))

    async def test_one_node_reads(self) -> None:
        """Others wait for the lease, and get it when the reader dies."""
        async with nodes(3) as made:
            made.store(5)
            await made.advance(1)
            reads = made.streams.reads
            await made.kill(0)
            made.store(1)
            await made.advance(0.5)
            assert made.streams.reads == reads
            await made.advance(2 * LEASE_PAUSE)
            assert await made.on_record() == list(range(1, 7))

    async def test_who_waits_for_the_lease_asks_now_and_then(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Never sooner than after a pause, and after half of one more at most."""
        async with nodes(2) as made:
            for tail in made.tails:
                monkeypatch.setattr(tail._around, "random", lambda: 1.0)
            await made.advance(3 * LEASE_PAUSE)
            asked: list[float] = []
            lease = made.journal.lease

            def noted(name: str) -> Any:
                asked.append(made.time.seconds)
                return lease(name)

            monkeypatch.setattr(made.journal, "lease", noted)
            for _ in range(40):
                await made.advance(LEASE_PAUSE / 4)
            pauses = [after - before for before, after in pairwise(asked)]
            assert len(pauses) > 3
            assert LEASE_PAUSE <= min(pauses) <= max(pauses) <= 1.8 * LEASE_PAUSE

    async def test_a_reader_that_lost_its_lease(self) -> None:
        """Two that read at the same time add each record once."""
        async with nodes(2) as made:
            for _ in range(10):
                made.store(5)
                made.journal.lose_leases()
                await made.advance(LEASE_PAUSE)
            await made.advance(LEASE_PAUSE)
            assert await made.on_record() == list(range(1, 51))

    async def test_another_is_faster(self) -> None:
        """Who finds that another one has added what it read begins anew behind that."""
        async with nodes() as made:
            made.journal.rival = True
            made.store(3)
            await made.advance(1)
            assert (await made.journal.backlog(made.configuration)).records == 3
            made.store(2)
            await made.advance(2 * LEASE_PAUSE)
            assert await made.on_record() == [1, 2, 3, 4, 5]

    async def test_a_fault(self) -> None:
        """What should not happen is told, and ends nothing."""
        async with nodes() as made:
            made.store(1)
            await made.advance(1)
            made.streams.read_fails = True
            made.store(2)
            with structlog.testing.capture_logs() as lines:
                await made.advance(2 * LEASE_PAUSE)
            assert Failure(Cause.HERE, "ZeroDivisionError") in made.failed
            assert {line["error"] for line in lines} == {"ZeroDivisionError"}
            made.streams.read_fails = False
            await made.advance(2 * LEASE_PAUSE)
            assert await made.on_record() == [1, 2, 3]

    async def test_an_answer_that_is_lost(self) -> None:
        """What was added although the answer did not come is not added again."""
        async with nodes() as made:
            made.journal.answers = False
            made.store(3)
            await made.advance(2 * LEASE_PAUSE)
            made.journal.answers = True
            made.store(1)
            await made.advance(2 * LEASE_PAUSE)
            assert await made.on_record() == [1, 2, 3, 4]

    async def test_without_the_store(self) -> None:
        """It is tried again until it answers; the reason is told, and the end of it."""
        async with nodes() as made:
            await made.advance(1)
            made.journal.available = False
            made.store(3)
            await made.advance(2 * LEASE_PAUSE)
            assert Failure(Cause.JOURNAL, "as the test says") in made.failed
            assert await made.on_record() == []
            made.journal.available = True
            await made.advance(2 * LEASE_PAUSE)
            assert made.failed[-1] is None
            assert await made.on_record() == [1, 2, 3]

    async def test_without_the_stream(self) -> None:
        """The same when no server of the stream answers."""
        async with nodes() as made:
            await made.advance(1)
            made.streams.available = False
            made.store(3)
            await made.advance(2 * LEASE_PAUSE)
            assert made.failed[-1:] == [Failure(Cause.STREAM, "as the test says")]
            made.streams.available = True
            await made.advance(2 * LEASE_PAUSE)
            assert made.failed[-1] is None
            assert await made.on_record() == [1, 2, 3]

    @pytest.mark.parametrize("tells", [True, False])
    async def test_an_idle_stream_is_seldom_read(self, *, tells: bool) -> None:
        """One in which nothing happens costs a read a second, and what comes then is read at once.

        If nothing is told of that, it is read a second later at most.
        """
        async with nodes() as made:
            made.store()
            for _ in range(4):
                await made.advance(1)
            before = made.streams.reads
            for _ in range(10):
                await made.advance(1)
            assert made.streams.reads - before <= 10 / IDLE_SECONDS + 1
            made.streams.tells = tells
            made.store()
            if not tells:
                await made.advance(IDLE_SECONDS)
            await made.settle()
            assert await made.on_record() == [1, 2]

    @pytest.mark.parametrize(("is_logged", "most"), [(True, 22), (False, 6)])
    async def test_a_stream_in_calm(
        self, *, is_logged: bool, most: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Messages that come one at a time share reads and transactions, unkept ones most."""
        monkeypatch.setattr(idling, "MANY", 100)
        async with nodes() as made:
            append = mock.AsyncMock(wraps=made.journal.append_from)
            monkeypatch.setattr(made.journal, "append_from", append)
            for _ in range(40):
                if is_logged:
                    made.store()
                else:
                    made.streams.store(made.room)
                await made.advance(0.01)
            assert 4 <= append.call_count <= most
            await made.advance(UNKEPT_PAUSE)
            assert await made.on_record() == list(range(1, made.stored + 1))

    async def test_a_backlog_is_read_at_once(self) -> None:
        """Without a pause between the reads."""
        async with nodes(0) as made:
            made.store(5 * MESSAGES_PER_READ)
            made.start()
            await made.settle()
            assert await made.on_record() == list(range(1, made.stored + 1))


class TestStreams:
    """What happens to streams."""

    async def test_messages_grow_old(self) -> None:
        """That what was read is gone is as it should be; nothing is missed or read twice."""
        async with nodes() as made:
            made.store(3)
            await made.advance(1)
            made.streams.age(0)
            await made.advance(1)
            made.store(2)
            await made.advance(1)
            made.streams.age(1)
            made.store(2)
            await made.advance(1)
            assert await made.on_record() == list(range(1, 8))
            assert made.missed == []

    async def test_unread_messages_grow_old(self) -> None:
        """How many are missing is told once, and the others are read."""
        async with nodes() as made:
            made.store(3)
            await made.advance(1)
            made.journal.available = False
            made.store(5)
            made.streams.age(2)
            await made.advance(LEASE_PAUSE)
            made.journal.available = True
            with structlog.testing.capture_logs() as lines:
                await made.advance(2 * LEASE_PAUSE)
            assert await made.on_record() == [1, 2, 3, 7, 8]
            assert made.missed == [3]
            assert [line["messages"] for line in lines if line["log_level"] == "error"] == [3]

    async def test_the_end_is_lost(self) -> None:
        """Numbers that come again are other messages: all are on record, the lost ones as well."""
        async with nodes() as made:
            made.store(5)
            await made.advance(1)
            made.streams.lose_end(3)
            await made.advance(1)
            made.store(1)
            await made.advance(1)
            made.store(1)
            await made.advance(1)
            assert await made.on_record() == list(range(1, 8))
            assert made.missed == []

    async def test_the_end_is_lost_and_as_much_comes(self) -> None:
        """As many new messages, or more, do not hide that the old ones are gone, at no time."""
        for count in (3, 4, 6):
            async with nodes() as made:
                made.store(5)
                await made.advance(1)
                made.streams.lose_end(3)
                made.store(count)
                await made.advance(1)
                assert (await made.journal.backlog(made.configuration)).records == 5 + count
                made.store(1)
                await made.advance(1)
                assert await made.on_record() == list(range(1, 7 + count))

    async def test_the_end_is_lost_and_the_rest_is_old(self) -> None:
        """Also when nothing is left of what was read."""
        async with nodes() as made:
            made.store(5)
            await made.advance(1)
            made.streams.lose_end(2)
            made.streams.age(0)
            made.store(1)
            await made.advance(1)
            assert await made.on_record() == [1, 2, 3, 4, 5, 6]
            assert made.missed == []

    async def test_made_anew(self) -> None:
        """A stream in the place of another one is read from its beginning, with a warning."""
        async with nodes() as made:
            made.store(5)
            await made.advance(1)
            made.streams.make_anew()
            await made.advance(1)
            made.store(6)
            with structlog.testing.capture_logs() as lines:
                await made.advance(1)
            assert await made.on_record() == list(range(1, 12))
            assert [line["event"] for line in lines] == ["a stream is not what it was"]


class TestLag:
    """How far the journal is behind."""

    async def test_nothing_is_missing(self) -> None:
        """A reader that finds nothing new is as good as on time; the others say 0."""
        async with nodes(2) as made:
            made.time.jump(-1)
            made.store(3)
            for _ in range(3):
                await made.advance(1)
            assert made.tails[0].lag_seconds <= IDLE_SECONDS + 0.1
            assert made.tails[1].lag_seconds == 0

    async def test_it_rises_while_the_store_is_away(self) -> None:
        """Whoever read last goes on telling, until somebody reads again."""
        async with nodes() as made:
            await made.advance(1)
            made.journal.available = False
            made.store()
            for _ in range(60):
                await made.advance(10)
            assert 595 <= made.tails[0].lag_seconds <= 601
            made.journal.available = True
            await made.advance(2 * LEASE_PAUSE)
            await made.advance(1)
            assert made.tails[0].lag_seconds <= IDLE_SECONDS

    async def test_another_reads(self) -> None:
        """A node whose stream another one reads now has nothing to tell."""
        async with nodes() as made:
            await made.advance(1)
            async with made.journal.lease("a"):
                made.journal.lose_leases()
            async with made.journal.lease("stream 0"):
                await made.advance(2 * LEASE_PAUSE)
                assert made.tails[0].lag_seconds == 0


def test_how_long_an_arn_may_be() -> None:
    """What is longer is nothing of this service, whatever it says."""
    with pytest.raises(ValueError, match="longer than any"):
        arn_of("x" * (LONGEST_ARN + 1))
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - which words are looked at below
        arn_of("x" * LONGEST_ARN)
    assert "longer than any" not in str(refused.value)


def test_who_has_his_part_leaves_it_to_others() -> None:
    """For some turns, then he tries; and so again."""
    tail: Any = Mock(_left=0)
    tail._share.is_full.return_value = True
    turns = [Tail._tries(tail) for _ in range(2 * (LEFT_TIMES + 1))]
    assert turns == ([False] * LEFT_TIMES + [True]) * 2
    tail._share.is_full.return_value = False
    assert Tail._tries(tail)


async def test_who_is_told_of_messages_that_wait() -> None:
    """When a stream is begun to be read, of what is kept with each step, and at its end."""
    told: list[object] = []

    class Reader:
        async def begin(self, stream: int, position: StreamPosition | None) -> None:
            told.append((stream, position))

        def read(self, stream: int, last: StreamPosition, shown: Shown) -> None:
            told.append((stream, last.sequence, [each.id for each in shown.held], shown.released))

        def end(self, stream: int) -> None:
            told.append(stream)

    held: Any = Reader()
    streams, store = MemoryStreams(), MemoryStore()
    room = room_arn()
    waits = Deliver(b"{}", "SendMessage", id="one", author="bob", stage=Stage.WAITS)
    streams.store(room, waits)
    around = TailSurroundings(
        streams=streams,
        journal=store.journal,
        clock=HandClock().clock,
        random=lambda: 1.0,
        grown=lambda _: None,
        missed=lambda _: None,
        held=held,
        wait=AsyncMock(side_effect=asyncio.CancelledError),
    )
    with pytest.raises(asyncio.CancelledError):
        await Tail(0, around).run()
    (found,) = await store.held_messages.of_room(str(room))
    assert (found.id, found.author) == ("one", "bob")
    assert told == [(0, None), (0, 1, ["one"], []), 0]
