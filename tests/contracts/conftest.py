"""The adapters that each contract suite runs on."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from greenroom.bus.base import Bus
from greenroom.bus.memory import MemoryBus
from greenroom.storage.base import Store
from greenroom.storage.memory.store import MemoryStore
from greenroom.storage.postgres.database import Bounds, Database
from greenroom.storage.postgres.session import Connection
from greenroom.storage.postgres.store import PostgresStore
from scripts.servers.postgresql import PostgreSQL
from tests.contracts.identities.waiting import WaitingStore
from tests.contracts.shared import SharedMemoryStore, SharedPostgresStore, SharedStore
from tests.running.buses import SERVERS, nats_buses
from tests.running.servers import fresh_database
from tests.stand_ins.hasty_store import hasty_store

SHARED = ["postgresql", "postgresql-15"]
"""The databases that several nodes share: the newest PostgreSQL, and the oldest supported one."""


@pytest.fixture(params=["memory", "sqlite", *SHARED])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Give a new store of each kind."""
    opened = await open_store(request.param, tmp_path, request)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", *SHARED])
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[SharedStore]:
    """Give a new store of each kind that nodes share."""
    opened: SharedStore
    if request.param == "memory":
        opened = SharedMemoryStore()
    else:
        url: str = request.getfixturevalue(request.param.replace("-", "_"))
        opened = await _opened(SharedPostgresStore, url)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", *SERVERS])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """Give a bus of each kind, not started."""
    if request.param == "memory":
        made = MemoryBus()
        yield made
        await made.close()
        return
    async with nats_buses(request, request.param, 1) as (opened,):
        yield opened


async def open_store(kind: str, directory: Path, request: pytest.FixtureRequest) -> Store:
    """Open a new store of a kind; "waiting" is an asynchronous database for identities."""
    if kind == "sqlite":
        return await hasty_store(directory)
    if kind in SHARED:
        url: str = request.getfixturevalue(kind.replace("-", "_"))
        return await _opened(PostgresStore, url)
    return MemoryStore() if kind == "memory" else WaitingStore()


@pytest.fixture(scope="session")
def postgresql(postgresql_newest: PostgreSQL) -> Iterator[str]:
    """Give the URL of a database of the newest PostgreSQL, for all tests of the contracts."""
    with fresh_database(postgresql_newest) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_15(postgresql_oldest: PostgreSQL) -> Iterator[str]:
    """Give the same of the oldest one."""
    with fresh_database(postgresql_oldest) as url:
        yield url


Kind = TypeVar("Kind", bound=PostgresStore)


async def _opened(kind: type[Kind], url: str) -> Kind:
    """Open the database of all tests, emptied: a new one for each would take long."""
    store = await kind.open(url) if url not in _built else kind(Database(url, None, Bounds()))
    _built.add(url)
    await store._database.read(_empty)
    return store


_built: set[str] = set()
"""The databases that have their schema."""


async def _empty(connection: Connection) -> None:
    # What refers to a table was made after it.
    tables = await connection.fetch(
        "SELECT format('DELETE FROM %I', relname) FROM pg_class WHERE relkind = 'r'"
        " AND relnamespace = 'greenroom'::regnamespace AND relname <> 'schema_steps'"
        " ORDER BY oid DESC"
    )
    await connection.execute("; ".join(delete for (delete,) in tables))
