"""Nodes that share one database."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from greenroom.storage.postgres.database import Bounds
from greenroom.storage.postgres.store import PostgresStore
from scripts.servers.postgresql import PostgreSQL
from tests.running.servers import END_SESSIONS

Open = Callable[[], Awaitable[PostgresStore]]


@pytest.fixture
async def a_node(database: str) -> AsyncIterator[Open]:
    """Return a function that opens the store of one more node."""
    opened: list[PostgresStore] = []

    async def open_one() -> PostgresStore:
        opened.append(await PostgresStore.open(database))
        return opened[-1]

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
async def nodes(a_node: Open) -> list[PostgresStore]:
    """Give the stores of four nodes."""
    return [await a_node() for _ in range(4)]


def impatient(calls: int = 10_000) -> Bounds:
    """Return bounds by which a call waits a moment only."""
    return Bounds(calls=calls, seconds=0.3)


def end_sessions(server: PostgreSQL, database: str) -> None:
    """End all connections to a database."""
    server.sql(END_SESSIONS, database)
