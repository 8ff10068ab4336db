"""What a node keeps, and what connects it to others."""

import contextlib
from pathlib import Path
from unittest import mock

import asyncpg
import pytest

from greenroom.bus.memory import MemoryBus
from greenroom.clock import Clock
from greenroom.server import cluster, kept
from greenroom.settings.load import load
from greenroom.storage.base import (
    StorageUnavailable,
    StoreRefused,
    StoreUnreachable,
    StoreUnwritable,
)
from greenroom.storage.memory.store import MemoryStore
from greenroom.storage.sqlite.store import SqliteStore
from greenroom.vault.vault import SecretsKeyRefused


@pytest.mark.parametrize("storage", ["memory", "sqlite"])
async def test_the_store(storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is its owner's alone."""
    keeping = mock.Mock()
    monkeypatch.setattr(kept, "keep_private", keeping)
    settings = load({"storage": storage, "data_dir": str(tmp_path)}, {}, None)
    async with contextlib.AsyncExitStack() as stack:
        opened = await kept.open_kept(settings, None, Clock(), stack)
        assert isinstance(opened.store, MemoryStore if storage == "memory" else SqliteStore)
        assert isinstance(opened.bus, MemoryBus)
        assert (opened.statistics is None) is (storage == "memory")
    assert keeping.mock_calls == ([] if storage == "memory" else [mock.call(tmp_path)])


async def test_a_cluster_without_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before anything is asked of a server, or of the process that runs."""
    monkeypatch.setattr(cluster, "open_store", mock.AsyncMock(side_effect=AssertionError))
    shared = {"storage": "postgresql://greenroom@db/greenroom", "bus": "nats://nats"}
    settings = load({**shared, "data_dir": str(tmp_path)}, {}, None)
    before = mock.Mock()
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(SecretsKeyRefused, match="a cluster needs secrets_key"):
            await kept.open_kept(settings, before, Clock(), stack)
    before.release.assert_not_called()


SHARED = {
    "GREENROOM_STORAGE": "postgresql://greenroom:secret@db/rooms",
    "GREENROOM_BUS": "nats://nats",
}


@pytest.mark.parametrize(
    ("given", "cause", "kind", "says"),
    [
        ({}, OSError("disk I/O error"), StoreUnwritable, "the store cannot be written: disk I/O"),
        (SHARED, ConnectionError("gone"), StoreUnreachable, "db, database rooms cannot be used"),
        (SHARED, TimeoutError(), StoreUnreachable, "db, database rooms does not answer"),
        (
            SHARED,
            asyncpg.DiskFullError("no space"),
            StoreUnwritable,
            "db, database rooms: no space",
        ),
    ],
)
def test_what_a_start_could_not_keep(
    given: dict[str, str], cause: Exception, kind: type[StoreRefused], says: str
) -> None:
    """A server that goes away during a start is away; who starts nodes may try again."""
    lost = StorageUnavailable("The store cannot answer now")
    lost.__cause__ = StorageUnavailable("The store cannot answer now")
    lost.__cause__.__cause__ = cause
    refused = kept.not_kept(load({}, given, None), lost)
    assert type(refused) is kind
    assert says in str(refused)
    assert "secret" not in str(refused)
