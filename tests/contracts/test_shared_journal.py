"""What every adapter of a journal guarantees that several nodes share.

Covers: greenroom.storage.leases, greenroom.storage.postgres.journal,
    greenroom.storage.postgres.leases
"""

import asyncio

import pytest

from greenroom.storage.base import StorageUnavailable
from greenroom.storage.journal import Backlog, Entry, SharedJournal, StreamPosition
from greenroom.storage.leases import Lease
from tests.contracts.shared import SharedStore
from tests.stand_ins.queues import START, Queues, numbers

BEGINNING = StreamPosition("2026-01-01T00:00:00Z", 7, START)


def after(position: StreamPosition, messages: int = 1) -> StreamPosition:
    """Return the position so many messages later."""
    return StreamPosition(
        position.created, position.sequence + messages, position.stamp_ns + messages
    )


class TestPosition:
    """How far each stream was read."""

    async def test_from_nothing(self, shared: SharedStore) -> None:
        """A stream that was never read has no position; the first one is set with its records."""
        queues = Queues(shared)
        assert await shared.journal.position(3) is None
        assert await shared.journal.append_from(3, None, BEGINNING, queues.entries(2))
        assert await shared.journal.position(3) == BEGINNING
        assert await shared.journal.position(4) is None
        assert numbers(await queues.batch()) == [1, 2]

    async def test_onwards(self, shared: SharedStore) -> None:
        """Records come out in the order of their stream."""
        queues = Queues(shared)
        position = BEGINNING
        await shared.journal.append_from(0, None, position, queues.entries(1))
        for _ in range(3):
            following = after(position, 2)
            assert await shared.journal.append_from(0, position, following, queues.entries(2))
            position = following
        assert await shared.journal.position(0) == position
        assert numbers(await queues.batch()) == [1, 2, 3, 4, 5, 6, 7]

    @pytest.mark.parametrize(
        "expected",
        [
            None,
            StreamPosition("another stream", BEGINNING.sequence, BEGINNING.stamp_ns),
            StreamPosition(BEGINNING.created, BEGINNING.sequence - 1, BEGINNING.stamp_ns),
            StreamPosition(BEGINNING.created, BEGINNING.sequence, BEGINNING.stamp_ns - 1),
        ],
    )
    async def test_from_elsewhere(
        self, shared: SharedStore, expected: StreamPosition | None
    ) -> None:
        """Who expects another position, in any of its members, adds nothing and moves nothing."""
        queues = Queues(shared)
        await shared.journal.append_from(0, None, BEGINNING, queues.entries(1))
        later = after(BEGINNING)
        assert not await shared.journal.append_from(0, expected, later, queues.entries(1))
        assert await shared.journal.position(0) == BEGINNING
        assert numbers(await queues.batch()) == [1]

    async def test_without_records(self, shared: SharedStore) -> None:
        """Messages of rooms that do not log move the position, and nothing else."""
        assert await shared.journal.append_from(0, None, BEGINNING, [])
        assert await shared.journal.append_from(0, BEGINNING, after(BEGINNING), [])
        assert await shared.journal.position(0) == after(BEGINNING)
        assert await shared.journal.waiting() == []

    async def test_one_of_many(self, shared: SharedStore) -> None:
        """Of those who read the same messages at the same time one adds their records."""
        queues = Queues(shared)
        position: StreamPosition | None = None
        for _ in range(10):
            following = BEGINNING if position is None else after(position)
            entries = queues.entries(3)
            moved = await asyncio.gather(
                *(shared.journal.append_from(5, position, following, entries) for _ in range(4))
            )
            assert sorted(moved) == [False, False, False, True]
            position = following
        assert numbers(await queues.batch()) == list(range(1, 31))

    async def test_many_streams_at_once(self, shared: SharedStore) -> None:
        """All grow at the same time, and new queues with them; each stays in its stream's order."""
        common = Queues(shared)

        async def grow(stream: int) -> Queues:
            queues = Queues(shared, 2)
            position: StreamPosition | None = None
            for number in range(10):
                following = BEGINNING if position is None else after(position)
                entry = Entry(common.room, common.arns, START, b"%d %d" % (stream, number))
                assert await shared.journal.append_from(
                    stream, position, following, [*queues.entries(2), entry]
                )
                position = following
            return queues

        for queues in await asyncio.gather(*map(grow, range(8))):
            assert numbers(await queues.batch()) == list(range(1, 21))
            assert numbers(await queues.batch(queue=1)) == list(range(1, 21))
        found = [tuple(map(int, record.payload.split())) for record in await common.batch()]
        assert len(found) == 80
        for stream in range(8):
            assert [number for of, number in found if of == stream] == list(range(10))


class TestQueues:
    """What waits."""

    async def test_backlog(self, shared: SharedStore) -> None:
        """One queue's backlog is that of all backlogs; a queue without records has none."""
        queues = Queues(shared, 2)
        await queues.append(3, queues.arns[0])
        journal: SharedJournal = shared.journal
        assert await journal.backlog(queues.arns[0]) == Backlog(3, 12, START + 1)
        assert await journal.backlog(queues.arns[1]) == Backlog()
        batch = await queues.batch(8)
        assert await journal.backlog(queues.arns[0]) == Backlog(3, 12, START + 1)
        await journal.delivered(queues.arns[0], batch[-1].sequence)
        assert await journal.backlog(queues.arns[0]) == Backlog(1, 4, START + 3)

    async def test_waiting(self, shared: SharedStore) -> None:
        """Those configurations are named for which something waits, also in a batch."""
        queues = Queues(shared, 3)
        first, second, _ = queues.arns
        await queues.append(1, first)
        await queues.append(2, second)
        assert sorted(await shared.journal.waiting()) == sorted((first, second))
        batch = await queues.batch()
        assert sorted(await shared.journal.waiting()) == sorted((first, second))
        await shared.journal.delivered(first, batch[-1].sequence)
        assert await shared.journal.waiting() == [second]
        await shared.journal.drop(second, 0)
        assert await shared.journal.waiting() == []

    async def test_a_batch_of_two(self, shared: SharedStore) -> None:
        """Two that ask for a batch at the same time get the same one, and one of them ends it."""
        queues = Queues(shared)
        for _ in range(5):
            await queues.append(4)
            first, second = await asyncio.gather(queues.batch(8), queues.batch(12))
            assert first == second
            assert len(first) >= 2
            last = first[-1].sequence
            removed = await asyncio.gather(
                *(shared.journal.delivered(queues.arns[0], last) for _ in range(2))
            )
            assert sorted(each.records for each in removed) == [0, len(first)]


class TestLeases:
    """Who does what a name stands for."""

    async def test_one_holder(self, shared: SharedStore) -> None:
        """A name is one holder's until he gives it back; other names are free."""
        lease = shared.journal.lease
        async with lease("a") as first:
            assert first.held
            async with lease("a") as second, lease("b") as other:
                assert not second.held
                assert other.held
            async with lease("a") as second:
                assert not second.held
        async with lease("a") as third:
            assert third.held
            assert not third.lost.is_set()

    async def test_given_back_in_any_case(self, shared: SharedStore) -> None:
        """An error of the holder gives the lease back."""
        with pytest.raises(ZeroDivisionError):
            async with shared.journal.lease("a"):
                raise ZeroDivisionError
        async with shared.journal.lease("a") as lease:
            assert lease.held

    async def test_lost(self, shared: SharedStore) -> None:
        """When the store ends the holder's session, he is told, and another gets the lease."""
        async with shared.journal.lease("a") as first:
            await shared.lose_leases()
            async with asyncio.timeout(10):
                await first.lost.wait()
            assert not first.held
            async with shared.journal.lease("a") as second:
                assert second.held
        async with shared.journal.lease("a") as third:
            assert third.held

    async def test_work_ends_with_the_lease(self, shared: SharedStore) -> None:
        """Work under a lease that is lost is cancelled; else its end, or its error, is that."""
        ended: list[str] = []

        async def work(name: str, seconds: float) -> None:
            try:
                await asyncio.sleep(seconds)
                ended.append(f"{name} done")
            except asyncio.CancelledError:
                ended.append(f"{name} cancelled")
                raise

        async def fail() -> None:
            raise ZeroDivisionError

        async with shared.journal.lease("a") as lease:
            await lease.run(work("first", 0))
            with pytest.raises(ZeroDivisionError):
                await lease.run(fail())
            working = asyncio.create_task(lease.run(work("second", 3600)))
            await asyncio.sleep(0)
            await shared.lose_leases()
            async with asyncio.timeout(10):
                await working
        assert ended == ["first done", "second cancelled"]

    async def test_closed(self, shared: SharedStore) -> None:
        """A store that is closed gives none, and answers nothing."""
        await shared.close()
        with pytest.raises(StorageUnavailable):
            async with shared.journal.lease("a"):
                pass
        for call in (
            shared.journal.position(0),
            shared.journal.append_from(0, None, BEGINNING, []),
            shared.journal.waiting(),
            shared.journal.backlog(Queues(shared).arns[0]),
        ):
            with pytest.raises(StorageUnavailable):
                await call


async def test_who_said_nothing_for_long_is_told() -> None:
    """A lease is not held while its holder cannot know that the store still sees him."""
    alive = True
    lease = Lease(held=True, alive=lambda: alive)
    assert lease.held
    alive = False
    assert not lease.held
