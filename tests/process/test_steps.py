"""Coroutines that run without a task."""

import asyncio
import gc
import weakref

from greenroom.process import steps


async def test_what_waits_for_nothing_is_done_at_once() -> None:
    """It runs in the call that begins it."""
    done: list[int] = []

    async def count() -> None:
        done.append(1)

    steps.begin(count())
    assert done == [1]


async def test_it_goes_on_when_what_it_waits_for_is_there() -> None:
    """As often as it waits, with the results, and for futures that are done already."""
    loop, seen = asyncio.get_running_loop(), list[object]()
    waits = [loop.create_future() for _ in range(3)]
    waits[1].set_result("b")

    async def collect() -> None:
        seen.extend([await each for each in waits])
        seen.append(await asyncio.shield(waits[0]))

    steps.begin(collect())
    waits[0].set_result("a")
    await asyncio.sleep(0)
    assert seen == []
    waits[2].set_result("c")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert seen == ["a", "b", "c", "a"]


async def test_what_fails_is_raised_where_it_is_waited_for() -> None:
    """The coroutine catches it as it would in a task."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    caught: list[str] = []

    async def catch() -> None:
        try:
            await future
        except ValueError as error:
            caught.append(str(error))

    steps.begin(catch())
    future.set_exception(ValueError("no"))
    await asyncio.sleep(0)
    assert caught == ["no"]


async def test_it_ends_with_what_it_waits_for() -> None:
    """Where that is cancelled it tidies up, and nobody is told of an error."""
    loop, tidied = asyncio.get_running_loop(), list[int]()
    told: list[object] = []
    loop.set_exception_handler(lambda _loop, context: told.append(context))
    future: asyncio.Future[None] = loop.create_future()

    async def tidy() -> None:
        try:
            await future
        finally:
            tidied.append(1)

    steps.begin(tidy())
    future.cancel()
    await asyncio.sleep(0)
    assert (tidied, told) == ([1], [])


async def test_nothing_is_left_of_it() -> None:
    """It goes with its end, without the collector of garbage."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def wait(waited: "asyncio.Future[None]") -> None:
        await waited

    coroutine = wait(future)
    gone = weakref.ref(coroutine)
    gc.disable()
    try:
        steps.begin(coroutine)
        future.set_result(None)
        await asyncio.sleep(0)
        del coroutine, future
        assert gone() is None
    finally:
        gc.enable()
