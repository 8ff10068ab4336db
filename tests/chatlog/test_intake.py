"""The line before the journal: who waits for it, and who must not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog.testing

from greenroom.chatlog.drops import Drops
from greenroom.chatlog.intake import ENTRY_BYTES, MAXIMUM_ENTRIES, Intake
from greenroom.chatlog.waiting import Backoff
from greenroom.model.arn import Arn
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.journal import Entry
from greenroom.storage.memory.journal import MemoryJournal
from greenroom.storage.memory.opened import Opened
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.scene import Alarm
from tests.stand_ins.values import configuration_arn, room_arn

PAYLOAD = b'{"Type":"MESSAGE"}'
SIZE = len(PAYLOAD) + ENTRY_BYTES
ROOM, OTHER_ROOM, CONFIGURATION = room_arn(), room_arn(), configuration_arn()


class Journal(MemoryJournal):
    """A journal that notes how many entries each append has, and may be stopped or full."""

    def __init__(self) -> None:
        super().__init__(Opened())
        self.appends: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def append(self, entries: Sequence[Entry]) -> None:
        self.appends.append(len(entries))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        await super().append(entries)


class Line:
    """An intake, its journal and its clock, and what it published, dropped and appended."""

    def __init__(self, tasks: asyncio.TaskGroup, maximum_size: int) -> None:
        self.journal = Journal()
        self.time = HandClock()
        self.alarm = Alarm(self.time)
        self.published: list[int] = []
        self.dropped: list[tuple[Arn, int]] = []
        self.appended: list[Entry] = []
        self.drops = Drops(self.time.clock, lambda *drop: self.dropped.append(drop))
        self.intake = Intake(
            self.journal,
            tasks,
            self.alarm.wait,
            Backoff(lambda: 1.0),
            maximum_size,
            self.appended.extend,
            self.drops,
        )
        self._number = 0

    def put(self, *configurations: Arn, room: Arn = ROOM) -> "asyncio.Future[None]":
        """Put a frame into the line; it publishes its number."""
        self._number += 1
        number = self._number
        entry = Entry(room, configurations, self.time.wall_ns, PAYLOAD)
        waiting = self.intake.put(entry, lambda: self.published.append(number))
        assert isinstance(waiting, asyncio.Future)
        return waiting

    def is_behind(self) -> bool:
        """Return whether records wait in memory for a store that cannot."""
        return self.intake.behind

    async def settle(self) -> None:
        """Let everything happen that can."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Let time pass, and all that it brings."""
        self.time.advance(seconds)
        self.alarm.ring()
        await self.settle()


@asynccontextmanager
async def line(maximum_size: int = 1_000_000) -> AsyncIterator[Line]:
    """Give a line; at its end it is let go of."""
    async with asyncio.TaskGroup() as tasks:
        made = Line(tasks, maximum_size)
        yield made
        made.intake.abandon()


async def test_a_frame_without_a_record_never_asks_the_journal() -> None:
    """It goes through the line for its order alone: a store that cannot is none of its business."""
    async with line() as made:
        made.journal.error = StorageUnavailable("disk full")
        await made.put()
        assert made.published == [1]
        assert made.journal.appends == []
        assert not made.is_behind()
        assert made.appended == []


async def test_only_records_are_appended() -> None:
    """Of frames with and without records in one go, the journal gets those with."""
    async with line() as made:
        made.journal.gate.clear()
        frames = [made.put(CONFIGURATION), made.put(), made.put(CONFIGURATION), made.put()]
        await made.settle()
        assert made.published == []
        made.journal.gate.set()
        await asyncio.gather(*frames)
        assert sum(made.journal.appends) == 2
        assert len(made.appended) == 2
        assert made.published == [1, 2, 3, 4]
        assert made.intake.size == 0


async def test_appends_are_cut() -> None:
    """So many entries in one append, and all of them in the end, in their order."""
    async with line() as made:
        frames = [made.put(CONFIGURATION) for _ in range(2 * MAXIMUM_ENTRIES + 1)]
        await frames[-1]
        assert made.journal.appends == [MAXIMUM_ENTRIES, MAXIMUM_ENTRIES, 1]
        assert made.published == list(range(1, 2 * MAXIMUM_ENTRIES + 2))


async def test_what_fits_exactly() -> None:
    """The bound is the last byte that is kept; one frame more does not wait."""
    async with line(3 * SIZE) as made:
        made.journal.gate.clear()
        for _ in range(3):
            _ = made.put(CONFIGURATION)
        await made.settle()
        assert (made.is_behind(), made.published) == (False, [])
        _ = made.put(CONFIGURATION)
        assert made.is_behind()
        assert made.published == [1, 2, 3, 4]
        assert made.dropped == [(CONFIGURATION, 1)]
        made.journal.gate.set()
        await made.settle()
        assert not made.is_behind()
        assert len(made.appended) == 3


async def test_behind_with_room_in_memory() -> None:
    """A record that fits is kept and published at once; a frame without one is only published."""
    async with line() as made:
        made.journal.error = StorageUnavailable("disk full")
        await made.put(CONFIGURATION)
        assert made.is_behind()
        await made.put()
        await made.put(CONFIGURATION)
        assert made.published == [1, 2, 3]
        assert made.intake.size == 2 * SIZE
        assert made.dropped == []
        assert not made.intake.must_wait(ROOM)
        made.journal.error = None
        await made.advance(60)
        assert not made.is_behind()
        assert len(made.appended) == 2


async def test_which_rooms_must_wait() -> None:
    """Those with a frame that is not published, until the last of them is."""
    async with line() as made:
        made.journal.gate.clear()
        frames = [made.put(CONFIGURATION), made.put(CONFIGURATION)]
        other = made.put(CONFIGURATION, room=OTHER_ROOM)
        assert made.intake.must_wait(ROOM)
        assert made.intake.must_wait(OTHER_ROOM)
        assert not made.intake.must_wait(room_arn())
        made.journal.gate.set()
        await asyncio.gather(*frames, other)
        assert not made.intake.must_wait(ROOM)
        assert not made.intake.must_wait(OTHER_ROOM)


async def test_pauses_are_short_again_after_a_success() -> None:
    """A store that fails a second time is asked again as soon as the first time."""
    async with line() as made:
        for _ in range(2):
            made.journal.error = StorageUnavailable("disk full")
            made.journal.appends.clear()
            await made.put(CONFIGURATION)
            await made.settle()
            await made.advance(1)
            assert len(made.journal.appends) == 2
            for _ in range(5):
                await made.advance(60)
            made.journal.error = None
            await made.advance(60)
            assert not made.is_behind()


async def test_a_crash_of_the_journal_is_a_failure() -> None:
    """It is told once with its place, and tried again like a full disk."""
    async with line() as made:
        made.journal.error = ZeroDivisionError("as the test says")
        with structlog.testing.capture_logs() as lines:
            await made.put(CONFIGURATION)
        assert [each["event"] for each in lines] == [
            "journal crashed",
            "chat logs are behind: records wait in memory",
        ]
        assert lines[1]["reason"] == "ZeroDivisionError"
        made.journal.error = None
        await made.advance(1)
        assert len(made.appended) == 1


async def test_drops_are_counted_from_each_time_behind() -> None:
    """What the log says at the end is what was dropped since the store could no longer."""
    async with line(SIZE) as made:
        for _ in range(2):
            made.journal.error = StorageUnavailable("disk full")
            await made.put(CONFIGURATION)
            await made.put(CONFIGURATION)
            made.journal.error = None
            with structlog.testing.capture_logs() as lines:
                await made.advance(60)
            assert lines[-1]["event"] == "chat logs are no longer behind"
            assert lines[-1]["dropped"] == 1


async def test_holds() -> None:
    """A configuration's record in the line is known until it is appended."""
    async with line() as made:
        made.journal.gate.clear()
        frame = made.put(CONFIGURATION)
        assert made.intake.holds(CONFIGURATION)
        assert not made.intake.holds(configuration_arn())
        made.journal.gate.set()
        await frame
        assert not made.intake.holds(CONFIGURATION)


async def test_passed() -> None:
    """It waits for all that is in the line, and for nothing that is behind."""
    async with line() as made:
        await made.intake.passed()
        made.journal.gate.clear()
        first = made.put(CONFIGURATION)
        await made.settle()
        second = made.put(CONFIGURATION)
        passing = asyncio.create_task(made.intake.passed())
        await made.settle()
        assert not passing.done()
        made.journal.gate.set()
        await passing
        assert first.done()
        assert second.done()
        made.journal.error = StorageUnavailable("disk full")
        await made.put(CONFIGURATION)
        async with asyncio.timeout(5):
            await made.intake.passed()


async def test_stop_tries_once() -> None:
    """What waits for its next try is tried at once, and then no more."""
    async with line() as made:
        made.journal.error = StorageUnavailable("disk full")
        await made.put(CONFIGURATION)
        await made.settle()
        before = len(made.journal.appends)
        async with asyncio.timeout(5):
            await made.intake.stop()
        assert len(made.journal.appends) == before + 1
        assert made.dropped == []


async def test_nothing_is_kept_after_the_end() -> None:
    """What comes later is published, counted as dropped, and takes no memory."""
    async with line() as made:
        made.journal.gate.clear()
        waiting = made.put(CONFIGURATION)
        await made.settle()
        with structlog.testing.capture_logs() as lines:
            made.intake.abandon()
            await waiting
            await made.put(CONFIGURATION)
            made.drops.tell(at_once=True)
        assert made.published == [1, 2]
        assert made.dropped == [(CONFIGURATION, 1), (CONFIGURATION, 1)]
        assert [each["reason"] for each in lines] == [
            "the store did not take them before the end",
            "the service has stopped",
        ]
        assert not made.intake.holds(CONFIGURATION)
        assert not made.intake.must_wait(ROOM)
