"""What every adapter of the journal guarantees.

Covers: greenroom.model.log_record, greenroom.storage.journal, greenroom.storage.memory.journal,
greenroom.storage.postgres.journal, greenroom.storage.sqlite.journal
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.storage.base import StorageUnavailable, Store
from greenroom.storage.journal import Backlog, Entry, Removed
from greenroom.storage.memory import journal as memory_journal
from greenroom.storage.postgres import journal as postgres_journal
from greenroom.storage.sqlite import journal
from tests.stand_ins.queues import PLENTY, START, Queues, numbers
from tests.stand_ins.values import a_room, configuration_arn


async def test_records_come_out_as_they_went_in(store: Store) -> None:
    """In order, with all that they hold, under increasing numbers."""
    queues = Queues(store)
    await queues.append(2)
    await queues.append(3)
    batch = await queues.batch()
    assert numbers(batch) == [1, 2, 3, 4, 5]
    assert {each.room for each in batch} == {queues.room}
    assert [each.time_ns for each in batch] == [START + number for number in range(1, 6)]
    sequences = [each.sequence for each in batch]
    assert sequences == sorted(set(sequences))


async def test_each_configuration_has_its_own_queue(store: Store) -> None:
    """A record waits for those that it names; what one has taken still waits for the other."""
    queues = Queues(store, 2)
    first, second = queues.arns
    await queues.append(1)
    await queues.append(1, second)
    await queues.append(1, first)
    batch = await queues.batch()
    assert numbers(batch) == [1, 3]
    assert await queues.journal.delivered(first, batch[-1].sequence) == Removed(2, 8)
    assert await queues.batch() == []
    assert numbers(await queues.batch(queue=1)) == [1, 2]


async def test_a_batch_has_no_gap(store: Store) -> None:
    """It ends before the first record that does not fit, though a later one would."""
    arn, room = configuration_arn(), a_room().arn
    entries = [
        Entry(room, (arn,), START + number, bytes(size)) for number, size in enumerate((4, 100, 1))
    ]
    journal = Queues(store).journal
    await journal.append(entries)
    assert [len(each.payload) for each in await journal.batch(arn, 10)] == [4]


async def test_backlogs(store: Store) -> None:
    """They say what waits, with the time of the oldest; empty queues are not there."""
    queues = Queues(store, 2)
    assert not set(queues.arns) & set(await queues.journal.backlogs())
    await queues.append(3, queues.arns[0])
    assert await queues.backlog() == Backlog(3, 12, START + 1)
    assert await queues.backlog(1) == Backlog()
    batch = await queues.batch(8)
    assert await queues.backlog() == Backlog(3, 12, START + 1)
    removed = await queues.journal.delivered(queues.arns[0], batch[-1].sequence)
    assert removed == Removed(2, 8, START + 3)
    assert await queues.backlog() == Backlog(1, 4, START + 3)


async def test_the_same_batch_again(store: Store) -> None:
    """A batch stays as it was made, whatever is appended or asked, until it is delivered."""
    queues = Queues(store)
    await queues.append(3)
    first = await queues.batch(8)
    await queues.append(2)
    assert numbers(first) == [1, 2]
    assert first == await queues.batch(PLENTY) == await queues.batch(1)
    await queues.journal.delivered(queues.arns[0], first[-1].sequence)
    assert numbers(await queues.batch()) == [3, 4, 5]


async def test_a_batch_has_one_record_at_least(store: Store) -> None:
    """Also one that is larger than a batch comes out."""
    queues = Queues(store)
    await queues.append(2)
    assert numbers(await queues.batch(1)) == [1]


async def test_batches_are_limited(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """No batch has more records than one call may take."""
    for module in (journal, memory_journal, postgres_journal):
        monkeypatch.setattr(module, "MAXIMUM_RECORDS", 4)
    queues = Queues(store)
    await queues.append(6)
    first = await queues.batch()
    assert numbers(first) == [1, 2, 3, 4]
    await queues.journal.delivered(queues.arns[0], first[-1].sequence)
    assert numbers(await queues.batch()) == [5, 6]


async def test_delivering_what_is_no_batch(store: Store) -> None:
    """A batch that is not the present one is not removed: the answer came twice, or late."""
    queues = Queues(store)
    await queues.append(3)
    arn = queues.arns[0]
    nothing = Removed(oldest_ns=START + 1)
    assert await queues.journal.delivered(arn, PLENTY) == nothing
    first = await queues.batch(8)
    assert await queues.journal.delivered(arn, first[0].sequence) == nothing
    assert await queues.journal.delivered(arn, first[-1].sequence) == Removed(2, 8, START + 3)
    again = await queues.journal.delivered(arn, first[-1].sequence)
    assert again == Removed(oldest_ns=START + 3)
    assert await queues.journal.delivered(configuration_arn(), 1) == Removed()


async def test_numbers_never_come_back(store: Store) -> None:
    """A sequence number is given once, also when the queue was empty between."""
    queues = Queues(store)
    seen: list[int] = []
    for _ in range(3):
        await queues.append(2)
        batch = await queues.batch()
        seen += [each.sequence for each in batch]
        await queues.journal.delivered(queues.arns[0], batch[-1].sequence)
    assert seen == sorted(set(seen))


async def test_drop_by_size(store: Store) -> None:
    """The oldest go until no more than the given size is left."""
    queues = Queues(store)
    await queues.append(5)
    arn = queues.arns[0]
    assert await queues.journal.drop(arn, 20) == Removed(oldest_ns=START + 1)
    assert await queues.journal.drop(arn, 11) == Removed(3, 12, START + 4)
    assert numbers(await queues.batch()) == [4, 5]
    assert await queues.journal.drop(arn, 0) == Removed(2, 8)
    assert await queues.batch() == []
    assert await queues.journal.drop(arn, 0) == Removed()


async def test_drop_by_age(store: Store) -> None:
    """The ones before the given time go."""
    queues = Queues(store)
    await queues.append(5)
    assert (await queues.journal.drop(queues.arns[0], PLENTY, START + 4)).records == 3
    assert numbers(await queues.batch()) == [4, 5]


async def test_what_is_dropped_is_the_beginning(store: Store) -> None:
    """Where a clock went back, what is old behind something that stays, stays as well."""
    queues = Queues(store)
    (arn,) = queues.arns
    times = [START + seconds for seconds in (10, 90, 20)]
    await queues.journal.append([Entry(queues.room, (arn,), each, b"text") for each in times])
    removed = await queues.journal.drop(arn, PLENTY, START + 50)
    assert removed == Removed(1, 4, times[1])
    assert [each.time_ns for each in await queues.batch()] == times[1:]


async def test_a_batch_is_dropped_whole(store: Store) -> None:
    """Dropping a part of the present batch drops all of it: it never comes again as less."""
    queues = Queues(store)
    await queues.append(5)
    assert numbers(await queues.batch(12)) == [1, 2, 3]
    assert await queues.journal.drop(queues.arns[0], 20) == Removed(oldest_ns=START + 1)
    assert numbers(await queues.batch(12)) == [1, 2, 3], "nothing of it was dropped"
    assert await queues.journal.drop(queues.arns[0], 16) == Removed(3, 12, START + 4)
    assert numbers(await queues.batch()) == [4, 5]


async def test_drops_are_limited(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call drops no more than one call may take."""
    for module in (journal, memory_journal, postgres_journal):
        monkeypatch.setattr(module, "MAXIMUM_RECORDS", 4)
    queues = Queues(store)
    await queues.append(6)
    for records in (4, 2, 0):
        assert (await queues.journal.drop(queues.arns[0], 0)).records == records


async def test_closed(store: Store) -> None:
    """After the store is closed every call is refused."""
    queues = Queues(store)
    await queues.append(1)
    await store.close()
    arn = queues.arns[0]
    for call in (
        queues.append(1),
        queues.journal.backlogs(),
        queues.batch(),
        queues.journal.delivered(arn, 1),
        queues.journal.drop(arn, 0),
    ):
        with pytest.raises(StorageUnavailable):
            await call


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4)),
        st.tuples(st.just("batch"), st.integers(1, 20)),
        st.tuples(st.just("delivered"), st.just(0)),
        st.tuples(st.just("drop"), st.integers(0, 30)),
    ),
    max_size=30,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps)
async def test_any_order_of_calls(store: Store, calls: list[tuple[str, int]]) -> None:
    """The queue is a list: what is appended comes out once, in order, and the counts are right."""
    queues = Queues(store)
    arn = queues.arns[0]
    expected: list[int] = []
    present: list[int] = []
    for name, value in calls:
        if name == "append":
            await queues.append(value)
            expected += range(queues.count - value + 1, queues.count + 1)
        elif name == "batch":
            size = max(1, value // 4)
            present = present or expected[:size]
            assert numbers(await queues.batch(value)) == present
        elif name == "delivered" and present:
            last = (await queues.batch())[-1].sequence
            await queues.journal.delivered(arn, last)
            expected, present = expected[len(present) :], []
        elif name == "drop":
            gone = max(0, len(expected) - value // 4)
            if gone:
                gone, present = max(gone, len(present)), []
            await queues.journal.drop(arn, value)
            expected = expected[gone:]
        backlog = await queues.backlog()
        oldest = START + expected[0] if expected else 0
        assert backlog == Backlog(len(expected), 4 * len(expected), oldest)
