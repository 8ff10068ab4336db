"""How chat logging waits."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from greenroom.chatlog.waiting import MAXIMUM_SECONDS, Backoff, event_or_time


def test_backoff_doubles_up_to_a_limit() -> None:
    """Each failure doubles the longest wait; a success begins anew."""
    backoff = Backoff(lambda: 1.0)
    assert [backoff.next() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    backoff.reset()
    assert backoff.next() == 1


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 2000))
def test_full_jitter(drawn: float, failures: int) -> None:
    """Any wait up to the limit may come, none beyond it."""
    backoff = Backoff(lambda: drawn)
    backoff.failures = failures
    assert 0 <= backoff.next() <= MAXIMUM_SECONDS


async def test_event_or_time() -> None:
    """The event ends the wait, and so does the time."""
    event = asyncio.Event()
    await event_or_time(event, 0.001)
    event.set()
    async with asyncio.timeout(10):
        await event_or_time(event, 3600)
