"""Two threads with a connection each: one writes, and commits together; the other reads.

- **Group commit.** The writing thread takes every call that is queued, runs them in one
  transaction, and answers them after its one COMMIT: many callers share one wait for the disk.
- **Isolation of calls.** Each writing call runs in a savepoint: one that raises leaves nothing and
  the others are kept.
- **A commit that fails** (disk full, I/O error) fails every call of its group, also those that had
  raised something else: what they saw was never kept. The next group is tried anew, so the store
  works as soon as the disk does.
- **Reads wait for no write**, not for one that waits itself: for the disk, or for another process
  that holds the lock. They see what is committed, which every write that was answered is. Those
  that wait together see one state, and so does each of them from its first statement to its last.
- **Bound, cancelled callers**: see `storage.sqlite.thread`.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Concatenate, ParamSpec, Self, TypeVar

import msgspec

from greenroom.storage.sqlite.thread import Call, Database, SqliteThread, unavailable

QUEUE_BOUND = 10_000
"""How many reading calls may wait, and how many writing ones."""

P = ParamSpec("P")
T = TypeVar("T")


class WorkerStatistics(msgspec.Struct, frozen=True):
    """What the worker did since it started; `waiting` is the length of the queues now."""

    calls: int
    commits: int
    failed_commits: int
    refused: int
    waiting: int
    repeated: int = 0
    """None is run again: nobody else is in the way."""


class SqliteWorker:
    """Runs functions of a connection on a thread: `await worker.write(function, *arguments)`."""

    def __init__(
        self, database: Database, reading: Database, bound: int, committed: Callable[[], None]
    ) -> None:
        self._committed = committed
        self._writes = SqliteThread("sqlite", database, self._commit_together, bound)
        self._reads = SqliteThread("sqlite-reads", reading, _read_together, bound)
        self._commits = self._failed_commits = 0

    @classmethod
    async def start(
        cls,
        database: Database,
        reading: Database,
        bound: int = QUEUE_BOUND,
        committed: Callable[[], None] = lambda: None,
    ) -> Self:
        """Open the database, and then once more for reading; what either raises is raised here.

        `committed` is called on the writing thread after each commit, before it is answered.
        """
        worker = cls(database, reading, bound, committed)
        await worker._writes.start()
        try:
            # Second: a new database exists only once the writing thread has made it.
            await worker._reads.start()
        except BaseException:
            await worker._writes.close()
            raise
        return worker

    async def read(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a function that changes nothing and return its result.

        Raises:
            StorageUnavailable: the queue is full, the database fails, or the worker is closed.
        """
        result: T = await self._reads.submit(
            lambda connection: function(connection, *args, **kwargs)
        )
        return result

    async def write(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a function and return its result when its changes are on the disk.

        Raises:
            StorageUnavailable: as for `read`; nothing was kept.
        """
        result: T = await self._writes.submit(
            lambda connection: function(connection, *args, **kwargs)
        )
        return result

    async def close(self) -> None:
        """Finish the calls that wait, then close the database: last the connection that writes."""
        # The directory's lock goes with the connection that writes. Until nobody reads here any
        # more, no other process may have the file.
        self._writes.refuse()
        try:
            await self._reads.close()
        finally:
            await self._writes.close()

    @property
    def statistics(self) -> WorkerStatistics:
        """Return the counters as they are now."""
        threads = (self._writes, self._reads)
        return WorkerStatistics(
            calls=sum(each.calls for each in threads),
            commits=self._commits,
            failed_commits=self._failed_commits,
            refused=sum(each.refused for each in threads),
            waiting=sum(each.waiting for each in threads),
        )

    def _commit_together(self, connection: sqlite3.Connection, calls: Sequence[Call]) -> None:
        try:
            _transact(connection, calls)
            self._commits += 1
            self._committed()
        except Exception as error:  # noqa: BLE001 - whatever it is, every caller is answered
            self._failed_commits += 1
            # There may be nothing to roll back: BEGIN failed, or SQLite has done it itself.
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            for call in calls:
                call.error = unavailable(error)


def _transact(connection: sqlite3.Connection, calls: Sequence[Call]) -> None:
    # IMMEDIATE takes the lock for writing now. A transaction that begins to read and then writes
    # could not wait for another writer (SQLITE_BUSY_SNAPSHOT): it would fail at once.
    connection.execute("BEGIN IMMEDIATE")
    for call in calls:
        _perform_in_savepoint(call, connection)
        # The calls before it are gone as well, so the whole group has failed.
        if not connection.in_transaction:
            raise call.error or sqlite3.OperationalError("the transaction was lost")
    connection.execute("COMMIT")


def _perform_in_savepoint(call: Call, connection: sqlite3.Connection) -> None:
    """Run the function; when it raises, undo what it did.

    SQLite itself rolls everything back after some errors ("disk full", "I/O error", "out of
    memory", "busy"), which ends the transaction.
    """
    connection.execute("SAVEPOINT call")
    call.perform(connection)
    if call.error is None:
        connection.execute("RELEASE call")
    elif connection.in_transaction:
        connection.execute("ROLLBACK TO call")
        connection.execute("RELEASE call")


def _read_together(connection: sqlite3.Connection, calls: Sequence[Call]) -> None:
    # Without a transaction each statement would see what was committed just before it. Where BEGIN
    # fails the calls do, too, each with its own error.
    with suppress(sqlite3.Error):
        connection.execute("BEGIN")
    for call in calls:
        call.perform(connection)
    # Ended in any case: one left open would keep the log from being merged, and it would grow.
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("COMMIT")
