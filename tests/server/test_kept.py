"""What a node keeps, and what connects it to others."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import asyncpg
import pytest

from greenroom.bus.memory import MemoryBus
from greenroom.clock import Clock
from greenroom.server import cluster, kept
from greenroom.settings.load import load
from greenroom.settings.values import SettingsRefused
from greenroom.storage.base import (
    StorageUnavailable,
    StoreRefused,
    StoreUnreachable,
    StoreUnwritable,
)
from greenroom.storage.memory.store import MemoryStore
from greenroom.storage.sqlite.store import SqliteStore
from greenroom.vault.vault import CHECK, SecretsKeyRefused


@pytest.mark.parametrize("storage", ["memory", "sqlite"])
async def test_the_store(storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept is its owner's alone; at the end all is closed."""
    keeping, closing = mock.Mock(), mock.AsyncMock()
    monkeypatch.setattr(MemoryBus, "close", closing)
    monkeypatch.setattr(kept, "keep_private", keeping)
    settings = load({"storage": storage, "data_dir": str(tmp_path)}, {}, None)
    async with contextlib.AsyncExitStack() as stack:
        opened = await kept.open_kept(settings, None, Clock(), stack)
        assert isinstance(opened.store, MemoryStore if storage == "memory" else SqliteStore)
        assert isinstance(opened.bus, MemoryBus)
        assert (opened.statistics is None) is (storage == "memory")
        assert not closing.called
    assert closing.await_count == 1
    with pytest.raises(StorageUnavailable):
        await opened.store.secrets.get("any")
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


class Servers:
    """What a node of a cluster opens, in place of servers; what is done is written down."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.store, self.bus = mock.Mock(), mock.Mock()
        self.store.close = mock.AsyncMock(side_effect=lambda: self.done.append("store closed"))
        self.bus.close = mock.AsyncMock(side_effect=lambda: self.done.append("bus closed"))
        self.store.secrets.get = mock.AsyncMock(return_value=b"kept")
        self.before = mock.Mock()
        self.before.release = mock.AsyncMock(side_effect=lambda: self.done.append("released"))
        monkeypatch.setattr(cluster, "open_store", mock.AsyncMock(return_value=self.store))
        monkeypatch.setattr(cluster, "open_bus", mock.AsyncMock(return_value=self.bus))
        monkeypatch.setattr(cluster, "node_directory", self._hold)
        monkeypatch.setattr(kept, "check_given", lambda _: self.done.append("key given"))
        monkeypatch.setattr(kept, "check_installed", lambda: self.done.append("installed"))
        monkeypatch.setattr(kept, "check_kept", lambda _, key: self.done.append(f"key {key}"))

    @contextlib.contextmanager
    def _hold(self, directory: Path) -> Iterator[None]:
        self.done.append(f"held {directory.name}")
        yield
        self.done.append("let go")


@pytest.mark.parametrize("lets_go", [False, True])
@pytest.mark.parametrize("taking_over", [False, True])
@pytest.mark.parametrize("alone", [None, False])
async def test_what_nodes_share(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    alone: bool | None,
    taking_over: bool,
    lets_go: bool,
) -> None:
    """It is open before another process lets go; the directory is held by who is alone.

    Until it lets go in turn, or to the end.
    """
    servers = Servers(monkeypatch)
    settings = load({"data_dir": str(tmp_path / "data")}, SHARED, None)
    before = servers.before if taking_over else None
    further = {} if alone is None else {"alone": alone}
    async with contextlib.AsyncExitStack() as stack:
        opened = await kept.open_kept(settings, before, Clock(), stack, **further)
        checked = ["key given", "installed", *["key b'kept'", "released"] * taking_over]
        held = ["held data"] if alone is None else []
        assert servers.done == checked + held
        assert (opened.store, opened.bus) == (servers.store, servers.bus)
        assert opened.shared is not None
        assert opened.shared.journal is servers.store.journal
        assert opened.statistics is not None
        assert opened.statistics() is servers.store.statistics
        let_go = ["let go"] if held else []
        if lets_go:
            opened.let_go()
            assert servers.done[len(checked + held) :] == let_go
    assert servers.done[len(checked + held) :] == [*let_go, "bus closed", "store closed"]


async def test_a_file_is_looked_at_before_another_process_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key must fit; then it lets go, and only then the file is opened."""
    servers = Servers(monkeypatch)
    look = mock.AsyncMock(return_value=b"there")
    store = SqliteStore.open
    monkeypatch.setattr(SqliteStore, "look", look)

    async def opened(directory: Path) -> SqliteStore:
        servers.done.append("opened")
        return await store(directory)

    monkeypatch.setattr(SqliteStore, "open", opened)
    settings = load({"data_dir": str(tmp_path)}, {}, None)
    async with contextlib.AsyncExitStack() as stack:
        found = await kept.open_kept(settings, servers.before, Clock(), stack)
        assert servers.done == ["key b'there'", "released", "opened"]
        assert found.statistics is not None
        assert found.statistics() == found.store.statistics  # type: ignore[attr-defined]
    look.assert_awaited_once_with(tmp_path, CHECK)


@pytest.mark.parametrize("missing", ["asyncpg", "nats"])
def test_packages_that_are_missing(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """They are named as they are installed."""
    monkeypatch.setattr(kept, "find_spec", lambda name: None if name == missing else name)
    name = {"asyncpg": "asyncpg", "nats": "nats-py"}[missing]
    with pytest.raises(SettingsRefused, match=rf"needs {name}: install greenroom\[cluster\]"):
        kept.check_installed()
