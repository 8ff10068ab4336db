"""A statement that uses up tokens, and is repeated because its answer was lost."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from greenroom.storage.postgres.session import Connection, Waits, connect
from greenroom.storage.postgres.store import PostgresStore
from greenroom.storage.postgres.token_uses import _Batch
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
