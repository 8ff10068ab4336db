"""What a process takes from the system, and how it goes on without its parent."""

import asyncio
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest
import uvloop

from greenroom.process import event_loop
from greenroom.process.event_loop import allow_files, in_background, loop_factory, readable


def exit_code(work: Callable[[], object]) -> int:
    """Do something in a fork of this process, and return the exit code of that."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(99)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def descriptors() -> list[str]:
    """Return which descriptors this process has."""
    return sorted(each.name for each in Path("/proc/self/fd").iterdir())


def test_the_parent_ends_when_the_child_is_ready() -> None:
    """The child goes on, and says it once: a second time is a fault, told to no other file.

    What they spoke through is closed then.
    """
    reading, writing = os.pipe()

    def work() -> None:
        before = descriptors()
        tell = in_background()
        tell()
        os.write(writing, b"told" if descriptors() == before else b"left open")
        with suppress(ValueError):
            tell()
            os.write(writing, b" twice")
        os._exit(3)

    assert exit_code(work) == 0
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        assert told.read() == b"told"


@pytest.mark.parametrize(("number", "expected"), [(0, 0), (7, 7), (-signal.SIGKILL, 137)])
def test_the_parent_ends_as_a_child_that_does_not_get_ready(number: int, expected: int) -> None:
    """With its exit code, or what a shell says of its signal."""

    def work() -> None:
        in_background()
        if number < 0:
            os.kill(os.getpid(), -number)
        os._exit(number)

    assert exit_code(work) == expected
    assert event_loop._as_exit_code(number) == expected


def test_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the system allows are taken; where it refuses, as many as there were."""
    limits = [(10, 100)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limits.append(wanted))
    assert allow_files() == 100
    assert limits == [(10, 100), (100, 100)]
    limits.append((20, resource.RLIM_INFINITY))
    assert allow_files() is None

    def refuse(*_: object) -> NoReturn:
        raise ValueError("not allowed to raise maximum limit")

    limits.append((20, 100))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert allow_files() == 20
    monkeypatch.setitem(sys.modules, "resource", None)
    assert allow_files() is None


def test_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uvloop's where it is installed."""
    assert loop_factory() is uvloop.new_event_loop
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory() is None


async def test_what_can_be_read_is_waited_for() -> None:
    """Until there is something, or an end; the loop has forgotten the descriptor then."""
    loop = asyncio.get_running_loop()
    for said in (b"x", b""):
        reading, writing = os.pipe()
        waiting = asyncio.create_task(readable(reading))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
        os.write(writing, said)
        os.close(writing)
        await asyncio.wait_for(waiting, 10)
        assert not loop.remove_reader(reading)
        os.close(reading)


async def test_who_waits_no_more_leaves_no_reader() -> None:
    """One who is cancelled takes his descriptor with him: its number may soon be another's."""
    reading, writing = os.pipe()
    waiting = asyncio.create_task(readable(reading))
    await asyncio.sleep(0)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    assert not asyncio.get_running_loop().remove_reader(reading)
    os.close(reading)
    os.close(writing)


def test_large_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Glibc is told from which size on buffers are mapped; another C library is let alone."""
    told: list[tuple[int, int]] = []

    class Glibc:
        def mallopt(self, *option: int) -> None:
            told.append(option)  # type: ignore[arg-type]

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Glibc())
    event_loop.map_large_buffers()
    assert told == [(-3, 131_072)]  # M_MMAP_THRESHOLD of malloc.h
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    event_loop.map_large_buffers()
