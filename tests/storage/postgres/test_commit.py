"""A transaction whose connection is lost while it commits is kept exactly once."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from greenroom.storage.postgres.commit import READ_COMMITTED, SWEEP, Commit
from greenroom.storage.postgres.session import Connection, Waits, connect
from greenroom.storage.postgres.store import PostgresStore


class Losing:
    """A connection that is lost at COMMIT, before or after the server has done it."""

    def __init__(self, connection: Connection, *, after: bool) -> None:
        self._connection = connection
        self._after = after

    async def execute(self, statement: str, *arguments: object) -> str:
        if statement != "COMMIT":
            return await self._connection.execute(statement, *arguments)
        if self._after:
            await self._connection.execute(statement)
        raise ConnectionResetError


@pytest.fixture
async def connections(database: str) -> AsyncIterator[list[Connection]]:
    """Give three connections to a database with the schema and a table to write to."""
    await (await PostgresStore.open(database)).close()
    found = [await connect(database, None, Waits()) for _ in range(3)]
    await found[0].execute("CREATE TABLE written (number serial)")
    yield found
    for each in found:
        each.terminate()


async def write(connection: Connection) -> int:
    """Add a row; return its number."""
    number: int = await connection.fetchval("INSERT INTO written DEFAULT VALUES RETURNING number")
    return number


def losing(connection: Connection, *, after: bool) -> Connection:
    """Return the connection as one that is lost."""
    lost = Losing(connection, after=after)
    lost.fetchval = connection.fetchval  # type: ignore[attr-defined]
    return lost  # type: ignore[return-value]


async def count(connection: Connection) -> int:
    """Return how many rows there are."""
    number: int = await connection.fetchval("SELECT count(*) FROM written")
    return number


async def test_what_was_kept_is_not_done_again(connections: list[Connection]) -> None:
    """When the commit was done, the next attempt finds that, and has the same result."""
    one, other, _ = connections
    commit = Commit(READ_COMMITTED, write)
    with pytest.raises(ConnectionResetError):
        await commit.attempt(losing(one, after=True))
    assert await commit.attempt(other) == 1
    assert await count(other) == 1


async def test_what_was_not_kept_is_done_again(connections: list[Connection]) -> None:
    """When the connection died before the commit, the next attempt does it all anew."""
    one, other, third = connections
    commit = Commit(READ_COMMITTED, write)
    with pytest.raises(ConnectionResetError):
        await commit.attempt(losing(one, after=False))
    one.terminate()
    await commit.attempt(other)
    assert await count(third) == 1


async def test_what_is_undecided_is_waited_for(connections: list[Connection]) -> None:
    """While the server still has the transaction open, the next attempt waits for its end."""
    one, other, third = connections
    commit = Commit(READ_COMMITTED, write)
    with pytest.raises(ConnectionResetError):
        await commit.attempt(losing(one, after=False))
    again = asyncio.ensure_future(commit.attempt(other))
    await asyncio.sleep(0.05)
    assert not again.done()
    await one.execute("COMMIT")
    assert await again == 1
    assert await count(third) == 1


async def test_what_was_found_undone_cannot_come_late(connections: list[Connection]) -> None:
    """Once the answer is that it was not kept, a lost answer to that changes nothing."""
    one, other, third = connections
    commit = Commit(READ_COMMITTED, write)
    with pytest.raises(ConnectionResetError):
        await commit.attempt(losing(one, after=False))
    one.terminate()
    with pytest.raises(ConnectionResetError):
        await commit.attempt(losing(other, after=False))
    await other.execute("ROLLBACK")
    await commit.attempt(third)
    assert await count(third) == 1


async def test_old_numbers_are_swept(connections: list[Connection]) -> None:
    """After ten minutes nobody asks any more."""
    one, *_ = connections
    await Commit(READ_COMMITTED, write).attempt(one)
    await one.execute("UPDATE commits SET at = now() - interval '9 minutes'")
    await one.execute(SWEEP)
    assert await one.fetchval("SELECT count(*) FROM commits") == 1
    await one.execute("UPDATE commits SET at = now() - interval '11 minutes'")
    await one.execute(SWEEP)
    assert await one.fetchval("SELECT count(*) FROM commits") == 0


async def test_what_the_function_raises_is_not_kept(connections: list[Connection]) -> None:
    """An error of the function ends it there."""
    one, *_ = connections

    async def fail(connection: Connection) -> None:
        await write(connection)
        raise LookupError

    with pytest.raises(LookupError):
        await Commit(READ_COMMITTED, fail).attempt(one)
    await one.execute("ROLLBACK")
    assert await count(one) == 0
    with pytest.raises(asyncpg.UndefinedTableError):
        await one.execute("SELECT * FROM nowhere")


# ------------------------------------------------------------------ step by step, without a server


class Scripted:
    """In place of a connection: notes what it is asked, and fails at COMMIT as the test says."""

    def __init__(self, error: Exception | None = None, *, kept: bool = False) -> None:
        self.said: list[tuple[object, ...]] = []
        self.error = error
        self.kept = kept

    async def execute(self, statement: str, *arguments: object) -> None:
        self.said.append((" ".join(statement.split()[:2]), *arguments))
        if statement == "COMMIT" and self.error is not None:
            raise self.error

    async def fetchval(self, _statement: str, number: int) -> bool:
        self.said.append(("ask", number))
        return self.kept


def counting() -> Commit[int]:
    """Return a call whose result is how often it ran."""
    runs = itertools.count(1)

    async def run(_connection: Connection) -> int:
        return next(runs)

    return Commit(READ_COMMITTED, run)


async def attempted(commit: Commit[int], connection: Scripted) -> int:
    """Attempt it on such a connection."""
    stand_in: Any = connection
    return await commit.attempt(stand_in)


def number_of(connection: Scripted) -> object:
    """Return the number that a transaction has left, having seen that it was one."""
    begin, mark, end = connection.said[-3:]
    assert (begin, end) == (("BEGIN ISOLATION",), ("COMMIT",))
    assert mark[0] == "INSERT INTO"
    return mark[1]


@pytest.mark.parametrize("kept", [True, False])
async def test_what_became_of_it_is_asked_once(kept: bool) -> None:
    """By its own number; where it was not kept it is run anew, with another number."""
    commit, lost, asked = counting(), Scripted(ConnectionResetError()), Scripted(kept=kept)
    with pytest.raises(ConnectionResetError):
        await attempted(commit, lost)
    assert await attempted(commit, asked) == (1 if kept else 2)
    assert asked.said[0] == ("ask", number_of(lost))
    if kept:
        assert len(asked.said) == 1
        return
    assert number_of(asked) != number_of(lost)
    later = Scripted()
    assert await attempted(commit, later) == 3
    assert len(later.said) == 3, "nothing is open any more"


@pytest.mark.parametrize("error", [asyncpg.SerializationError(""), asyncpg.DiskFullError("")])
async def test_a_commit_that_was_refused_is_not_open(error: Exception) -> None:
    """The server has said what became of it."""
    commit, refused, again = counting(), Scripted(error), Scripted()
    with pytest.raises(type(error)):
        await attempted(commit, refused)
    assert await attempted(commit, again) == 2
    assert number_of(again) != number_of(refused)
    assert len(again.said) == 3
