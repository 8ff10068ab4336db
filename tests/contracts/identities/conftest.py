"""The databases that identities are kept in: with rules run at once, and with rules that wait."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greenroom.storage.base import Store
from tests.contracts.conftest import SHARED, open_store


@pytest.fixture(params=["memory", "sqlite", "waiting", *SHARED])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Give a new store of each kind, and one whose rules have to wait for their tables."""
    opened = await open_store(request.param, tmp_path, request)
    yield opened
    await opened.close()
