"""A timer that comes again and again: from its start to its stop, whatever the ticks do."""

import asyncio

from greenroom.process.ticker import Ticker


async def test_it_ticks_until_it_is_stopped() -> None:
    """Again and again from the start on, never after the stop; both can be repeated."""
    ticks = 0
    enough = asyncio.Event()

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        if not ticks % 3:
            ticker.stop()
            enough.set()

    ticker = Ticker(0, tick)
    ticker.stop()  # which has not begun
    for expected in (3, 6):
        enough.clear()
        ticker.start()
        assert ticks == expected - 3, "the first tick does not come at once"
        await enough.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        assert ticks == expected
    ticker.stop()


async def test_its_interval() -> None:
    """The next tick is so many seconds away."""
    ticker = Ticker(60, lambda: None)
    before = asyncio.get_running_loop().time()
    ticker.start()
    assert ticker._timer is not None
    assert 60 <= ticker._timer.when() - before < 70
    ticker.stop()


async def test_a_tick_that_fails_is_not_the_last() -> None:
    """The loop is told, and the next one comes."""
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: faults.append(context["exception"])
    )
    twice = asyncio.Event()

    def fail() -> None:
        if faults:
            twice.set()
        raise ZeroDivisionError

    ticker = Ticker(0, fail)
    ticker.start()
    await twice.wait()
    ticker.stop()
    assert {type(each) for each in faults} == {ZeroDivisionError}
