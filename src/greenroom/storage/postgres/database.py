"""Runs functions of a connection, bounded in number and time, until the database has answered.

- **Order.** Writing calls of one lane follow each other in the order in which they are made; those
  of different lanes run beside each other.
- **Failures.** A call whose connection is lost, or that another node's was in the way of, is run
  once more, on another connection if need be: it may be run several times, and is kept once (see
  `commit`). Who has waited for `Bounds.seconds` is answered with StorageUnavailable.
- **Lost answers.** When the database does not come back within that time after a COMMIT that it did
  not answer, nobody can know: the call may have been kept.
- **Cancelled callers.** Their call is performed all the same.
- **Close.** What was accepted is performed first; later calls raise StorageUnavailable.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar
from weakref import WeakValueDictionary

import msgspec

from greenroom.storage.base import StorageUnavailable
from greenroom.storage.leases import LEASE_SECONDS
from greenroom.storage.postgres import commit
from greenroom.storage.postgres.commit import READ_COMMITTED, SERIALIZABLE, Commit
from greenroom.storage.postgres.failures import ERRORS, Meaning, meaning_of, unavailable
from greenroom.storage.postgres.outage import Outage
from greenroom.storage.postgres.pool import Pool
from greenroom.storage.postgres.session import Connection, Password, Waits, connect
from greenroom.storage.rules import PRUNE_EVERY, closed

P = ParamSpec("P")
T = TypeVar("T")

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.25
"""How long a call waits at most until it is run again, in seconds; each time twice as long."""

LEAST_RUNS = 3
"""How often a call is run that other nodes' are in the way of, however long it takes itself."""

Function = Callable[Concatenate[Connection, P], Awaitable[T]]


class Bounds(msgspec.Struct, frozen=True):
    """How much the node asks of the database, and how long it waits."""

    calls: int = 10_000
    """How many calls may be under way or wait; the next one is refused at once."""
    seconds: float = 5.0
    """How long a call waits for its turn, for a connection, and for the database to come back."""
    connections: int = 8
    waits: Waits = Waits()
    lease_seconds: float = LEASE_SECONDS
    """How long a node that says nothing keeps its leases."""


class Statistics(msgspec.Struct, frozen=True):
    """What the database was asked since the store was opened; `waiting` is now."""

    calls: int
    commits: int
    failed_commits: int
    refused: int
    waiting: int
    repeated: int


class Database:
    """The shared database, as its ports ask it."""

    def __init__(self, url: str, password: Password, bounds: Bounds) -> None:
        self._bounds = bounds
        self.connect: Callable[[], Awaitable[Connection]]
        """Makes a connection beside those that are lent, for whoever needs one of his own."""
        self.connect = partial(connect, url, password, bounds.waits)
        self._pool = Pool(self.connect, bounds.connections)
        self._tasks: set[asyncio.Task[object]] = set()
        self._lanes: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._reads = Outage("reads", bounds.seconds)
        self._writes = Outage("writes", bounds.seconds)
        self._closing = False
        self._calls = self._commits = self._failed = self._refused = self._repeated = 0

    async def read(self, function: "Function[P, T]", *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function whose statements each see what is committed by then.

        Raises:
            StorageUnavailable: the database does not answer, too many calls wait, or it is closed.
        """

        async def attempt(connection: Connection) -> T:
            return await function(connection, *args, **kwargs)

        return await asyncio.shield(self._start(self._reads, partial(self._ask, attempt)))

    async def snapshot(self, function: "Function[P, T]", *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function all of whose statements see one state.

        Raises:
            StorageUnavailable: as for `read`.
        """

        async def attempt(connection: Connection) -> T:
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            result = await function(connection, *args, **kwargs)
            await connection.execute("COMMIT")
            return result

        return await asyncio.shield(self._start(self._reads, partial(self._ask, attempt)))

    async def write(
        self, lane: str, function: "Function[P, T]", *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a function as one transaction, which holds what it relies on by rows.

        Raises:
            StorageUnavailable: as for `read`.
        """
        attempt = Commit(READ_COMMITTED, lambda each: function(each, *args, **kwargs)).attempt
        return await asyncio.shield(self.begin(lane, attempt))

    async def serialize(
        self, lane: str, function: "Function[P, T]", *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a function as one transaction beside which no other one seems to run.

        Raises:
            StorageUnavailable: as for `read`.
        """
        attempt = Commit(SERIALIZABLE, lambda each: function(each, *args, **kwargs)).attempt
        return await asyncio.shield(self.begin(lane, attempt))

    def begin(self, lane: str, attempt: Callable[[Connection], Awaitable[T]]) -> "asyncio.Task[T]":
        """Begin a writing call that may be attempted several times, on any connection.

        Raises:
            StorageUnavailable: as for `read`; the task raises it, too.
        """
        return self._start(self._writes, partial(self._ask_in_turn, lane, attempt))

    def aside(self, statement: str, *arguments: object) -> None:
        """Run a statement that nobody waits for, or leave it when that is not possible now."""

        async def attempt(connection: Connection) -> None:
            await connection.execute(statement, *arguments)

        with suppress(StorageUnavailable):
            _ = self._start(self._writes, partial(self._ask, attempt))

    def check_open(self) -> None:
        """Return while the store is open.

        Raises:
            StorageUnavailable: it is closed.
        """
        if self._closing:
            raise closed()

    def refuse(self) -> StorageUnavailable:
        """Count a call that is one too many, and return its error."""
        self._refused += 1
        return StorageUnavailable("Too many requests wait for the store")

    async def close(self) -> None:
        """Finish what was accepted, then close the connections."""
        self._closing = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._pool.close()

    @property
    def statistics(self) -> Statistics:
        """Return the counters as they are now."""
        return Statistics(
            calls=self._calls,
            commits=self._commits,
            failed_commits=self._failed,
            refused=self._refused,
            waiting=len(self._tasks),
            repeated=self._repeated,
        )

    def _start(
        self, outage: Outage, call: Callable[[Outage, float], Coroutine[object, object, T]]
    ) -> "asyncio.Task[T]":
        self.check_open()
        if len(self._tasks) >= self._bounds.calls:
            raise self.refuse()
        patience = outage.patience()
        self._calls += 1
        loop = asyncio.get_running_loop()
        task = loop.create_task(call(outage, loop.time() + patience))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_heard)
        return task

    async def _ask_in_turn(
        self,
        lane: str,
        attempt: Callable[[Connection], Awaitable[T]],
        outage: Outage,
        deadline: float,
    ) -> T:
        try:
            async with self._turn(lane, deadline):
                result = await self._ask(attempt, outage, deadline)
        except StorageUnavailable:
            self._failed += 1
            raise
        self._commits += 1
        if self._commits % PRUNE_EVERY == 0:
            self.aside(commit.SWEEP)
        return result

    @asynccontextmanager
    async def _turn(self, lane: str, deadline: float) -> AsyncIterator[None]:
        lock = self._lanes.setdefault(lane, asyncio.Lock())
        try:
            async with asyncio.timeout_at(deadline):
                await lock.acquire()
        except TimeoutError as error:
            raise unavailable(error) from error
        try:
            yield
        finally:
            lock.release()

    async def _ask(
        self, attempt: Callable[[Connection], Awaitable[T]], outage: Outage, deadline: float
    ) -> T:
        loop, pause, runs = asyncio.get_running_loop(), FIRST_PAUSE, 1
        while True:
            try:
                return await self._run(attempt, outage, deadline - loop.time())
            except ERRORS as error:
                if not _is_repeated(meaning_of(error), runs, late=loop.time() + pause > deadline):
                    outage.gave_up(error)
                    raise unavailable(error) from error
            self._repeated += 1
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - only a pause
            pause, runs = min(2 * pause, LONGEST_PAUSE), runs + 1

    async def _run(
        self, attempt: Callable[[Connection], Awaitable[T]], outage: Outage, seconds: float
    ) -> T:
        """Run a call once; tell the outage what that says of the database."""
        try:
            async with self._pool.connection(seconds) as connection:
                result = await attempt(connection)
        except ERRORS as error:
            if meaning_of(error) is Meaning.LOST:
                outage.lost(error)
            else:
                outage.reached()
            raise
        except Exception:
            outage.answered()
            raise
        outage.answered()
        return result


def _is_repeated(meaning: Meaning, runs: int, *, late: bool) -> bool:
    if meaning is Meaning.CONFLICT:
        return not late or runs < LEAST_RUNS
    return meaning is Meaning.LOST and not late


def _heard(task: "asyncio.Task[T]") -> None:
    """Take note of an error: who called may be gone, and the outage has said it."""
    if not task.cancelled():
        task.exception()
