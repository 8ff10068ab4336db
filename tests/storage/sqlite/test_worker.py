"""Group commit, its failures and its bounds; reads beside it.

Covers: greenroom.storage.sqlite.thread
"""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from greenroom.storage.base import StorageUnavailable, StoreForeign
from greenroom.storage.sqlite.store import SqliteStore
from greenroom.storage.sqlite.thread import Call, SqliteThread
from greenroom.storage.sqlite.worker import SqliteWorker


class Database:
    """A database in a file that counts the statements of writing and fails COMMIT when told to."""

    def __init__(self, path: Path) -> None:
        self.statements: list[str] = []
        self.fails = False
        self.closed = False
        self._path = path

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open it."""
        database = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
                database.statements.append(sql)
                if sql == "COMMIT" and database.fails:
                    raise sqlite3.OperationalError("database or disk is full")
                return super().execute(sql, *parameters)  # type: ignore[arg-type]

        with closing(
            sqlite3.connect(self._path, isolation_level=None, factory=Connection)
        ) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE items (value INTEGER PRIMARY KEY)")
            yield connection
        self.closed = True

    def reading(self) -> closing[sqlite3.Connection]:
        """Open it once more."""
        return closing(sqlite3.connect(self._path, isolation_level=None))

    async def start(self, bound: int = 100) -> SqliteWorker:
        """Return a worker on it."""
        return await SqliteWorker.start(self.writing, self.reading, bound)


class Gate:
    """A call that keeps a thread busy until it is opened, so that others queue up behind it."""

    def __init__(self, run: Callable[[Callable[[sqlite3.Connection], None]], Any]) -> None:
        self._entered = threading.Event()
        self._open = threading.Event()
        self._task = asyncio.ensure_future(run(self._wait))

    def _wait(self, _connection: sqlite3.Connection) -> None:
        self._entered.set()
        self._open.wait()

    async def entered(self) -> None:
        """Wait until the thread is busy."""
        await asyncio.to_thread(self._entered.wait)

    async def open(self) -> None:
        """Let the thread go on."""
        self._open.set()
        await self._task


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """Give a new database."""
    return Database(tmp_path / "items.db")


@pytest.fixture
async def worker(database: Database) -> AsyncIterator[SqliteWorker]:
    """Give a worker on it that lets 100 calls of each kind wait."""
    started = await database.start()
    yield started
    await started.close()


def insert(connection: sqlite3.Connection, value: int) -> int:
    """Insert a value."""
    connection.execute("INSERT INTO items VALUES (?)", (value,))
    return value


def insert_and_fail(connection: sqlite3.Connection, value: int) -> None:
    """Insert a value, then raise."""
    insert(connection, value)
    raise LookupError(value)


def values(connection: sqlite3.Connection) -> list[int]:
    """Return what was inserted."""
    return [row[0] for row in connection.execute("SELECT value FROM items ORDER BY value")]


async def test_waiting_calls_share_one_commit(worker: SqliteWorker, database: Database) -> None:
    """Everything that waits is one transaction, in the order of the calls."""
    gate = Gate(worker.write)
    await gate.entered()
    calls = [asyncio.ensure_future(worker.write(insert, n)) for n in range(50)]
    calls += [asyncio.ensure_future(worker.write(insert, n)) for n in range(50, 60)]
    await asyncio.sleep(0)
    assert worker.statistics.waiting == 60
    await gate.open()
    assert await asyncio.gather(*calls) == list(range(60))
    # The gate's own is one more.
    assert database.statements.count("COMMIT") == 2
    # None is left open: a group of thousands would nest as deep.
    savepoints = [database.statements.count(f"{verb} call") for verb in ("SAVEPOINT", "RELEASE")]
    assert savepoints == [61, 61]
    assert worker.statistics.commits == 2
    assert worker.statistics.calls == 61
    assert await worker.read(values) == list(range(60))


async def test_reads_wait_for_no_write(worker: SqliteWorker) -> None:
    """While a write takes its time, what is committed is read; nothing else is seen."""
    await worker.write(insert, 1)
    gate = Gate(worker.write)
    await gate.entered()
    waiting = asyncio.ensure_future(worker.write(insert, 2))
    assert await worker.read(values) == [1]
    assert not waiting.done()
    await gate.open()
    await waiting
    assert await worker.read(values) == [1, 2]


async def test_a_read_sees_one_state(worker: SqliteWorker, database: Database) -> None:
    """What is committed between two statements of a read is not seen by the second one."""
    loop = asyncio.get_running_loop()

    def read_twice(connection: sqlite3.Connection) -> tuple[list[int], list[int]]:
        before = values(connection)
        asyncio.run_coroutine_threadsafe(worker.write(insert, 1), loop).result()
        return before, values(connection)

    assert await worker.read(read_twice) == ([], [])
    assert await worker.read(values) == [1]


async def test_reads_write_nothing(tmp_path: Path) -> None:
    """A function that was given to `read` by mistake cannot change the store."""
    store = await SqliteStore.open(tmp_path)
    with pytest.raises(StorageUnavailable) as refused:
        await store._worker.read(lambda connection: connection.execute("DELETE FROM rooms"))
    assert "readonly" in str(refused.value.__cause__)
    await store.close()


async def test_one_that_raises_leaves_nothing(worker: SqliteWorker, database: Database) -> None:
    """A call's error reaches its caller alone; what it did is undone and the others are kept."""
    gate = Gate(worker.write)
    await gate.entered()
    writes = [worker.write(insert, 1), worker.write(insert_and_fail, 2), worker.write(insert, 3)]
    calls = asyncio.gather(*writes, worker.write(insert, 1), return_exceptions=True)
    await asyncio.sleep(0)
    await gate.open()
    one, failed, three, twice = await calls
    assert (one, three) == (1, 3)
    assert isinstance(failed, LookupError)
    assert isinstance(twice, StorageUnavailable)
    assert isinstance(twice.__cause__, sqlite3.IntegrityError)
    assert await worker.read(values) == [1, 3]
    counted = [database.statements.count(f"{verb} call") for verb in ("SAVEPOINT", "RELEASE")]
    assert counted == [5, 5]


async def test_each_commit_is_told_before_it_is_answered(database: Database) -> None:
    """Whoever notes that there is something to lose notes it in time; what failed is not told."""
    told: list[str] = []
    worker = await SqliteWorker.start(
        database.writing,
        database.reading,
        committed=lambda: told.append(database.statements[-1]),
    )
    await worker.write(insert, 1)
    assert told == ["COMMIT"]
    await worker.read(values)
    database.fails = True
    with pytest.raises(StorageUnavailable):
        await worker.write(insert, 2)
    assert told == ["COMMIT"]
    await worker.close()


async def test_failed_commit_fails_every_write(worker: SqliteWorker, database: Database) -> None:
    """When COMMIT fails no write is kept, and none is answered with more than that."""
    await worker.write(insert, 0)
    gate = Gate(worker.write)
    await gate.entered()
    calls = asyncio.gather(
        worker.write(insert, 1),
        worker.write(insert_and_fail, 2),
        worker.write(insert, 3),
        return_exceptions=True,
    )
    await asyncio.sleep(0)
    database.fails = True
    with pytest.raises(StorageUnavailable):
        await gate.open()
    one, failed, three = await calls
    for error in (one, failed, three):
        assert isinstance(error, StorageUnavailable)
        assert str(error.__cause__) == "database or disk is full"
    assert await worker.read(values) == [0]
    assert worker.statistics.failed_commits == 2


async def test_works_again_after_a_failure(worker: SqliteWorker, database: Database) -> None:
    """The next group is tried anew; the log says once that it fails and once that it works."""
    database.fails = True
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(StorageUnavailable):
                await worker.write(insert, 1)
            assert await worker.read(values) == []
        database.fails = False
        for value in (1, 2):
            assert await worker.write(insert, value) == value
    assert await worker.read(values) == [1, 2]
    assert [log["event"] for log in logs] == ["store cannot answer", "store answers again"]


async def test_lost_transaction_fails_every_write(worker: SqliteWorker) -> None:
    """SQLite ends the transaction itself after some errors: then nothing of the group is kept."""

    def lose(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("disk I/O error")

    gate = Gate(worker.write)
    await gate.entered()
    calls = asyncio.gather(
        worker.write(insert, 1),
        worker.write(lose),
        worker.write(insert, 2),
        return_exceptions=True,
    )
    await asyncio.sleep(0)
    await gate.open()
    for error in await calls:
        assert isinstance(error, StorageUnavailable)
        assert str(error.__cause__) == "disk I/O error"
    assert await worker.read(values) == []
    assert await worker.write(insert, 1) == 1


async def test_full_queue_refuses_at_once(worker: SqliteWorker) -> None:
    """The call beyond the bound is refused and counted; those that wait are done."""
    gate, reading = Gate(worker.write), Gate(worker.read)
    await gate.entered()
    await reading.entered()
    calls = [asyncio.ensure_future(worker.write(insert, n)) for n in range(100)]
    reads = [asyncio.ensure_future(worker.read(values)) for _ in range(100)]
    await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable):
        await worker.write(insert, 100)
    with pytest.raises(StorageUnavailable):
        await worker.read(values)
    assert worker.statistics.refused == 2
    assert worker.statistics.waiting == 200
    await reading.open()
    assert await asyncio.gather(*reads) == [[]] * 100
    await gate.open()
    assert len(await asyncio.gather(*calls)) == 100


async def test_cancelled_call_is_dropped(worker: SqliteWorker) -> None:
    """A call whose caller is gone before its turn is not made; a running one is no trouble."""
    gate = Gate(worker.write)
    await gate.entered()
    calls = [asyncio.ensure_future(worker.write(insert, n)) for n in range(3)]
    await asyncio.sleep(0)
    calls[1].cancel()
    gate._task.cancel()
    await asyncio.sleep(0)
    gate._open.set()
    assert await asyncio.gather(*calls[::2]) == [0, 2]
    assert await worker.read(values) == [0, 2]


async def test_close_finishes_what_waits(database: Database) -> None:
    """Calls made before `close` are done, later ones are refused, and the database is closed."""
    worker = await database.start()
    gate = Gate(worker.write)
    await gate.entered()
    calls = [asyncio.ensure_future(worker.write(insert, n)) for n in range(3)]
    await asyncio.sleep(0)
    closings = [asyncio.ensure_future(worker.close()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable):
        await worker.write(insert, 9)
    await gate.open()
    assert await asyncio.gather(*calls) == [0, 1, 2]
    await asyncio.gather(*closings)
    assert database.closed


async def test_start_raises_what_opening_raises(database: Database) -> None:
    """An error of either opening is the error of `start`."""

    def refused() -> closing[sqlite3.Connection]:
        raise StoreForeign("no")

    for writing, reading in ((refused, database.reading), (database.writing, refused)):
        with pytest.raises(StoreForeign, match="no"):
            await SqliteWorker.start(writing, reading)
    assert database.closed, "the other one is not left open"


async def test_the_connection_that_writes_is_closed_last(database: Database) -> None:
    """The directory's lock goes with it: who reads longer would read what another one writes."""
    closed: list[str] = []

    @contextmanager
    def noted(name: str, opening: Callable[[], Any]) -> Iterator[sqlite3.Connection]:
        with opening() as connection:
            yield connection
        closed.append(name)

    worker = await SqliteWorker.start(
        lambda: noted("writing", database.writing), lambda: noted("reading", database.reading)
    )
    await worker.write(insert, 1)
    await worker.close()
    assert closed == ["reading", "writing"]


async def test_calls_that_wait_for_an_opening_that_fails(database: Database) -> None:
    """They are refused when it has failed, and so is whoever comes later: nobody would answer."""

    def refused() -> closing[sqlite3.Connection]:
        raise StoreForeign("no")

    def perform(_connection: sqlite3.Connection, _calls: Sequence[Call]) -> None:
        raise AssertionError("there is nothing to perform them on")

    thread = SqliteThread("sqlite-test", refused, perform, 10)
    waiting = thread.submit(values)
    with pytest.raises(StoreForeign):
        await thread.start()
    async with asyncio.timeout(10):
        with pytest.raises(StorageUnavailable):
            await waiting
        with pytest.raises(StorageUnavailable):
            await thread.submit(values)
        await thread.close()


def sqlite_threads() -> set[threading.Thread]:
    """Return the threads that write databases; another test may have left one."""
    return {each for each in threading.enumerate() if each.name == "sqlite"}


async def test_cancelled_start_closes_the_database(database: Database) -> None:
    """When nobody waits for the start any more, the database is closed again."""
    before = sqlite_threads()
    opening, opened = threading.Event(), threading.Event()

    @contextmanager
    def slow() -> Iterator[sqlite3.Connection]:
        opening.set()
        opened.wait()
        with database.writing() as connection:
            yield connection

    starting = asyncio.ensure_future(SqliteWorker.start(slow, database.reading))
    await asyncio.to_thread(opening.wait)
    (thread,) = sqlite_threads() - before
    assert thread.daemon, "a process that ends does not wait for it"
    starting.cancel()
    await asyncio.sleep(0)
    opened.set()
    await asyncio.to_thread(thread.join)
    assert database.closed
    assert starting.cancelled()


def test_lost_event_loop_does_not_stop_the_work(database: Database) -> None:
    """When the loop is closed without `close`, what was accepted is still committed."""
    before = sqlite_threads()
    reached, released = threading.Event(), threading.Event()

    def insert_late(connection: sqlite3.Connection) -> None:
        reached.set()
        released.wait()
        insert(connection, 1)

    async def begin() -> SqliteWorker:
        worker = await database.start()
        writing = asyncio.ensure_future(worker.write(insert_late))
        await asyncio.to_thread(reached.wait)
        writing.cancel()
        return worker

    worker = asyncio.run(begin())
    (thread,) = sqlite_threads() - before
    with structlog.testing.capture_logs():
        released.set()
        worker._writes.stop()
        worker._reads.stop()
        thread.join()
    assert database.statements.count("COMMIT") == 1
    assert database.closed
