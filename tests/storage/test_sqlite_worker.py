"""Group commit, its failures and its bounds, on a database in memory."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager

import pytest
import structlog

from greenroom.storage.base import StorageUnavailable, StoreForeign
from greenroom.storage.sqlite_worker import SqliteWorker


class Database:
    """A database in memory that counts its statements and fails COMMIT when told to."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.fails = False
        self.closed = False
        self.connection: sqlite3.Connection

    @contextmanager
    def __call__(self) -> Iterator[sqlite3.Connection]:
        database = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
                database.statements.append(sql)
                if sql == "COMMIT" and database.fails:
                    raise sqlite3.OperationalError("database or disk is full")
                return super().execute(sql, *parameters)  # type: ignore[arg-type]

        self.connection = sqlite3.connect(":memory:", isolation_level=None, factory=Connection)
        self.connection.execute("CREATE TABLE items (value INTEGER PRIMARY KEY)")
        yield self.connection
        self.connection.close()
        self.closed = True


class Gate:
    """A call that keeps the worker busy until it is opened, so that others queue up behind it."""

    def __init__(self, worker: SqliteWorker) -> None:
        self._entered = threading.Event()
        self._open = threading.Event()
        self._task = asyncio.ensure_future(worker.read(self._wait))

    def _wait(self, _connection: sqlite3.Connection) -> None:
        self._entered.set()
        self._open.wait()

    async def entered(self) -> None:
        """Wait until the worker is busy."""
        await asyncio.to_thread(self._entered.wait)

    async def open(self) -> None:
        """Let the worker go on."""
        self._open.set()
        await self._task


@pytest.fixture
def database() -> Database:
    """Give a new database."""
    return Database()


@pytest.fixture
async def worker(database: Database) -> AsyncIterator[SqliteWorker]:
    """Give a worker on it that lets 100 calls wait."""
    started = await SqliteWorker.start(database, bound=100)
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
    gate = Gate(worker)
    await gate.entered()
    calls = [asyncio.ensure_future(worker.write(insert, n)) for n in range(50)]
    reading = asyncio.ensure_future(worker.read(values))
    calls += [asyncio.ensure_future(worker.write(insert, n)) for n in range(50, 60)]
    await asyncio.sleep(0)
    assert worker.statistics.waiting == 61
    await gate.open()
    assert await asyncio.gather(*calls) == list(range(60))
    assert await reading == list(range(50))
    assert database.statements.count("COMMIT") == 1
    assert worker.statistics.commits == 1
    assert worker.statistics.calls == 62


async def test_reads_alone_need_no_transaction(worker: SqliteWorker, database: Database) -> None:
    """A group without writes neither begins nor commits."""
    assert await asyncio.gather(*(worker.read(values) for _ in range(5))) == [[]] * 5
    assert not {"BEGIN IMMEDIATE", "COMMIT"} & set(database.statements)


async def test_one_that_raises_leaves_nothing(worker: SqliteWorker) -> None:
    """A call's error reaches its caller alone; what it did is undone and the others are kept."""
    gate = Gate(worker)
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


async def test_failed_commit_fails_every_write(worker: SqliteWorker, database: Database) -> None:
    """When COMMIT fails no write is kept, none is answered with more than that; reads are right."""
    await worker.write(insert, 0)
    gate = Gate(worker)
    await gate.entered()
    calls = asyncio.gather(
        worker.write(insert, 1),
        worker.write(insert_and_fail, 2),
        worker.read(values),
        worker.write(insert, 3),
        return_exceptions=True,
    )
    await asyncio.sleep(0)
    database.fails = True
    await gate.open()
    one, failed, read, three = await calls
    for error in (one, failed, three):
        assert isinstance(error, StorageUnavailable)
        assert str(error.__cause__) == "database or disk is full"
    assert read == [0]
    assert worker.statistics.failed_commits == 1


async def test_works_again_after_a_failure(worker: SqliteWorker, database: Database) -> None:
    """The next group is tried anew; the log says once that it fails and once that it works."""
    database.fails = True
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(StorageUnavailable):
                await worker.write(insert, 1)
            assert await worker.read(values) == []
        database.fails = False
        assert await worker.write(insert, 1) == 1
    assert await worker.read(values) == [1]
    assert [log["event"] for log in logs] == ["store cannot answer", "store answers again"]


async def test_lost_transaction_fails_every_write(worker: SqliteWorker) -> None:
    """SQLite ends the transaction itself after some errors: then nothing of the group is kept."""

    def lose(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("disk I/O error")

    gate = Gate(worker)
    await gate.entered()
    calls = asyncio.gather(
        worker.write(insert, 1),
        worker.write(lose),
        worker.write(insert, 2),
        worker.read(values),
        return_exceptions=True,
    )
    await asyncio.sleep(0)
    await gate.open()
    *writes, read = await calls
    for error in writes:
        assert isinstance(error, StorageUnavailable)
        assert str(error.__cause__) == "disk I/O error"
    assert read == []
    assert await worker.write(insert, 1) == 1


async def test_full_queue_refuses_at_once(worker: SqliteWorker) -> None:
    """The call beyond the bound is refused and counted; those that wait are done."""
    gate = Gate(worker)
    await gate.entered()
    calls = [asyncio.ensure_future(worker.write(insert, n)) for n in range(100)]
    await asyncio.sleep(0)
    with pytest.raises(StorageUnavailable):
        await worker.write(insert, 100)
    with pytest.raises(StorageUnavailable):
        await worker.read(values)
    assert worker.statistics.refused == 2
    await gate.open()
    assert len(await asyncio.gather(*calls)) == 100


async def test_cancelled_call_is_dropped(worker: SqliteWorker) -> None:
    """A call whose caller is gone before its turn is not made; a running one is no trouble."""
    gate = Gate(worker)
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
    worker = await SqliteWorker.start(database)
    gate = Gate(worker)
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


async def test_start_raises_what_opening_raises() -> None:
    """An error of the database's opening is the error of `start`."""

    def refused() -> closing[sqlite3.Connection]:
        raise StoreForeign("no")

    with pytest.raises(StoreForeign, match="no"):
        await SqliteWorker.start(refused)


async def test_cancelled_start_closes_the_database(database: Database) -> None:
    """When nobody waits for the start any more, the database is closed again."""
    opening, opened = threading.Event(), threading.Event()

    @contextmanager
    def slow() -> Iterator[sqlite3.Connection]:
        opening.set()
        opened.wait()
        with database() as connection:
            yield connection

    starting = asyncio.ensure_future(SqliteWorker.start(slow))
    await asyncio.to_thread(opening.wait)
    (thread,) = [each for each in threading.enumerate() if each.name == "sqlite"]
    starting.cancel()
    await asyncio.sleep(0)
    opened.set()
    await asyncio.to_thread(thread.join)
    assert database.closed
    assert starting.cancelled()


def test_lost_event_loop_does_not_stop_the_work(database: Database) -> None:
    """When the loop is closed without `close`, what was accepted is still committed."""
    reached, released = threading.Event(), threading.Event()

    def insert_late(connection: sqlite3.Connection) -> None:
        reached.set()
        released.wait()
        insert(connection, 1)

    async def begin() -> SqliteWorker:
        worker = await SqliteWorker.start(database)
        writing = asyncio.ensure_future(worker.write(insert_late))
        await asyncio.to_thread(reached.wait)
        writing.cancel()
        return worker

    worker = asyncio.run(begin())
    (thread,) = [each for each in threading.enumerate() if each.name == "sqlite"]
    with structlog.testing.capture_logs():
        released.set()
        worker._stop()
        thread.join()
    assert database.statements.count("COMMIT") == 1
    assert database.closed
