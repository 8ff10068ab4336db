"""What the process does when the operating system's signals arrive."""

import asyncio
import os
import signal

import pytest

from greenroom.process.signals import handled


async def sent(number: int) -> None:
    """Send this process a signal, and let the event loop see it."""
    os.kill(os.getpid(), number)
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that stops is passed on, the second ends the process as a shell expects."""
    told: list[str] = []
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    with handled(lambda: told.append("stop"), lambda: told.append("hang up")):
        await sent(signal.SIGHUP)
        await sent(number)
        assert (told, left) == (["hang up", "stop"], [])
        await sent(signal.SIGHUP)
        assert told == ["hang up", "stop", "hang up"]
        await sent(number)
        assert left == [128 + number]


async def test_one_of_several_processes_is_not_ended_by_a_second_signal() -> None:
    """Who looks after it decides that: a signal to a group of processes comes to both of them."""
    told: list[str] = []
    with handled(lambda: told.append("stop"), lambda: None, None):
        await sent(signal.SIGTERM)
        await sent(signal.SIGTERM)
        await sent(signal.SIGINT)
    assert told == ["stop"]


async def test_they_are_handled_in_the_block_only() -> None:
    """Afterwards, also after an error, they are as before."""
    loop = asyncio.get_running_loop()
    with pytest.raises(ValueError, match="no"), handled(lambda: None, lambda: None):
        raise ValueError("no")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        assert not loop.remove_signal_handler(number)
