"""What a node alone keeps of rooms in the store, and that nothing is ever recovered in part.

Covers: greenroom.bus.kept
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from unittest import mock

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom.bus.base import Deliver, RoomEnvelope
from greenroom.bus.base import History as Mark
from greenroom.bus.kept import older_of
from greenroom.bus.memory import MemoryBus
from greenroom.chat import kept_history
from greenroom.chat.history import Found, History, Wanted
from greenroom.chat.kept_history import KeptHistory
from greenroom.model.kept_frame import KeptFrame
from greenroom.model.room_settings import RoomSettings
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.history import Kept, Newest
from greenroom.storage.memory.history import MemoryHistory
from greenroom.storage.memory.opened import Opened
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.stage import settle

ROOM = "room"
SETTINGS = RoomSettings(history_messages=10_000)


class Store(MemoryHistory):
    """A store that may fail, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(Opened())
        self.fails = self.hangs = False
        self.asked = 0

    async def append(self, kept: Sequence[Kept]) -> None:
        if self.fails:
            raise StorageUnavailable("not now")
        if self.hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        await super().append(kept)


class Life:
    """A process: its bus, and what keeps its history."""

    def __init__(self, store: Store, tasks: asyncio.TaskGroup, time: HandClock) -> None:
        self.store, self._tasks, self.time = store, tasks, time
        self.bus = MemoryBus()
        self.kept = KeptHistory(store, _yield)
        self.history = History(self.bus, time.clock)

    async def begin(self) -> "Life":
        """Go on where the one before ended."""
        await self.kept.start(self._tasks)
        self.bus.keep_with(self.kept, self._tasks)
        await self.bus.start()
        return self

    def die(self) -> "Life":
        """End as a killed process does; return the next one."""
        assert self.kept._running is not None
        self.kept._running.cancel()
        return Life(self.store, self._tasks, self.time)

    async def end(self) -> "Life":
        """End well; return the next one."""
        await self.kept.close()
        return Life(self.store, self._tasks, self.time)

    def say(self, *ids: str, history: Mark = Mark.KEPT, room: str = ROOM) -> None:
        """Publish messages."""
        for each in ids:
            said = Deliver(
                each.encode(),
                "SendMessage",
                id=each,
                time_ns=self.time.wall_ns,
                history=history,
                author="bob",
            )
            self.bus.put(room, said)

    async def ask(self, count: int = 0, since: str = "", room: str = ROOM) -> Found:
        """Return what somebody is given who joins."""
        wanted = Wanted(count, since)
        waiting = self.history.prepare(room, wanted)
        if waiting is not None:
            await waiting
        return self.history.find(room, SETTINGS, wanted, _sees)

    async def recovered(self, since: str) -> list[str] | None:
        """Return what is recovered behind an id, or None."""
        found = await self.ask(since=since)
        return [each.decode() for each in found.frames] if found.recovered else None


async def _yield(_seconds: float) -> None:
    await asyncio.sleep(0)


def _sees(envelope: RoomEnvelope) -> bytes | None:
    return envelope.payload


@asynccontextmanager
async def life() -> AsyncIterator[Life]:
    """Give a first process."""
    async with asyncio.TaskGroup() as tasks:
        made = Life(Store(), tasks, HandClock())
        yield await made.begin()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


async def test_who_ended_well_is_gone_on_from() -> None:
    """What was said before is history, and is recovered from, gap-free, with what is said since."""
    async with life() as first:
        first.say("a", "b")
        second = await (await first.end()).begin()
        assert await second.recovered("a") == ["b"]
        second.say("c")
        assert await second.recovered("a") == ["b", "c"]
        assert await second.recovered("c") == []
        third = await (await second.end()).begin()
        assert [*(await third.ask(9)).frames] == [b"a", b"b", b"c"]
        assert await third.recovered("b") == ["c"]


async def test_who_was_killed_says_so() -> None:
    """What was said before is shown, and nothing is recovered from it: something may be missing."""
    async with life() as first:
        first.say("a", "b")
        await first.kept.appended()
        first.say("lost")
        second = await first.die().begin()
        assert await second.recovered("b") is None
        second.say("c")
        assert await second.recovered("a") is None
        assert await second.recovered("c") == []
        assert [*(await second.ask(9)).frames] == [b"a", b"b", b"c"]
        third = await (await second.end()).begin()
        third.say("d")
        assert await third.recovered("b") is None
        assert await third.recovered("c") == ["d"]
        assert [*(await third.ask(9)).frames] == [b"a", b"b", b"c", b"d"]


async def test_who_writes_while_a_room_is_read() -> None:
    """What was lost before is not taken for nothing: what is said meanwhile begins."""
    async with life() as first:
        first.say("a", "b")
        await first.kept.appended()
        first.say("lost")
        second = await first.die().begin()
        read = second.store.newest

        async def slow(room: str, count: int) -> Newest:
            found = await read(room, count)
            second.say("c")
            return found

        second.store.newest = slow  # type: ignore[method-assign]
        assert await second.recovered("a") is None
        assert await second.recovered("c") == []
        assert [*(await second.ask(9)).frames] == [b"a", b"b", b"c"]


async def test_an_end_while_something_is_appended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rooms are not settled: nobody knows whether it is kept."""
    monkeypatch.setattr(kept_history, "LAST_SECONDS", 0.01)
    async with life() as first:
        first.say("a")
        await first.kept.appended()
        first.store.hangs = True
        first.say("lost")
        second = await (await first.end()).begin()
        assert await second.recovered("a") is None


class Watched:
    """What keeps history in a store that takes frames when a test says so; notes when it sleeps."""

    def __init__(self) -> None:
        self.store, self.sleeps = Store(), list[float]()
        self.kept = KeptHistory(self.store, self._sleep)
        self.takes = asyncio.Semaphore(0)
        self.taken: list[str] = []
        self.error: Exception | None = None

    async def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        await asyncio.sleep(0)

    async def append(self, kept: Sequence[Kept]) -> None:
        """Take frames."""
        if self.error is not None:
            raise self.error
        await self.takes.acquire()
        self.taken += [each.frame.id for each in kept]

    def say(self, *ids: str) -> None:
        """Have frames kept."""
        for each in ids:
            shown = Deliver(b"", "SendMessage", id=each, history=Mark.KEPT)
            self.kept.take(ROOM, shown)


@asynccontextmanager
async def watched() -> AsyncIterator[Watched]:
    """Give it while it runs."""
    async with asyncio.TaskGroup() as tasks:
        made = Watched()
        made.store.append = made.append  # type: ignore[method-assign]
        await made.kept.start(tasks)
        await settle()
        yield made
        assert made.kept._running is not None
        made.kept._running.cancel()


async def test_nothing_runs_where_nothing_is_to_be_kept() -> None:
    """Before anything was shown, and when all of it is kept."""
    async with watched() as now:
        assert now.sleeps == []
        now.takes.release()
        now.say("a", "b")
        await settle()
        assert now.taken == ["a", "b"]
        assert now.sleeps == [kept_history.BEHIND_SECONDS], "what comes together goes together"
        await settle()
        assert len(now.sleeps) == 1


async def test_who_waits_has_it_kept_at_once() -> None:
    """And hears of it as soon as what he waits for is kept, and no earlier."""
    with mock.patch.object(kept_history, "AT_ONCE", 1):
        async with watched() as now:

            async def keep(name: str) -> None:
                now.say(name)
                await now.kept.appended()

            keeping = [asyncio.create_task(keep(name)) for name in "abc"]
            catching_up = asyncio.create_task(now.kept.catch_up(ROOM))
            waiting = (*keeping, catching_up)
            for done in (0, 1, 2, 4):
                await settle()
                assert [each.done() for each in waiting] == [True] * done + [False] * (4 - done)
                now.takes.release()
            assert catching_up.result() is True
            assert now.sleeps == []
            assert await now.kept.catch_up("other") is False


async def test_an_idle_end_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits: the rooms are settled, if the store can; if not, that is said."""
    monkeypatch.setattr(kept_history, "LAST_SECONDS", 3600)
    for error in (None, StorageUnavailable("away")):
        async with watched() as now:
            settled = mock.AsyncMock(side_effect=error)
            monkeypatch.setattr(now.store, "settle", settled)
            with capture_logs() as logs:
                await now.kept.close()
            settled.assert_awaited_once_with(now.kept.rooms)
            assert [line["log_level"] for line in logs] == (["error"] if error else [])


@pytest.mark.parametrize("fails", [False, True])
async def test_how_much_is_lost_at_an_end(monkeypatch: pytest.MonkeyPatch, *, fails: bool) -> None:
    """What is being appended, and what waits behind it, each frame once."""
    monkeypatch.setattr(kept_history, "LAST_SECONDS", 0.01)
    async with watched() as now:
        now.error = StorageUnavailable("away") if fails else None
        now.say("a")
        await settle()
        now.say("b", "c")
        with capture_logs() as logs:
            await now.kept.close()
        (line,) = [each for each in logs if "frames" in each]
        assert (line["log_level"], line["frames"]) == ("error", 3)
        await settle()
        assert now.kept._running is not None
        assert now.kept._running.cancelled()


async def test_who_waits_for_what_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """He is told, if the store takes too long, and at once if what he waits for is dropped."""
    async with life() as now:
        now.store.fails = True
        monkeypatch.setattr(kept_history, "WAITED_SECONDS", 0.01)
        now.say("a")
        with pytest.raises(StorageUnavailable, match="not kept yet"):
            await now.kept.appended()
        monkeypatch.setattr(kept_history, "WAITED_SECONDS", 60)
        monkeypatch.setattr(kept_history, "MOST_BYTES", 3_500)
        waits = asyncio.create_task(now.kept.appended())
        await asyncio.sleep(0)
        now.say("b", "c", "d")
        with pytest.raises(StorageUnavailable, match="cannot be kept"):
            await waits


async def test_what_a_newer_version_kept() -> None:
    """A frame for whom nobody here knows is passed over, the others come, and one line says so."""
    frames = [KeptFrame(str(number), number, "SendMessage", b"") for number in range(4)]
    for number in (0, 2):
        frames[number] = msgspec.structs.replace(frames[number], audience="some_day")
    with capture_logs() as logs:
        for _ in range(2):
            found = older_of(frames, 2, more=True)
            assert [each.id for each in found.before] == ["1"]
            assert [each.id for each in found.envelopes] == ["3"]
    assert [each["audience"] for each in logs] == ["some_day"]


async def test_a_room_that_kept_nothing_in_between() -> None:
    """Nothing is recovered over that, whatever became of the memory."""
    async with life() as first:
        first.say("a")
        first.say("off", history=Mark.NONE)
        first.say("soon untrue", history=Mark.PASSING)
        first.say("b")
        await first.kept.appended()
        first.bus.rings.clear()
        assert await first.recovered("a") is None
        assert await first.recovered("b") == []
        assert [*(await first.ask(9)).frames] == [b"a", b"b"]


@pytest.mark.parametrize("waits", [True, False])
async def test_what_is_deleted_while_nothing_is_kept(waits: bool) -> None:
    """It does not come back with the history; of a room that has none nothing is kept."""
    async with life() as now:
        now.say("1", "2")
        if not waits:
            await now.kept.appended()
        for room in (ROOM, "other"):
            deletion = Deliver(
                b"deleted",
                "DeleteMessage",
                id=f"d-{room}",
                time_ns=now.time.wall_ns,
                deletes=("1",),
            )
            now.bus.put(room, deletion)
        await now.kept.appended()
        now.say("3")
        assert [*(await now.ask(5)).frames] == [b"2", b"3"]
        assert await now.recovered("2") is None
        assert [each.room for each in await now.store.extents("", 9)] == [ROOM]
        after = await now.die().begin()
        assert [*(await after.ask(5)).frames] == [b"2", b"3"]


async def test_a_storm_reads_a_room_once() -> None:
    """However many come back at once, and ever after while it is in memory."""
    async with life() as first:
        first.say("a", "b")
        await first.kept.appended()
        first.bus.rings.clear()
        read = first.store.newest

        async def counted(room: str, count: int) -> object:
            first.store.asked += 1
            return await read(room, count)

        first.store.newest = counted  # type: ignore[method-assign,assignment]
        storm = await asyncio.gather(*(first.recovered("a") for _ in range(200)))
        assert storm == [["b"]] * 200
        first.say("c")
        assert await asyncio.gather(*(first.recovered("b") for _ in range(200))) == [["c"]] * 200
        assert await first.recovered("unknown") is None
        assert first.store.asked == 1


async def test_a_store_that_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames wait for it, up to a bound; what is dropped is known to be missing."""
    async with life() as first:
        first.store.fails = True
        first.say("a", "b")
        for _ in range(5):
            await asyncio.sleep(0)
        assert await first.recovered("a") == ["b"]
        first.store.fails = False
        await first.kept.appended()
        first.bus.rings.clear()
        assert await first.recovered("a") == ["b"]
        first.store.fails = True
        monkeypatch.setattr(kept_history, "MOST_BYTES", 3_500)
        first.say("c", "d", "e", "f", "g")
        assert first.kept.dropped == 2
        first.store.fails = False
        await first.kept.appended()
        assert await first.recovered("b") == ["c", "d", "e", "f", "g"]
        first.bus.rings.clear()
        assert await first.recovered("b") is None
        assert await first.recovered("e") == ["f", "g"]
        assert first.kept.waiting_bytes == 0


async def test_a_store_that_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it did not take waits on, and nobody is told that it is kept."""
    async with life() as now:
        with monkeypatch.context() as patch:
            patch.setattr(kept_history, "WAITED_SECONDS", 0.01)
            patch.setattr(now.store, "append", mock.AsyncMock(side_effect=ValueError))
            now.say("a")
            with pytest.raises(StorageUnavailable, match="not kept yet"):
                await now.kept.appended()
            assert now.kept.waiting_bytes == kept_history.EACH_BYTES + 1
        await now.kept.appended()
        assert now.kept.waiting_bytes == 0
        assert [each.id for each in (await now.store.newest(ROOM, 9)).in_order] == ["a"]


async def test_what_the_log_says_of_a_store_that_cannot() -> None:
    """When it begins, and when it is over: one line each, however often it is tried."""
    async with life() as now:
        with capture_logs() as lines:
            for name in "abcd":
                now.store.fails = True
                now.say(name)
                for _ in range(20):
                    await asyncio.sleep(0)
                now.store.fails = False
                await now.kept.appended()
                now.say(f"{name}2")
                await now.kept.appended()
        begins, ends = (
            "history waits in memory: the store cannot",
            "history no longer waits in memory",
        )
        assert [line["event"] for line in lines] == [begins, ends] * 4


async def test_what_moderators_see_weighs_as_well() -> None:
    """Where their frame differs there are two."""
    async with life() as now:
        envelope = Deliver(b"xx", "SendMessage", id="a", history=Mark.KEPT, marked=b"xxx")
        now.kept.take(ROOM, envelope)
        assert now.kept.waiting_bytes == kept_history.EACH_BYTES + 5
        await now.kept.appended()
        assert now.kept.waiting_bytes == 0


async def test_how_much_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing at the bound; behind it a tenth of what waits, and one more, the oldest first."""
    monkeypatch.setattr(kept_history, "MOST_BYTES", 19 * (kept_history.EACH_BYTES + 1))
    async with life() as now:
        now.say(*"abcdefghijklmnopqrs")
        assert now.kept.dropped == 0
        now.say("t")
        assert now.kept.dropped == 3
        assert now.kept.waiting_bytes == 17 * (kept_history.EACH_BYTES + 1)
        await now.kept.appended()
        found = (await now.store.newest(ROOM, 99)).frames
        assert [each.frame.id for each in found] == [*"defghijklmnopqrst"]
        assert [each.frame.id for each in found if each.begins] == ["d"]


async def test_a_room_of_which_all_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes next there begins anew: nothing is recovered over what is missing."""
    monkeypatch.setattr(kept_history, "MOST_BYTES", 19 * (kept_history.EACH_BYTES + 1))
    async with life() as now:
        now.say("x", room="other")
        now.say(*"abcdefghijklmnopqrs")
        assert now.kept.dropped == 3
        now.say("y", "z", room="other")
        await now.kept.appended()
        found = (await now.store.newest("other", 9)).frames
        assert [(each.frame.id, each.begins) for each in found] == [("y", True), ("z", False)]


async def test_a_store_that_cannot_be_read() -> None:
    """Nothing is recovered then, and it is tried again."""
    async with life() as first:
        first.say("a", "b")
        await first.kept.appended()
        first.bus.rings.clear()
        read = first.store.newest

        async def fails(_room: str, _count: int) -> object:
            raise StorageUnavailable("not now")

        first.store.newest = fails  # type: ignore[method-assign,assignment]
        assert await first.recovered("a") is None
        first.store.newest = read  # type: ignore[method-assign]
        assert await first.recovered("a") == ["b"]


class World:
    """What was said in all, and what a process, and its successors, make of it."""

    def __init__(self, process: Life, chance: random.Random) -> None:
        self.process, self.chance = process, chance
        self.said: list[str] = []
        self.deleted: set[str] = set()

    async def step(self) -> None:
        """Do something at random."""
        what = self.chance.randrange(20)
        if what < 8:
            self._say(Mark.KEPT)
        elif what < 10 and self.said:
            await self._delete()
        elif what == 10:
            self._say(Mark.NONE)
        elif what == 11:
            self.process = await self.process.die().begin()
        elif what == 12:
            self.process = await (await self.process.end()).begin()
        elif what == 13:
            self.process.bus.rings.clear()
        elif what == 14:
            await self.process.store.trim(ROOM, self.chance.randrange(len(self.said) + 1), 0)
        elif what == 15:
            await asyncio.sleep(0)
        else:
            await self.check()

    def _say(self, mark: Mark) -> None:
        self.said.append(f"{len(self.said)}")
        self.process.say(self.said[-1], history=mark)

    async def _delete(self) -> None:
        gone = self.chance.choice(self.said)
        self.deleted.add(gone)
        self.said.append(f"{len(self.said)}")
        text = self.said[-1]
        event = Deliver(
            text.encode(),
            "DeleteMessage",
            id=text,
            time_ns=self.process.time.wall_ns,
            history=Mark.KEPT,
            deletes=(gone,),
        )
        self.process.bus.put(ROOM, event)
        await self.process.kept.appended()

    async def check(self) -> None:
        """See that what is recovered is what was missed, and that history has no doubles."""
        for since in [*self.said[-6:], "unknown"]:
            found = await self.process.recovered(since)
            if found is not None:
                missed = self.said[self.said.index(since) + 1 :]
                assert found == [each for each in missed if each not in self.deleted]
        history = [each.decode() for each in (await self.process.ask(9)).frames]
        assert len(set(history)) == len(history)
        assert history == sorted(history, key=int)
        assert self.deleted.isdisjoint(history)


@pytest.mark.parametrize("seed", range(40))
async def test_never_in_part(seed: int) -> None:
    """Whatever is said, deleted, trimmed, forgotten, killed and started again, in any order."""
    async with life() as first:
        world = World(first, random.Random(seed))
        for _ in range(80):
            await world.step()
        await world.check()
