"""Connections are lent one at a time, kept while they are good, and given up when they are not."""

import asyncio
from typing import cast

import asyncpg
import pytest

from greenroom.storage.postgres import pool
from greenroom.storage.postgres.pool import IDLE_SECONDS, Pool
from greenroom.storage.postgres.session import Connection


class Stand:
    """A connection that does as it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.in_transaction = False
        self.closed = False
        self.fails = False

    def is_closed(self) -> bool:
        return self.closed

    def is_in_transaction(self) -> bool:
        return self.in_transaction

    async def execute(self, statement: str) -> None:
        self.said.append(statement)
        self.in_transaction = False
        if self.fails:
            raise ConnectionResetError

    async def close(self, **_: float) -> None:
        self.said.append("close")
        if self.fails:
            raise TimeoutError

    def terminate(self) -> None:
        self.said.append("terminate")
        self.closed = True


class Made:
    """Makes connections, and keeps them in order."""

    def __init__(self, size: int = 2) -> None:
        self.stands: list[Stand] = []
        self.pool = Pool(self.connect, size)

    async def connect(self) -> Connection:
        self.stands.append(Stand())
        return cast(Connection, self.stands[-1])

    async def use(self, error: BaseException | None = None, *, begin: bool = False) -> Stand:
        """Use a connection; raise the error while it is lent."""
        async with self.pool.connection(1) as connection:
            stand = cast(Stand, connection)
            stand.in_transaction = begin
            if error is not None:
                raise error
        return stand


@pytest.fixture
def made() -> Made:
    """Give a pool of two connections."""
    return Made()


async def test_the_one_used_last_is_used_next(made: Made) -> None:
    """One connection is enough for calls that come one after the other."""
    assert await made.use() is await made.use()
    async with made.pool.connection(1) as one, made.pool.connection(1) as other:
        assert one is not other
    assert await made.use() is made.stands[0]
    assert len(made.stands) == 2


async def test_who_comes_late_waits(made: Made) -> None:
    """More than are allowed are not made; who waits too long is told, and the others go on."""
    async with made.pool.connection(1), made.pool.connection(1):
        with pytest.raises(TimeoutError):
            async with made.pool.connection(0.01):
                pass
        waiting = asyncio.ensure_future(made.use())
        await asyncio.sleep(0)
    assert await waiting in made.stands
    assert len(made.stands) == 2


async def test_what_failed_is_given_up_with_the_idle_ones(made: Made) -> None:
    """A connection that was lost says that the others lead nowhere as well."""
    async with made.pool.connection(1):
        await made.use()
    with pytest.raises(ConnectionResetError):
        await made.use(ConnectionResetError(), begin=True)
    assert [stand.closed for stand in made.stands] == [True, True]
    assert await made.use() is made.stands[2]
    assert [stand.said for stand in made.stands] == [["terminate"], ["terminate"], []]


@pytest.mark.parametrize("error", [asyncpg.SerializationError(), LookupError()])
async def test_a_transaction_that_failed_is_rolled_back(made: Made, error: Exception) -> None:
    """The connection is as good as before."""
    with pytest.raises(type(error)):
        await made.use(error, begin=True)
    (stand,) = made.stands
    assert stand.said == ["ROLLBACK"]
    with pytest.raises(type(error)):
        await made.use(error)
    assert stand.said == ["ROLLBACK"]
    assert await made.use() is stand


async def test_one_that_cannot_be_rolled_back_is_given_up(made: Made) -> None:
    """Nobody gets a connection with a transaction of another call."""
    async with made.pool.connection(1):
        made.stands[0].fails = True
    with pytest.raises(LookupError):
        await made.use(LookupError(), begin=True)
    assert made.stands[0].said == ["ROLLBACK", "terminate"]
    assert await made.use() is made.stands[1]


async def test_one_whose_user_was_cancelled_is_given_up(made: Made) -> None:
    """What a statement was doing when it was broken off nobody knows."""
    with pytest.raises(asyncio.CancelledError):
        await made.use(asyncio.CancelledError())
    assert made.stands[0].closed
    await made.use()
    async with made.pool.connection(1), made.pool.connection(1):
        pass


async def test_one_that_was_not_used_for_long_is_made_anew(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall may have forgotten it; so is one that the server has closed."""
    now = 1_000.0
    monkeypatch.setattr(pool, "_now", lambda: now)
    first = await made.use()
    now += IDLE_SECONDS - 1
    assert await made.use() is first
    now += IDLE_SECONDS
    second = await made.use()
    assert second is not first
    assert first.closed
    second.closed = True
    assert await made.use() is made.stands[2]


async def test_the_end(made: Made) -> None:
    """Connections are closed with a word, or without one where that fails."""
    async with made.pool.connection(1), made.pool.connection(1):
        made.stands[1].fails = True
    await made.pool.close()
    assert sorted(stand.said for stand in made.stands) == [["close"], ["close", "terminate"]]
