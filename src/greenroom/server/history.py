"""Who keeps what rooms have shown, and removes it: on a node that is alone, and in a cluster."""

import asyncio
from functools import partial

from greenroom.bus.memory import MemoryBus
from greenroom.chat.history_sweeper import HistorySweeper
from greenroom.chat.kept_history import KeptHistory
from greenroom.chat.kept_messages import CatchUp, KeptMessages
from greenroom.chatlog.streamed_history import StreamedHistory
from greenroom.server.adapters import Adapters


async def keep_history(opened: Adapters, tasks: asyncio.TaskGroup) -> KeptHistory | None:
    """Keep it on a node that is alone; None in a cluster, where the readers of streams do."""
    if not isinstance(opened.bus, MemoryBus):
        return None
    history = KeptHistory(opened.store.history)
    await history.start(tasks)
    opened.bus.keep_with(history, tasks)
    return history


def catching_up(opened: Adapters, history: KeptHistory | None) -> CatchUp:
    """Return what waits until all that was shown is in the store."""
    if history is not None:
        return history.catch_up
    shared = opened.shared
    assert shared is not None  # noqa: S101 - a node alone keeps it itself
    streamed = StreamedHistory(shared.streams, shared.journal, opened.store.history)
    shared.keep_with(streamed.older)
    return streamed.catch_up


def kept_messages(opened: Adapters, history: KeptHistory | None) -> KeptMessages:
    """Return what reads the messages that rooms keep."""
    return KeptMessages(opened.store.history, catching_up(opened, history), opened.clock)


def sweeper(opened: Adapters, tasks: asyncio.TaskGroup) -> HistorySweeper:
    """Return what removes history that is over; of several nodes one does it."""
    store, shared = opened.store, opened.shared
    if shared is None:
        return HistorySweeper(store.history, store.rooms, opened.clock, tasks)
    turn = partial(shared.journal.lease, "history")
    return HistorySweeper(store.history, store.rooms, opened.clock, tasks, turn)
