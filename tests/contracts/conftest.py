"""The adapters that each contract suite runs on."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from greenroom.storage.base import Store
from greenroom.storage.memory.store import MemoryStore
from greenroom.storage.sqlite.database_file import DatabaseFile
from greenroom.storage.sqlite.store import SqliteStore
from greenroom.storage.sqlite.worker import SqliteWorker
from tests.contracts.identities.waiting import WaitingStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Give a new store of each kind."""
    opened = await open_store(request.param, tmp_path)
    yield opened
    await opened.close()


async def open_store(kind: str, directory: Path) -> Store:
    """Open a new store of a kind; "waiting" is an asynchronous database for identities."""
    if kind == "sqlite":
        return await hasty_store(directory)
    return MemoryStore() if kind == "memory" else WaitingStore()


async def hasty_store(directory: Path) -> SqliteStore:
    """Open a store that does not wait for the disk, which no test here can tell."""
    file = DatabaseFile(directory)
    return SqliteStore(await SqliteWorker.start(partial(_hasty, file), file.reading))


@contextmanager
def _hasty(file: DatabaseFile) -> Iterator[sqlite3.Connection]:
    with file.writing() as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection
