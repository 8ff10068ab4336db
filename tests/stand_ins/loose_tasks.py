"""Tasks without a group around them, for tests that await what they start."""

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


class LooseTasks(asyncio.TaskGroup):
    """A task group that need not be entered, and waits for nothing."""

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        return asyncio.get_running_loop().create_task(coro, name=name, context=context)
