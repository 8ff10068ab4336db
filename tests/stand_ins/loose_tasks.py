"""Tasks without a group around them, for tests that await what they start."""

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")

FAILED: list[BaseException] = []
"""What tasks of this test have raised: it would have ended the node, and so the test fails."""


class LooseTasks(asyncio.TaskGroup):
    """A task group that need not be entered, and waits for nothing."""

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(coro, name=name, context=context)
        task.add_done_callback(_note)
        return task


def _note(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        FAILED.append(error)
