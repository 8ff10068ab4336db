import asyncio
from functools import partial

from greenroom.messaging.turns import AT_ONCE, Turns


async def test_a_few_at_a_time() -> None:
    """Of many a few are served in one turn of the loop, in order; those who come wait behind."""
    turns, served = Turns(), list[int]()
    for number in range(AT_ONCE * 2):
        turns.wait(partial(served.append, number))
    turns.wait(lambda: turns.wait(partial(served.append, -1)))
    assert served == []
    for count in (AT_ONCE, AT_ONCE * 2, AT_ONCE * 2, AT_ONCE * 2 + 1):
        await asyncio.sleep(0)
        assert len(served) == count
    assert served == [*range(AT_ONCE * 2), -1]
    turns.wait(partial(served.append, -2))
    await asyncio.sleep(0)
    assert served[-1] == -2


async def test_one_that_fails() -> None:
    """Its fault is the loop's to report, and the others have their turns."""
    turns, served, faults = Turns(), list[int](), list[object]()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))

    def fail() -> None:
        raise ValueError

    turns.wait(fail)
    turns.wait(partial(served.append, 1))
    for _ in range(3):
        await asyncio.sleep(0)
    assert served == [1]
    assert [type(each) for each in faults] == [ValueError]


async def test_how_many_at_a_time_is_said() -> None:
    """Where each takes longer, fewer have a turn of the loop."""
    turns, served = Turns(2), list[int]()
    for number in range(3):
        turns.wait(partial(served.append, number))
    await asyncio.sleep(0)
    assert served == [0, 1]
    await asyncio.sleep(0)
    assert served == [0, 1, 2]
