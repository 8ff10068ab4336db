"""Opens what a node keeps, and what connects it to others: the store and the bus.

In a takeover what there is is looked at before the running process lets go of it.
"""

import contextlib
from collections.abc import Callable

import msgspec

from greenroom.bus.base import Bus
from greenroom.bus.memory import MemoryBus
from greenroom.entrance.metrics_endpoint import StoreStatistics
from greenroom.entrance.takeover import Predecessor, check_kept
from greenroom.server.privacy import keep_private
from greenroom.settings.values import Settings
from greenroom.storage.base import Store
from greenroom.storage.memory.store import MemoryStore
from greenroom.storage.sqlite.store import SqliteStore
from greenroom.vault.vault import CHECK


class Kept(msgspec.Struct, frozen=True):
    """What is open; `statistics` tells what the store did, where it counts that."""

    store: Store
    bus: Bus
    statistics: Callable[[], StoreStatistics] | None = None


async def open_kept(
    settings: Settings, before: Predecessor | None, stack: contextlib.AsyncExitStack
) -> Kept:
    """Open store and bus; the stack closes them.

    Raises:
        StartRefused: one of them cannot be opened, or is not what the settings say.
    """
    directory, bus = settings.path("data_dir"), MemoryBus()
    if before is not None:
        check_kept(settings, await SqliteStore.look(directory, CHECK))
        await before.release()
    if settings.text("storage") == "memory":
        kept = Kept(MemoryStore(), bus)
    else:
        store = await SqliteStore.open(directory)
        keep_private(directory)
        kept = Kept(store, bus, lambda: store.statistics)
    stack.push_async_callback(kept.store.close)
    stack.push_async_callback(bus.close)
    return kept
