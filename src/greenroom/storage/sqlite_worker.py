"""One thread that owns a SQLite connection and commits the calls that wait together.

- **Group commit.** The thread takes every call that is queued, runs them in one transaction, and
  answers them after its one COMMIT: many callers share one wait for the disk.
- **Isolation of calls.** Each writing call runs in a savepoint: one that raises leaves nothing and
  the others are kept.
- **A commit that fails** (disk full, I/O error) fails every writing call of its group, also those
  that had raised something else: what they saw was never kept. Reading calls are run again. The
  next group is tried anew, so the store works as soon as the disk does.
- **Bound.** At most `bound` calls wait; the next one is refused with StorageUnavailable, at once.
- **Cancelled callers.** Their call may or may not take effect; it never disturbs the others.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import msgspec
import structlog

from greenroom.storage.base import StorageUnavailable
from greenroom.storage.rules import closed

QUEUE_BOUND = 20_000
"""How many calls may wait."""

_log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

Database = Callable[[], AbstractContextManager[sqlite3.Connection]]
"""Opens the database; entered and left on the worker's thread."""


class WorkerStatistics(msgspec.Struct, frozen=True):
    """What the worker did since it started; `waiting` is the length of the queue now."""

    calls: int
    commits: int
    failed_commits: int
    refused: int
    waiting: int


class SqliteWorker:
    """Runs functions of a connection on its thread: `await worker.write(function, *arguments)`."""

    def __init__(self, database: Database, bound: int) -> None:
        self._database = database
        self._bound = bound
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._condition = threading.Condition()
        self._queue: list[_Call] = []
        self._closing = False
        self._failing = False
        self._calls = self._commits = self._failed_commits = self._refused = 0

    @classmethod
    async def start(cls, database: Database, bound: int = QUEUE_BOUND) -> Self:
        """Open the database on a new thread; what opening raises is raised here."""
        worker = cls(database, bound)
        threading.Thread(target=worker._run, name="sqlite", daemon=True).start()
        try:
            await asyncio.shield(worker._opened)
        except asyncio.CancelledError:
            worker._stop()
            worker._opened.add_done_callback(lambda opened: opened.exception())
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
        result: T = await self._submit(
            lambda connection: function(connection, *args, **kwargs), writes=False
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
        result: T = await self._submit(
            lambda connection: function(connection, *args, **kwargs), writes=True
        )
        return result

    async def close(self) -> None:
        """Finish the calls that wait, then close the database."""
        self._stop()
        await asyncio.shield(self._closed)

    @property
    def statistics(self) -> WorkerStatistics:
        """Return the counters as they are now."""
        return WorkerStatistics(
            self._calls, self._commits, self._failed_commits, self._refused, len(self._queue)
        )

    def _submit(
        self, function: Callable[[sqlite3.Connection], object], *, writes: bool
    ) -> "asyncio.Future[Any]":
        call = _Call(function, self._loop.create_future(), writes)
        with self._condition:
            if self._closing:
                raise closed()
            if len(self._queue) >= self._bound:
                self._refused += 1
                raise StorageUnavailable("Too many requests wait for the store")
            self._queue.append(call)
            self._condition.notify()
        return call.future

    def _stop(self) -> None:
        with self._condition:
            self._closing = True
            self._condition.notify()

    def _run(self) -> None:
        try:
            with self._database() as connection:
                self._tell(_settle_future, self._opened, None)
                while calls := self._take():
                    self._perform_group(connection, calls)
                    self._tell(_settle, calls)
        except Exception as error:  # noqa: BLE001 - `start` raises it
            self._tell(_settle_future, self._opened, error)
        finally:
            self._abandon()
            self._tell(_settle_future, self._closed, None)

    def _take(self) -> "list[_Call]":
        with self._condition:
            while not self._queue and not self._closing:
                self._condition.wait()
            calls, self._queue = self._queue, []
        return calls

    def _abandon(self) -> None:
        """Refuse what still waits when the thread ends."""
        self._stop()
        calls = self._take()
        for call in calls:
            call.error = closed()
        self._tell(_settle, calls)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            _log.warning("store answered after the event loop was closed")

    def _perform_group(self, connection: sqlite3.Connection, queued: "list[_Call]") -> None:
        calls = [call for call in queued if not call.future.cancelled()]
        self._calls += len(calls)
        if any(call.writes for call in calls):
            try:
                self._transact(connection, calls)
            except Exception as error:  # noqa: BLE001 - whatever it is, every caller is answered
                self._fail_writes(connection, calls, error)
                self._perform_reads(connection, calls)
        else:
            self._perform_reads(connection, calls)
        self._note(calls)

    def _perform_reads(self, connection: sqlite3.Connection, calls: "list[_Call]") -> None:
        for call in calls:
            if not call.writes:
                call.perform(connection)

    def _transact(self, connection: sqlite3.Connection, calls: "list[_Call]") -> None:
        connection.execute("BEGIN IMMEDIATE")
        for call in calls:
            if call.writes:
                call.perform_in_savepoint(connection)
            else:
                call.perform(connection)
            if not connection.in_transaction:
                raise call.error or sqlite3.OperationalError("the transaction was lost")
        connection.execute("COMMIT")
        self._commits += 1

    def _fail_writes(
        self, connection: sqlite3.Connection, calls: "list[_Call]", error: Exception
    ) -> None:
        self._failed_commits += 1
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        for call in calls:
            if call.writes:
                call.error = _unavailable(error)

    def _note(self, calls: "list[_Call]") -> None:
        """Log when the database begins to fail and when it commits again, not each time."""
        causes = [call.error.__cause__ for call in calls if type(call.error) is StorageUnavailable]
        if causes and not self._failing:
            self._failing = True
            _log.error("store cannot answer", reason=str(causes[0]))
        elif self._failing and not causes and any(call.writes for call in calls):
            self._failing = False
            _log.warning("store answers again")


class _Call:
    """A function that waits for the connection, and what came of it."""

    __slots__ = ("error", "function", "future", "result", "writes")

    def __init__(
        self,
        function: Callable[[sqlite3.Connection], object],
        future: "asyncio.Future[Any]",
        writes: bool,
    ) -> None:
        self.function = function
        self.future = future
        self.writes = writes
        self.result: object = None
        self.error: Exception | None = None

    def perform(self, connection: sqlite3.Connection) -> None:
        """Run the function and keep its result or error."""
        self.error = None
        try:
            self.result = self.function(connection)
        except sqlite3.Error as error:
            self.error = _unavailable(error)
        except Exception as error:  # noqa: BLE001 - raised where the call was made
            self.error = error

    def perform_in_savepoint(self, connection: sqlite3.Connection) -> None:
        """Run the function; when it raises, undo what it did.

        SQLite itself rolls everything back after some errors, which ends the transaction.
        """
        connection.execute("SAVEPOINT call")
        self.perform(connection)
        if self.error is None:
            connection.execute("RELEASE call")
        elif connection.in_transaction:
            connection.execute("ROLLBACK TO call")
            connection.execute("RELEASE call")


def _unavailable(cause: BaseException) -> StorageUnavailable:
    error = StorageUnavailable("The store cannot answer now")
    error.__cause__ = cause.__cause__ if isinstance(cause, StorageUnavailable) else cause
    return error


def _settle(calls: list[_Call]) -> None:
    for call in calls:
        if call.error is None:
            _settle_future(call.future, call.result)
        else:
            _settle_future(call.future, call.error)


def _settle_future(future: "asyncio.Future[Any]", outcome: object) -> None:
    if future.done():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
