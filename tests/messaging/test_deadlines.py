"""Deadlines: done once when they are due, not when cancelled, and nothing stays behind."""

import asyncio
import gc
import weakref

import pytest

from greenroom.messaging import deadlines as module
from greenroom.messaging.deadlines import Deadline, Deadlines


@pytest.fixture(autouse=True)
def _fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESOLUTION", 0.001)


async def test_each_is_done_once_in_its_time() -> None:
    """The order is that of the deadlines, whatever the order in which they were set."""
    deadlines, done = Deadlines(), list[str]()
    end = asyncio.Event()
    # One look at the clock: however long this takes, the times stand in this order.
    now = asyncio.get_running_loop().time()
    deadlines.at(now + 0.02, end.set)
    deadlines.at(now + 0.01, lambda: done.append("second"))
    deadlines.at(now, lambda: done.append("first"))
    assert len(deadlines) == 3
    await end.wait()
    assert done == ["first", "second"]
    assert not deadlines._slots


async def test_a_cancelled_one_is_never_done() -> None:
    """Whether it is cancelled early, twice, or by another of the same moment."""
    deadlines, done = Deadlines(), list[str]()
    early = deadlines.after(0.001, lambda: done.append("early"))
    early.cancel()
    early.cancel()
    assert not deadlines
    pair: list[Deadline] = []

    def one() -> None:
        done.append("one")
        for each in pair:
            each.cancel()

    due = asyncio.get_running_loop().time() + 0.002
    pair += [deadlines.at(due, one), deadlines.at(due, one)]
    end = asyncio.Event()
    deadlines.after(0.01, end.set)
    await end.wait()
    assert done == ["one"]


async def test_one_that_fails_keeps_no_other_waiting() -> None:
    """The loop is told; the others of the moment are done."""
    told: list[dict[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    deadlines, done = Deadlines(), asyncio.Event()

    def fail() -> None:
        raise ZeroDivisionError

    due = loop.time() + 0.002
    deadlines.at(due, fail)
    deadlines.at(due, done.set)
    await done.wait()
    await asyncio.sleep(0)
    assert [type(context["exception"]) for context in told] == [ZeroDivisionError]


@pytest.mark.parametrize("end", ["cancel", "pass_by"])
def test_one_that_is_over_holds_nobody(end: str) -> None:
    """Who has one, and is called by it, is free at once, without the collector of garbage."""

    class Owner:
        def __init__(self) -> None:
            self.slot = set[Deadline]()
            self.deadline = Deadline(self.do, self.slot)

        def do(self) -> None: ...

    gc.disable()
    try:
        owner = Owner()
        seen = weakref.ref(owner)
        getattr(owner.deadline, end)()
        assert owner.slot == set()
        del owner
        assert seen() is None
    finally:
        gc.enable()


async def test_many_share_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of handshakes at once are a few timers of the loop."""
    monkeypatch.setattr(module, "RESOLUTION", 60)
    deadlines = Deadlines()
    kept = [deadlines.after(60, lambda: None) for _ in range(1000)]
    assert len(deadlines._slots) <= 2
    for each in kept:
        each.cancel()
    assert not deadlines
