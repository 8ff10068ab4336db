"""The adapters that each contract suite runs on."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from greenroom.storage import sqlite_file
from greenroom.storage.base import Store
from greenroom.storage.memory import MemoryStore
from greenroom.storage.sqlite import SqliteStore
from greenroom.storage.sqlite_worker import SqliteWorker


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Give a new store of each kind."""
    opened: Store = MemoryStore() if request.param == "memory" else await hasty_store(tmp_path)
    yield opened
    await opened.close()


async def hasty_store(directory: Path) -> SqliteStore:
    """Open a store that does not wait for the disk, which no test here can tell."""
    reading = partial(sqlite_file.reading, directory)
    return SqliteStore(await SqliteWorker.start(partial(_hasty, directory), reading))


@contextmanager
def _hasty(directory: Path) -> Iterator[sqlite3.Connection]:
    with sqlite_file.opened(directory) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection
