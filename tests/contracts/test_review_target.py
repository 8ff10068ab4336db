"""What every target of message review guarantees.

Covers: greenroom.review.target
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from types import ModuleType
from typing import Any

import msgspec
import pytest
from aiohttp import web

from greenroom.aws_access.clients import AwsAccess, Service
from greenroom.clock import Clock
from greenroom.review.answers import ANSWER_BYTES
from greenroom.review.aws_lambda import LambdaTarget
from greenroom.review.function import FunctionTarget
from greenroom.review.http import HttpTarget
from greenroom.review.target import InvocationFailed, ReviewTarget
from greenroom.settings.load import load
from tests.stand_ins.lambda_endpoint import ENVIRONMENT, arn

LOOPBACK = load({"review_http_allowed_networks": "127.0.0.0/8"}, {}, None).networks(
    "review_http_allowed_networks"
)


class Stage(msgspec.Struct):
    """A target, and what its handler does: an answer, an exception, or waiting for the gate."""

    behave: Callable[[dict[str, Any]], object]
    gate: asyncio.Event
    entered: asyncio.Semaphore = msgspec.field(default_factory=lambda: asyncio.Semaphore(0))
    target: ReviewTarget | None = None

    async def handle(self, event: dict[str, Any]) -> object:
        """Run the handler."""
        self.entered.release()
        if event.get("wait"):
            await self.gate.wait()
        return self.behave(event)

    async def invoke(self, **event: object) -> bytes:
        """Ask the target."""
        assert self.target is not None
        await self.target.prepare(arn("review"))
        return await self.target.invoke(arn("review"), json.dumps(event).encode())


async def _serve(stage: Stage, error: web.Response) -> tuple[web.ServerRunner, str]:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return web.json_response(await stage.handle(json.loads(await request.read())))
        except ZeroDivisionError:
            return error

    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture(params=["lambda", "http", "function", "coroutine"])
async def stage(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    """Give each kind of target, on real sockets where it has some."""
    made = Stage(lambda event: {"seen": event}, asyncio.Event())
    runner: web.ServerRunner | None = None
    if request.param == "lambda":
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        failed = web.json_response({}, headers={"X-Amz-Function-Error": "Unhandled"})
        runner, url = await _serve(made, failed)
        made.target = LambdaTarget(Clock(), AwsAccess({Service.LAMBDA: url}))
    elif request.param == "http":
        runner, url = await _serve(made, web.Response(status=500))
        made.target = HttpTarget(url, "secret", LOOPBACK, Clock())
    else:
        made.target = FunctionTarget(_module(made, request.param, monkeypatch))
    yield made
    made.gate.set()
    await made.target.close()
    if runner is not None:
        await runner.cleanup()


def _module(stage: Stage, kind: str, monkeypatch: pytest.MonkeyPatch) -> str:
    loop = asyncio.get_running_loop()
    module: Any = ModuleType("handlers_of_the_contract")
    module.coroutine = stage.handle
    module.function = lambda event: asyncio.run_coroutine_threadsafe(
        stage.handle(event), loop
    ).result()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return f"{module.__name__}:{kind}"


async def test_the_answer_comes_back(stage: Stage) -> None:
    """The handler gets the event as it is, and what it answers is returned."""
    event = {"Content": "hi 👩", "Attributes": {"ä": "ö"}}
    assert json.loads(await stage.invoke(**event)) == {"seen": event}


async def test_a_large_answer_is_seen_to_be_one(stage: Stage) -> None:
    """Of an answer beyond the bound more than the bound comes back: no cut makes it valid."""
    stage.behave = lambda event: "x" * ANSWER_BYTES
    assert len(await stage.invoke()) > ANSWER_BYTES


async def test_a_handler_that_fails(stage: Stage) -> None:
    """An error of the handler is InvocationFailed, and the next event is answered again."""
    stage.behave = lambda event: 1 / 0
    with pytest.raises(InvocationFailed):
        await stage.invoke(Content="secret")
    stage.behave = lambda event: "fine"
    assert await stage.invoke() == b'"fine"'


async def test_a_caller_that_gives_up(stage: Stage) -> None:
    """Cancelling ends the wait at once, and disturbs no other event."""
    waiting = [asyncio.create_task(stage.invoke(wait=True)) for _ in range(2)]
    for _ in waiting:
        await stage.entered.acquire()
    waiting[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    assert json.loads(await stage.invoke()) == {"seen": {}}
    stage.gate.set()
    assert json.loads(await waiting[1]) == {"seen": {"wait": True}}


async def test_events_at_a_time(stage: Stage) -> None:
    """One handler that waits holds up no other, and nobody gets another's answer."""
    waiting = asyncio.create_task(stage.invoke(wait=True))
    await stage.entered.acquire()
    answers = await asyncio.gather(*(stage.invoke(number=number) for number in range(10)))
    assert [json.loads(each)["seen"]["number"] for each in answers] == list(range(10))
    stage.gate.set()
    assert await waiting


async def test_a_function_that_may_be_invoked(stage: Stage) -> None:
    """Nothing speaks against it."""
    assert stage.target is not None
    assert await stage.target.problem(arn("review")) is None
