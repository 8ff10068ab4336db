"""A statement that uses up tokens: what comes into it, and when it is repeated."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from unittest.mock import Mock

import asyncpg
import pytest

from greenroom.storage import rules
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.postgres import token_uses
from greenroom.storage.postgres.session import Connection, Waits, connect
from greenroom.storage.postgres.store import PostgresStore
from greenroom.storage.postgres.token_uses import PostgresTokenUses, _Batch
from tests.stand_ins.values import NOW


class Losing:
    """A connection that is lost when the server has answered."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        await self._connection.fetch(statement, *arguments)
        raise ConnectionResetError


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    """Give a connection to a database with the schema."""
    await (await PostgresStore.open(database)).close()
    opened = await connect(database, None, Waits())
    yield opened
    await opened.close()


async def test_a_lost_answer_is_had_again(connection: Connection) -> None:
    """Repeated, the statement says what it had said: whose use was the first, and whose was not."""
    earlier, batch, later = _Batch(), _Batch(), _Batch()
    earlier.add([("used", NOW)])
    assert await earlier.attempt(connection) == [[True]]
    batch.add([("one", NOW), ("used", NOW)])
    batch.add([("one", NOW), ("two", NOW)])
    with pytest.raises(ConnectionResetError):
        await batch.attempt(Losing(connection))  # type: ignore[arg-type]
    later.add([("one", NOW), ("three", NOW)])
    assert await later.attempt(connection) == [[False, True]]
    for _ in range(2):
        assert await batch.attempt(connection) == [[True, False], [False, True]]


async def test_what_was_never_done_is_done(connection: Connection) -> None:
    """When the first statement has not arrived, the second one does it."""
    batch = _Batch()
    batch.add([("one", NOW)])
    batch.begun = True
    assert await batch.attempt(connection) == [[True]]


# ------------------------------------------------------------------ step by step, without a server


class Database:
    """In place of the database: no statement is under way before the test says so."""

    def __init__(self) -> None:
        self.begun: list[asyncio.Task[object]] = []
        self.swept: list[tuple[object, ...]] = []
        self.refused = 0
        self.going_on = asyncio.Event()

    def check_open(self) -> None:
        """Return: it is open."""

    def begin(
        self, _lane: str, attempt: Callable[[object], Awaitable[object]]
    ) -> "asyncio.Task[object]":
        """Begin a call."""

        async def run() -> object:
            await self.going_on.wait()
            return await attempt(self)

        self.begun.append(asyncio.ensure_future(run()))
        return self.begun[-1]

    def aside(self, *statement: object) -> None:
        """Note what nobody waits for."""
        self.swept.append(statement)

    def refuse(self) -> StorageUnavailable:
        """Count a call too many."""
        self.refused += 1
        return StorageUnavailable("too many")

    async def fetch(self, _statement: str, ids: list[bytes], *_: object) -> list[tuple[bytes]]:
        """Answer that nobody had them before."""
        await asyncio.sleep(0)
        return [(each,) for each in ids]


class Uses:
    """The uses of tokens over such a database."""

    def __init__(self) -> None:
        self.database = Database()
        stand_in: Any = self.database
        self._uses = PostgresTokenUses(stand_in)
        self._number = 0

    def redeem(self, number: int) -> "asyncio.Task[list[bool]]":
        """Use as many tokens that nobody has used."""
        self._number += 1
        tokens = [(f"{self._number} {each}", NOW) for each in range(number)]
        return asyncio.ensure_future(self._uses.redeem(tokens, NOW))


async def test_what_comes_meanwhile_goes_together() -> None:
    """Into the statement that has not begun, or else into the next one."""
    uses = Uses()
    calls = [uses.redeem(2), uses.redeem(1)]
    await asyncio.sleep(0)
    assert len(uses.database.begun) == 1
    uses.database.going_on.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    calls.append(uses.redeem(1))
    assert [await each for each in calls] == [[True, True], [True], [True]]
    assert len(uses.database.begun) == 2
    assert await uses.redeem(1) == [True]
    assert len(uses.database.begun) == 3


async def test_a_statement_that_fails_takes_no_more() -> None:
    """Who comes then has another one."""
    uses = Uses()
    failing = uses.redeem(1)
    await asyncio.sleep(0)
    uses.database.begun[0].cancel()
    await asyncio.wait([failing])
    uses.database.going_on.set()
    assert await uses.redeem(1) == [True]


@pytest.mark.parametrize(("sizes", "refused"), [((2, 3), 0), ((2, 4), 1), ((9,), 0), ((9, 1), 1)])
async def test_how_many_go_together(
    sizes: tuple[int, ...], refused: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many, and as many as one call has; who would be beyond is refused at once."""
    monkeypatch.setattr(token_uses, "BATCH_BOUND", 5)
    uses = Uses()
    calls = [uses.redeem(each) for each in sizes]
    await asyncio.sleep(0)
    assert (uses.database.refused, calls[-1].done()) == (refused, bool(refused))
    uses.database.going_on.set()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(each, StorageUnavailable) for each in outcomes[1:]] == [bool(refused)] * (
        len(sizes) - 1
    )


async def test_marks_are_swept_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many uses, twice as many at most: those of tokens that expired long ago."""
    monkeypatch.setattr(token_uses, "SWEEP_EVERY", 4)
    uses = Uses()
    uses.database.going_on.set()
    swept = []
    for number in (3, 2, 3, 1):
        await uses.redeem(number)
        swept.append([most for _, _, most in uses.database.swept])
    assert swept == [[], [10], [10], [10, 8]]
    assert {before for _, before, _ in uses.database.swept} == {NOW - rules.REDEEMED_KEPT_MS}


async def test_a_batch_takes_nothing_after_the_end() -> None:
    """Though its statement is not under way: what was accepted before is performed."""
    answers = asyncio.get_running_loop().create_future()
    database: Any = Mock(begin=Mock(return_value=answers))
    uses = PostgresTokenUses(database)
    accepted = asyncio.ensure_future(uses.redeem([("a", NOW)], NOW))
    await asyncio.sleep(0)
    database.check_open.side_effect = StorageUnavailable("closed")
    with pytest.raises(StorageUnavailable):
        await uses.redeem([("b", NOW)], NOW)
    answers.set_result([[True]])
    assert await accepted == [True]
