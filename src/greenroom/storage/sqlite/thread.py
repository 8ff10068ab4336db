"""A thread that owns a SQLite connection and performs the calls that wait for it, in groups.

- **Bound.** At most `bound` calls wait; the next one is refused with StorageUnavailable, at once.
- **Cancelled callers.** Their call may or may not be performed; it never disturbs the others.
- **Close.** What waits is performed first; later calls raise StorageUnavailable.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import structlog

from greenroom.storage.base import StorageUnavailable
from greenroom.storage.rules import closed

_log = structlog.get_logger()

Database = Callable[[], AbstractContextManager[sqlite3.Connection]]
"""Opens the database; entered and left on the thread."""

Function = Callable[[sqlite3.Connection], object]


class Call:
    """A function that waits for the connection, and what came of it."""

    __slots__ = ("error", "function", "future", "result")

    def __init__(self, function: Function, future: "asyncio.Future[Any]") -> None:
        self.function = function
        self.future = future
        self.result: object = None
        self.error: Exception | None = None

    def perform(self, connection: sqlite3.Connection) -> None:
        """Run the function and keep its result or error."""
        try:
            self.result = self.function(connection)
        except sqlite3.Error as error:
            self.error = unavailable(error)
        except Exception as error:  # noqa: BLE001 - raised where the call was made
            self.error = error


Perform = Callable[[sqlite3.Connection, Sequence[Call]], None]
"""Performs a group of calls; each has its result or error afterwards."""


class SqliteThread:
    """Takes calls from the event loop that it was made on."""

    def __init__(self, name: str, database: Database, perform: Perform, bound: int) -> None:
        self._name = name
        self._database = database
        self._perform = perform
        self._bound = bound
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._condition = threading.Condition()
        self._queue: list[Call] = []
        self._refusing = self._closing = False
        self._failing = False
        self.calls = self.refused = 0

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._queue)

    async def start(self) -> None:
        """Open the database on a new thread; what opening raises is raised here."""
        # A daemon: an interpreter that ends without `close` does not wait for the queue. What was
        # answered is on the disk already.
        threading.Thread(target=self._run, name=self._name, daemon=True).start()
        try:
            # Opening goes on when the caller is cancelled: SQLite cannot be stopped in the middle.
            await asyncio.shield(self._opened)
        except asyncio.CancelledError:
            self.stop()
            # Nobody is left to raise it to; unread, asyncio would log it as an error of ours.
            self._opened.add_done_callback(lambda opened: opened.exception())
            raise

    def submit(self, function: Function) -> "asyncio.Future[Any]":
        """Queue a call; return its outcome, to be awaited.

        Raises:
            StorageUnavailable: the queue is full, or the thread is closed.
        """
        call = Call(function, self._loop.create_future())
        with self._condition:
            if self._refusing:
                raise closed()
            if len(self._queue) >= self._bound:
                self.refused += 1
                raise StorageUnavailable("Too many requests wait for the store")
            self._queue.append(call)
            self._condition.notify()
        return call.future

    def refuse(self) -> None:
        """Take no more calls; the database stays open."""
        with self._condition:
            self._refusing = True

    def stop(self) -> None:
        """Take no more calls; the thread ends when none waits."""
        with self._condition:
            self._refusing = self._closing = True
            self._condition.notify()

    async def close(self) -> None:
        """Finish the calls that wait, then close the database."""
        self.stop()
        await asyncio.shield(self._closed)

    # On the thread. Futures belong to the event loop: they are read here and settled there.

    def _run(self) -> None:
        try:
            with self._database() as connection:
                self._tell(_settle_future, self._opened, None)
                while calls := self._take():
                    self._perform_group(connection, calls)
                    # One wake-up of the loop for the whole group.
                    self._tell(_settle, calls)
        except Exception as error:  # noqa: BLE001 - `start` raises it
            self._tell(_settle_future, self._opened, error)
        finally:
            self._abandon()
            self._tell(_settle_future, self._closed, None)

    def _take(self) -> list[Call]:
        """Wait for calls and take all that wait; none when it is closing and none is left.

        The slower the disk, the larger the next group: under load the cost of a commit is shared by
        more, instead of the queue growing.
        """
        with self._condition:
            while not self._queue and not self._closing:
                self._condition.wait()
            calls, self._queue = self._queue, []
        return calls

    def _perform_group(self, connection: sqlite3.Connection, queued: list[Call]) -> None:
        # A caller that goes away after this is performed for all the same: see the module.
        calls = [call for call in queued if not call.future.cancelled()]
        self.calls += len(calls)
        if calls:
            self._perform(connection, calls)
            self._note(calls)

    def _note(self, calls: list[Call]) -> None:
        """Log when the database begins to fail and when it answers again, not each time."""
        causes = [call.error.__cause__ for call in calls if type(call.error) is StorageUnavailable]
        if causes and not self._failing:
            self._failing = True
            _log.error("store cannot answer", thread=self._name, reason=str(causes[0]))
        elif self._failing and not causes:
            self._failing = False
            _log.warning("store answers again", thread=self._name)

    def _abandon(self) -> None:
        """Refuse what still waits when the thread ends."""
        # When opening failed calls may wait already, and no more may come: nobody would answer.
        self.stop()
        calls = self._take()
        for call in calls:
            call.error = closed()
        self._tell(_settle, calls)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            # The loop is closed, and with it went everybody who could have waited.
            _log.warning("store answered after the event loop was closed")


def unavailable(cause: BaseException) -> StorageUnavailable:
    """Return the error of a call that the database did not perform, for this reason."""
    error = StorageUnavailable("The store cannot answer now")
    error.__cause__ = cause.__cause__ if isinstance(cause, StorageUnavailable) else cause
    return error


def _settle(calls: list[Call]) -> None:
    for call in calls:
        if call.error is None:
            _settle_future(call.future, call.result)
        else:
            _settle_future(call.future, call.error)


def _settle_future(future: "asyncio.Future[Any]", outcome: object) -> None:
    # Cancelled meanwhile.
    if future.done():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
