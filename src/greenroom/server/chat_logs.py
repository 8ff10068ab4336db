"""Starts chat logging: on a node that is alone, and in a cluster."""

import asyncio
import random
from functools import partial

from greenroom.chat.presence import Presence
from greenroom.chatlog.log import JournaledChatLog
from greenroom.chatlog.streamed import Shared as SharedByAll
from greenroom.chatlog.streamed import StreamedChatLog
from greenroom.control.ivschat.logging_configurations import finish_interrupted
from greenroom.server import limits
from greenroom.server.adapters import Adapters
from greenroom.server.held import Held
from greenroom.server.kept import Shared

ABANDONED_SECONDS = 60
"""After this time an operation on a logging configuration is another node's, which died in it."""


async def start(
    opened: Adapters, tasks: asyncio.TaskGroup, presence: Presence | None, held: Held
) -> JournaledChatLog | StreamedChatLog:
    """Begin where the last one ended; changes that were cut short are finished."""
    if opened.shared is None or presence is None:
        return await _start_journaled(opened, tasks)
    return await _start_streamed(opened, opened.shared, tasks, presence, held)


async def _start_journaled(opened: Adapters, tasks: asyncio.TaskGroup) -> JournaledChatLog:
    chat_log = JournaledChatLog(
        opened.store,
        opened.destinations.destination_for,
        tasks,
        clock=opened.clock,
        random=random.random,
        bounds=limits.journal_bounds(opened.settings),
        metrics=opened.metrics,
    )
    await chat_log.start()
    await finish_interrupted(opened.store.logging_configurations, chat_log, opened.clock)
    return chat_log


async def _start_streamed(
    opened: Adapters, shared: Shared, tasks: asyncio.TaskGroup, presence: Presence, held: Held
) -> StreamedChatLog:
    configurations = opened.store.logging_configurations
    chat_log = StreamedChatLog(
        SharedByAll(
            journal=shared.journal,
            configurations=configurations,
            streams=shared.streams,
            control=opened.bus,
            nodes=lambda: presence.nodes,
            held=held.shared,
        ),
        opened.destinations.destination_for,
        tasks,
        clock=opened.clock,
        random=random.random,
        bounds=limits.journal_bounds(opened.settings),
        metrics=opened.metrics,
    )
    finish = partial(finish_interrupted, configurations, chat_log, opened.clock)
    await chat_log.start(partial(finish, ABANDONED_SECONDS))
    return chat_log
