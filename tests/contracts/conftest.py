"""The adapters that each contract suite runs on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenroom.storage.base import Store
from greenroom.storage.memory.store import MemoryStore
from tests.contracts.identities.waiting import WaitingStore
from tests.contracts.shared import SharedMemoryStore, SharedStore
from tests.stand_ins.hasty_store import hasty_store


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Give a new store of each kind."""
    opened = await open_store(request.param, tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
async def shared() -> AsyncIterator[SharedStore]:
    """Give a new store of each kind that nodes share."""
    opened = SharedMemoryStore()
    yield opened
    await opened.close()


async def open_store(kind: str, directory: Path) -> Store:
    """Open a new store of a kind; "waiting" is an asynchronous database for identities."""
    if kind == "sqlite":
        return await hasty_store(directory)
    return MemoryStore() if kind == "memory" else WaitingStore()
