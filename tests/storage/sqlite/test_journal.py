"""What only a journal on a disk can show."""

from pathlib import Path

from greenroom.storage.journal import Backlog
from greenroom.storage.sqlite.store import SqliteStore
from tests.stand_ins.hasty_store import hasty_store
from tests.stand_ins.queues import PLENTY, START, Queues, numbers


async def reopened(queues: Queues, store: SqliteStore, directory: Path) -> SqliteStore:
    """Close the store, open it again, and give its journal to the queues."""
    await store.close()
    store = await hasty_store(directory)
    queues.journal = store.journal
    return store


async def test_restart(tmp_path: Path) -> None:
    """What waits, the present batch and the numbers are there again after a restart."""
    store = await hasty_store(tmp_path)
    queues = Queues(store)
    await queues.append(5)
    before = await queues.batch(8)
    store = await reopened(queues, store, tmp_path)
    assert await queues.backlog() == Backlog(5, 20, START + 1)
    assert await queues.batch(PLENTY) == before
    await queues.journal.delivered(queues.arns[0], before[-1].sequence)
    store = await reopened(queues, store, tmp_path)
    rest = await queues.batch(PLENTY)
    assert numbers(rest) == [3, 4, 5]
    await queues.journal.delivered(queues.arns[0], rest[-1].sequence)
    store = await reopened(queues, store, tmp_path)
    assert await store.journal.backlogs() == {}
    await queues.append(1)
    assert (await queues.batch(PLENTY))[0].sequence > rest[-1].sequence
    await store.close()


async def test_a_backlog_is_read_in_batches(tmp_path: Path) -> None:
    """No call reads a whole backlog: each statement finds its records by the index."""
    store = await hasty_store(tmp_path)
    found = "FROM journal WHERE queue = 1 AND sequence <= 9"
    plans = [f"SELECT payload {found} ORDER BY sequence LIMIT 5", f"DELETE {found}"]
    for statement in plans:
        steps = await store._worker.read(
            lambda connection, sql: connection.execute("EXPLAIN QUERY PLAN " + sql).fetchall(),
            statement,
        )
        assert "journal_by_queue (queue=? AND rowid<?)" in steps[0][3]
        assert len(steps) == 1
    await store.close()
