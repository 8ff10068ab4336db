"""Opens what a node keeps, and what connects it to others: the store and the bus.

In a takeover what there is is looked at before the running process lets go of it.
"""

import contextlib
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path

import msgspec

from greenroom.bus.base import Bus, Older
from greenroom.bus.figures import StreamsFound
from greenroom.bus.memory import MemoryBus
from greenroom.bus.streams import Streams
from greenroom.chat.presence import Behind
from greenroom.clock import Clock
from greenroom.entrance.metrics_endpoint import StoreStatistics
from greenroom.entrance.takeover import Before, check_kept
from greenroom.server.privacy import keep_private
from greenroom.settings.values import Settings, SettingsRefused
from greenroom.storage.base import StorageUnavailable, Store, StoreRefused, StoreUnwritable
from greenroom.storage.journal import SharedJournal
from greenroom.storage.memory.store import MemoryStore
from greenroom.vault.vault import CHECK, check_given

KeepWith = Callable[[Callable[[str], Awaitable[Older]]], None]
"""Tells the bus who gives what is kept of rooms for longer than streams have it."""


class Shared(msgspec.Struct, frozen=True):
    """What only a node of a cluster has; `behind` is told where others have seen more of a room."""

    streams: Streams
    journal: SharedJournal
    behind: Behind
    look_at_streams: Callable[[], Awaitable[StreamsFound | None]]
    """Returns how the streams are; None where nobody can be asked."""
    keep_with: KeepWith = lambda _: None


class Kept(msgspec.Struct, frozen=True):
    """What is open; `statistics` tells what the store did, where it counts that."""

    store: Store
    bus: Bus
    statistics: Callable[[], StoreStatistics] | None = None
    shared: Shared | None = None
    let_go: Callable[[], None] = lambda: None
    """Lets another process have the data directory; the store is closed before."""


async def open_kept(
    settings: Settings,
    before: Before | None,
    clock: Clock,
    stack: contextlib.AsyncExitStack,
    *,
    alone: bool = True,
) -> Kept:
    """Open store and bus; the stack closes them.

    Who is not `alone` is one of several processes that have one data directory, which another one
    holds for them.

    Raises:
        StartRefused: one of them cannot be opened, or is not what the settings say.
    """
    if settings.database is None:
        return await _open_own(settings, before, stack)
    return await _open_shared(settings, before, clock, stack, alone=alone)


async def _open_own(
    settings: Settings, before: Before | None, stack: contextlib.AsyncExitStack
) -> Kept:
    bus = MemoryBus()
    if settings.text("storage") == "memory":
        # Nobody takes memory over.
        kept = Kept(MemoryStore(), bus)
    else:
        kept = await _open_file(settings.path("data_dir"), settings, before, bus)
    stack.push_async_callback(kept.store.close)
    stack.push_async_callback(bus.close)
    return kept


async def _open_file(directory: Path, settings: Settings, before: Before | None, bus: Bus) -> Kept:
    # Who keeps nothing starts without it.
    from greenroom.storage.sqlite.store import SqliteStore

    if before is not None:
        check_kept(settings, await SqliteStore.look(directory, CHECK))
        await before.release()
    store = await SqliteStore.open(directory)
    keep_private(directory)
    return Kept(store, bus, lambda: store.statistics)


async def _open_shared(
    settings: Settings,
    before: Before | None,
    clock: Clock,
    stack: contextlib.AsyncExitStack,
    *,
    alone: bool,
) -> Kept:
    """Open what nodes share before another process lets go: it is in nobody's way."""
    check_given(settings)
    check_installed()
    # What it imports is an extra, and a node alone starts without it.
    from greenroom.server import cluster

    store = await cluster.open_store(settings, clock)
    stack.push_async_callback(store.close)
    bus = await cluster.open_bus(settings, clock)
    stack.push_async_callback(bus.close)
    if before is not None:
        check_kept(settings, await store.secrets.get(CHECK))
        await before.release()
    held = contextlib.ExitStack()
    stack.callback(held.close)
    if alone:
        held.enter_context(cluster.node_directory(settings.path("data_dir")))
    shared = Shared(
        bus.streams, store.journal, bus.seen_elsewhere, bus.look_at_streams, bus.keep_with
    )
    return Kept(store, bus, lambda: store.statistics, shared, held.close)


def not_kept(settings: Settings, error: StorageUnavailable) -> StoreRefused:
    """Return why a start ends that could not keep what must be: a key, the identities file."""
    cause: BaseException = error
    while isinstance(cause, StorageUnavailable) and cause.__cause__ is not None:
        cause = cause.__cause__
    if settings.database is None:
        return StoreUnwritable(f"the store cannot be written: {cause}")
    # As in `_open_shared`.
    from greenroom.storage.postgres import opening

    return opening.refused(cause, opening.name_of(settings.database))


def check_installed() -> None:
    """See that the packages of a cluster are here.

    Raises:
        SettingsRefused: they are not.
    """
    for name, package in (("asyncpg", "asyncpg"), ("nats", "nats-py")):
        if find_spec(name) is None:
            raise SettingsRefused(f"a cluster needs {package}: install greenroom[cluster]")
