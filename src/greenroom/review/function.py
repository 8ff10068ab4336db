"""A Python callable as a review handler: `module:function`, for development and for embedding.

- It is loaded once, at the start. It gets the event as a dict, and a context if it takes two
  arguments, as Lambda's handlers do; it returns the answer as a dict.
- A coroutine function runs on the event loop: it must not block. Any other function runs in one of
  `THREADS` threads; when all are busy the handler counts as one that cannot be invoked. A function
  that outlives the time limit keeps its thread until it returns.
- What it prints or raises is its own: the log has an exception's type and place, not its text.
"""

import asyncio
import contextlib
import importlib
import inspect
import json
import queue
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from greenroom.review.target import Failure, InvocationFailed

THREADS = 16
"""Functions that run at a time."""

LAMBDA_SECONDS = 900.0
"""How long Lambda lets a function run: what a context says where reviews have no limit."""

Handler = Callable[..., object]

log = structlog.get_logger()


class FunctionMissing(Exception):
    """There is no such function; the text says what is missing."""


class Context:
    """What Lambda gives a handler beside the event, as far as there is such a thing here.

    Source: AWS Lambda Developer Guide, "Using the Lambda context object to retrieve Python function
    information".
    """

    function_version = "$LATEST"
    memory_limit_in_mb = "128"
    identity = None
    client_context = None

    def __init__(self, uri: str, seconds: float | None) -> None:
        self.invoked_function_arn = uri
        self.function_name = uri.split(":")[6] if uri.count(":") >= 6 else uri
        self.aws_request_id = str(uuid.uuid4())
        self.log_group_name = f"/aws/lambda/{self.function_name}"
        self.log_stream_name = "greenroom"
        self._ends = time.monotonic() + (LAMBDA_SECONDS if seconds is None else seconds)

    def get_remaining_time_in_millis(self) -> int:
        """Return how long an answer is still waited for."""
        return max(0, round((self._ends - time.monotonic()) * 1000))


class FunctionTarget:
    """Calls one function, whatever the ARN."""

    def __init__(self, name: str, seconds: float | None = None) -> None:
        """Load `module:function`; modules in the working directory are found, too.

        `seconds` is how long its answer is waited for.

        Raises:
            FunctionMissing: it cannot be loaded, or not be called with an event.
        """
        self._handler = _loaded(name)
        self._wants_context = _wants_context(name, self._handler)
        self._seconds = seconds
        called = getattr(self._handler, "__call__", None)  # noqa: B004 - of an object with one
        self._is_async = inspect.iscoroutinefunction(self._handler) or (
            inspect.iscoroutinefunction(called)
        )
        self._threads = _Threads(THREADS)

    async def prepare(self, uri: str) -> None:
        pass

    async def invoke(self, uri: str, event: bytes) -> bytes:
        arguments: tuple[object, ...] = (json.loads(event),)
        if self._wants_context:
            arguments = (*arguments, Context(uri, self._seconds))
        try:
            if self._is_async:
                answer = await self._awaited(arguments)
            else:
                answer = await self._threads.run(lambda: self._handler(*arguments))
            return json.dumps(answer).encode()
        except InvocationFailed:
            raise
        except (Exception, SystemExit) as error:
            log.debug("review function raised", exc_info=True)
            raise InvocationFailed(Failure.HANDLER_ERROR, type(error).__name__) from None

    async def problem(self, uri: str) -> str | None:
        return None

    async def close(self) -> None:
        self._threads.close()

    async def _awaited(self, arguments: tuple[object, ...]) -> object:
        try:
            answer = self._handler(*arguments)
            return await answer if isinstance(answer, Awaitable) else answer
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # The function's own: it would end the caller, who was not given up.
            raise InvocationFailed(Failure.HANDLER_ERROR, "CancelledError") from None


def _loaded(name: str) -> Handler:
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        # Last: nothing here hides a module that is installed.
        sys.path.append(here)
    try:
        found: object = importlib.import_module(module_name)
        for part in function_name.split("."):
            found = getattr(found, part)
    except AttributeError:
        raise FunctionMissing(f"{module_name} has no {function_name}") from None
    except Exception as error:  # noqa: BLE001 - whatever a module raises when it is loaded
        raise FunctionMissing(f"{module_name} cannot be imported: {error}") from None
    if not callable(found):
        raise FunctionMissing(f"{name} cannot be called")
    return found


def _wants_context(name: str, handler: Handler) -> bool:
    """Return whether a function takes an event and a context, and not an event alone."""
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):  # of a function of C that does not tell
        return False
    for count in (1, 2):
        with contextlib.suppress(TypeError):
            signature.bind(*range(count))
            return count == 2
    raise FunctionMissing(
        f"{name}{signature} cannot be called with an event, nor with an event and a context"
    )


Call = Callable[[], object]
Settle = Callable[[object, InvocationFailed | None], None]


class _Threads:
    """Threads that are started when needed, and never kept waited for at the process's end."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._calls: queue.SimpleQueue[tuple[Call, Settle] | None] = queue.SimpleQueue()
        self._started = 0
        self._busy = 0

    async def run(self, call: Call) -> object:
        """Call in a thread; return what the call does.

        Raises:
            InvocationFailed: all threads are busy, or the call raises anything.
        """
        if self._busy >= self._maximum:
            raise InvocationFailed(Failure.TOO_MANY_WAITING, "every thread is busy")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[object] = loop.create_future()

        def settle(answer: object, error: InvocationFailed | None) -> None:
            self._busy -= 1
            if future.done():
                return
            if error is None:
                future.set_result(answer)
            else:
                future.set_exception(error)

        def settle_on_loop(answer: object, error: InvocationFailed | None) -> None:
            loop.call_soon_threadsafe(settle, answer, error)

        self._busy += 1
        if self._started < self._busy:
            self._started += 1
            threading.Thread(target=self._work, name="review", daemon=True).start()
        self._calls.put((call, settle_on_loop))
        return await future

    def close(self) -> None:
        """End the threads: a busy one when its function returns, if it does."""
        for _ in range(self._started):
            self._calls.put(None)

    def _work(self) -> None:
        while (work := self._calls.get()) is not None:
            call, settle = work
            answer: object = None
            error: InvocationFailed | None = None
            try:
                answer = call()
            except BaseException as raised:
                # Also sys.exit() and StopIteration, which no future takes.
                error = InvocationFailed(Failure.HANDLER_ERROR, type(raised).__name__)
                log.debug("review function raised", exc_info=True)
            try:
                settle(answer, error)
            except RuntimeError:
                return  # the loop is closed: nobody waits
