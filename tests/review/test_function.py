"""Python functions as handlers."""

import asyncio
import json
import sys
import threading
import time
from pathlib import Path

import pytest

from greenroom.review import function
from greenroom.review.function import FunctionMissing, FunctionTarget, _Threads
from greenroom.review.target import Failure, InvocationFailed

MODULE = """
import asyncio
import threading

gate = threading.Event()
seen = []

def plain(event):
    seen.append((threading.current_thread() is threading.main_thread(), event))
    return {"ReviewResult": "ALLOW", "Content": event["Content"].upper()}

async def coroutine(event):
    await asyncio.sleep(0)
    seen.append((threading.current_thread() is threading.main_thread(), event))
    return {"ReviewResult": "ALLOW", "Content": event["Content"].upper()}

class Callable:
    async def __call__(self, event):
        return event

    def method(self, event):
        return event

instance = Callable()

def slow(event):
    gate.wait()
    return event

def broken(event):
    raise KeyError(event["Content"])

def exits(event):
    raise SystemExit(1)

async def exits_on_loop(event):
    raise SystemExit(1)

async def is_cancelled(event):
    raise asyncio.CancelledError

async def hangs(event):
    await asyncio.Event().wait()

def stops(event):
    raise StopIteration

def odd(event):
    return {1, 2}

def surrogate(event):
    return "\\ud800"

def as_in_lambda(event, context):
    return [event, context.function_name, context.invoked_function_arn, context.aws_request_id,
            context.get_remaining_time_in_millis()]

async def as_in_lambda_on_loop(event, context):
    return as_in_lambda(event, context)

class Reviewer:
    def handler(self, event, context):
        return event

reviewer = Reviewer()

def with_an_option(event, attempts=3):
    return attempts

def takes_nothing():
    pass

def takes_three(event, context, more):
    pass

def by_name(*, event):
    pass

not_callable = 1
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a module of handlers in the working directory."""
    (tmp_path / "handlers_of_a_test.py").write_text(MODULE)
    (tmp_path / "broken_of_a_test.py").write_text("raise ValueError('no')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    monkeypatch.delitem(sys.modules, "handlers_of_a_test", raising=False)


def target(name: str) -> FunctionTarget:
    """Return the target of a function of the module."""
    return FunctionTarget(f"handlers_of_a_test:{name}")


async def failure(name: str) -> InvocationFailed:
    """Return how asking a function fails."""
    made = target(name)
    with pytest.raises(InvocationFailed) as failed:
        await made.invoke("uri", b'{"Content":"secret"}')
    await made.close()
    return failed.value


@pytest.mark.parametrize(("name", "on_loop"), [("plain", False), ("coroutine", True)])
async def test_functions(name: str, on_loop: bool) -> None:
    """A function gets the event as a dict: a coroutine on the loop, any other in a thread."""
    made = target(name)
    answer = await made.invoke("uri", b'{"Content":"hi"}')
    assert json.loads(answer) == {"ReviewResult": "ALLOW", "Content": "HI"}
    assert sys.modules["handlers_of_a_test"].seen == [(on_loop, {"Content": "hi"})]
    assert await made.problem("uri") is None
    await made.close()


@pytest.mark.parametrize("name", ["instance", "instance.method"])
async def test_objects(name: str) -> None:
    """An object that can be called, and a method, will do."""
    made = target(name)
    assert json.loads(await made.invoke("uri", b'{"a":"b"}')) == {"a": "b"}
    await made.close()


@pytest.mark.parametrize(
    "name", ["broken", "odd", "exits", "exits_on_loop", "stops", "is_cancelled"]
)
async def test_what_raises_fails(name: str) -> None:
    """An exception, or an answer that no JSON can hold, is the handler's failure."""
    failed = await failure(name)
    assert failed.failure is Failure.HANDLER_ERROR
    assert failed.why in {
        *("KeyError", "TypeError", "SystemExit", "StopIteration", "CancelledError")
    }


async def test_who_is_given_up_is_no_failure_of_the_function() -> None:
    """The time limit cancels the invocation: it ends as that, and so does the function."""
    asking = asyncio.create_task(target("hangs").invoke("uri", b"{}"))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_function_that_does_not_tell_its_arguments() -> None:
    """One of C, as some are, is given the event alone."""
    made = FunctionTarget("builtins:dict")
    assert await made.invoke("uri", b'{"a":1}') == b'{"a": 1}'
    await made.close()


async def test_half_a_character_is_passed_on() -> None:
    """What the function returns is judged by the contract, not here."""
    made = target("surrogate")
    assert await made.invoke("uri", b"{}") == b'"\\ud800"'
    await made.close()


async def test_threads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that hangs keeps its thread, also when nobody waits; further messages fail."""
    monkeypatch.setattr(function, "THREADS", 2)
    made = target("slow")
    gate: threading.Event = sys.modules["handlers_of_a_test"].gate
    waiting = [asyncio.create_task(made.invoke("uri", b"{}")) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    for _ in range(3):
        with pytest.raises(InvocationFailed) as failed:
            await made.invoke("uri", b"{}")
        assert failed.value.failure is Failure.TOO_MANY_WAITING
    gate.set()
    assert await waiting[1] == b"{}"
    while True:
        try:
            assert await made.invoke("uri", b"{}") == b"{}"
            break
        except InvocationFailed:
            await asyncio.sleep(0.001)
    assert made._threads._started <= 2
    await made.close()


async def test_who_gave_up_is_told_nothing_more() -> None:
    """A function that ends later than its time troubles nobody."""
    threads, gate, errors = _Threads(1), threading.Event(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
    waiting = asyncio.create_task(threads.run(gate.wait))
    await asyncio.sleep(0)
    waiting.cancel()
    gate.set()
    while True:
        if not threads._busy:
            break
        await asyncio.sleep(0.001)
    assert errors == []
    threads.close()


def test_a_function_that_outlives_the_service() -> None:
    """Its thread ends with it: nobody waits, and nothing is said."""
    threads, gate, before = _Threads(1), threading.Event(), set(threading.enumerate())

    async def give_up() -> None:
        waiting = asyncio.create_task(threads.run(gate.wait))
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(give_up())
    (worker,) = [each for each in set(threading.enumerate()) - before if each.name == "review"]
    gate.set()
    worker.join(10)
    assert not worker.is_alive()


async def test_threads_are_started_when_they_are_needed() -> None:
    """One after the other needs one; so many at once need as many."""
    threads = _Threads(3)
    gate = threading.Event()
    for _ in range(3):
        await threads.run(int)
    assert threads._started == 1
    waiting = [asyncio.create_task(threads.run(gate.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    assert threads._started == 2
    gate.set()
    await asyncio.gather(*waiting)
    threads.close()


async def test_threads_end() -> None:
    """Closing ends the threads, and none of them keeps the process alive."""
    made = target("plain")
    before = set(threading.enumerate())
    await made.invoke("uri", b'{"Content":"hi"}')
    (worker,) = set(threading.enumerate()) - before
    assert worker.daemon
    await made.close()
    await asyncio.to_thread(worker.join)


@pytest.mark.parametrize("name", ["as_in_lambda", "as_in_lambda_on_loop"])
async def test_handlers_as_lambda_has_them(name: str) -> None:
    """A function of an event and a context gets both: who it is, and how long it has."""
    made = FunctionTarget(f"handlers_of_a_test:{name}", 2.0)
    uri = "arn:aws:lambda:us-east-1:123456789012:function:review:live"
    event, function_name, arn, request_id, left = json.loads(await made.invoke(uri, b'{"a":1}'))
    assert (event, function_name, arn) == ({"a": 1}, "review", uri)
    assert len(request_id) == 36
    assert 0 < left <= 2000
    await made.close()


async def test_other_forms_that_take_an_event() -> None:
    """A method counts without its object, and an argument with a default is the function's own."""
    assert await target("reviewer.handler").invoke("uri", b"1") == b"1"
    assert await target("with_an_option").invoke("uri", b"1") == b"3"


@pytest.mark.parametrize("name", ["takes_nothing", "takes_three", "by_name"])
def test_functions_that_take_no_event(name: str) -> None:
    """What could never be called is refused at the start, with its signature."""
    with pytest.raises(FunctionMissing, match=rf"{name}\(.* cannot be called with an event, nor"):
        target(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nowhere_to_be_found:f", "nowhere_to_be_found cannot be imported: No module named"),
        ("broken_of_a_test:f", "broken_of_a_test cannot be imported: no"),
        ("handlers_of_a_test:missing", "handlers_of_a_test has no missing"),
        ("handlers_of_a_test:not_callable", "cannot be called"),
    ],
)
def test_what_cannot_be_loaded(name: str, why: str) -> None:
    """A function that is not there is named at the start."""
    with pytest.raises(FunctionMissing, match=why):
        FunctionTarget(name)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("arn:aws:lambda:us-east-1:123456789012:function:review", "review"),
        ("arn:aws:lambda:us-east-1:123456789012:function:review:live", "review"),
        ("a:b:c:d:e:f", "a:b:c:d:e:f"),
    ],
)
def test_what_a_context_says(monkeypatch: pytest.MonkeyPatch, uri: str, name: str) -> None:
    """The function's name, and how long is left: without a limit as long as Lambda gives."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    context = function.Context(uri, None)
    assert (context.function_name, context.log_group_name) == (name, f"/aws/lambda/{name}")
    assert context.get_remaining_time_in_millis() == 900_000
    limited = function.Context(uri, 0.25)
    assert limited.get_remaining_time_in_millis() == 250
    now[0] = 200.0
    assert limited.get_remaining_time_in_millis() == 0
