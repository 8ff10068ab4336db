"""The adapters that each contract suite runs on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenroom.storage.base import Store
from greenroom.storage.memory import MemoryStore
from greenroom.storage.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Give a new store of each kind."""
    opened: Store = MemoryStore() if request.param == "memory" else await hasty_store(tmp_path)
    yield opened
    await opened.close()


async def hasty_store(directory: Path) -> SqliteStore:
    """Open a store that does not wait for the disk, which no test here can tell."""
    store = await SqliteStore.open(directory)
    await store._worker.read(
        lambda connection: connection.execute("PRAGMA synchronous = OFF").close()
    )
    return store
