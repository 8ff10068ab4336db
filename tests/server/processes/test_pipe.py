"""Messages over a pair of sockets: whole, in order, bounded, until the other end is gone."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from unittest.mock import Mock

import pytest

from greenroom.server.processes import pipe as module
from greenroom.server.processes.pipe import Pipe


class End:
    """One end, and what it was given."""

    def __init__(self, connection: socket.socket) -> None:
        self.got: asyncio.Queue[bytes] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.pipe = Pipe(connection, self.got.put_nowait, self.ended.set)


@pytest.fixture
async def ends() -> AsyncIterator[tuple[End, End]]:
    """Give both ends, which take messages."""
    here, there = map(End, socket.socketpair())
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    here.pipe.start()
    there.pipe.start()
    yield here, there
    here.pipe.close()
    there.pipe.close()
    assert faults == []


async def test_messages_come_whole_and_in_order(ends: tuple[End, End]) -> None:
    """Also empty ones, and those that no buffer of the kernel holds."""
    here, there = ends
    sent = [b"", b"one", os.urandom(3_000_000), b"two", b""]
    for each in sent:
        here.pipe.send(each)
    there.pipe.send(b"back")
    async with asyncio.timeout(10):
        assert [await there.got.get() for _ in sent] == sent
        assert await here.got.get() == b"back"


async def test_the_end_of_the_other(ends: tuple[End, End]) -> None:
    """It is told once, behind the last message; what is sent then is nobody's."""
    here, there = ends
    here.pipe.send(b"last")
    here.pipe.close()
    async with asyncio.timeout(10):
        await there.ended.wait()
    assert there.got.get_nowait() == b"last"
    there.pipe.send(b"nobody hears it")
    here.pipe.send(b"nor this")
    assert not here.ended.is_set()
    assert not here.pipe._outgoing, "nothing waits for nobody"


async def test_nothing_to_read_is_no_end(ends: tuple[End, End]) -> None:
    """The loop may say that there is something, and be wrong."""
    here, there = ends
    here.pipe._readable()
    assert not here.ended.is_set()
    there.pipe.send(b"something")
    async with asyncio.timeout(10):
        assert await here.got.get() == b"something"


async def test_what_was_said_last_is_heard_though_nothing_can_be_said() -> None:
    """A process that has ended is told something: its own last word comes all the same."""
    here, there = socket.socketpair()
    end = End(here)
    there.send(b"\0\0\0\4last")
    there.close()
    end.pipe.start()
    end.pipe.send(b"too late")
    async with asyncio.timeout(10):
        assert await end.got.get() == b"last"
        await end.ended.wait()


async def test_an_end_that_left_something_unread_is_an_end() -> None:
    """The kernel says so with an error: the process was killed with messages before it."""
    here, there = socket.socketpair()
    end = End(here)
    end.pipe.start()
    end.pipe.send(b"never read")
    assert there.recv(1, socket.MSG_PEEK)
    there.close()
    async with asyncio.timeout(10):
        await end.ended.wait()
    assert end.got.empty()


async def test_what_cannot_be_sent_now_is_sent_later(ends: tuple[End, End]) -> None:
    """The kernel may have no room for the first byte of a message."""
    here, there = ends
    connection = here.pipe._connection
    full = Mock(wraps=connection, send=Mock(side_effect=BlockingIOError))
    here.pipe._connection = full
    here.pipe.send(b"one")
    here.pipe.send(b"two")
    assert full.send.call_count == 1
    here.pipe._connection = connection
    async with asyncio.timeout(10):
        assert [await there.got.get() for _ in range(2)] == [b"one", b"two"]
    assert not asyncio.get_running_loop().remove_writer(connection.fileno())


async def test_a_pipe_that_is_closed_is_not_looked_at(ends: tuple[End, End]) -> None:
    """Whatever waited to be sent."""
    here, _ = ends
    loop, number = asyncio.get_running_loop(), here.pipe._connection.fileno()
    here.pipe.send(bytes(3_000_000))
    here.pipe.close()
    assert not loop.remove_writer(number)
    assert not loop.remove_reader(number)
    here.pipe.close()


async def test_what_nobody_reads_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the pipe ends, as if the other one was gone."""
    monkeypatch.setattr(module, "MOST_WAITING", 1_000_000)
    here, there = socket.socketpair()
    end = End(here)
    end.pipe.start()
    with there:
        for _ in range(30):
            end.pipe.send(bytes(100_000))
        assert end.ended.is_set()


@pytest.mark.parametrize("more", [0, 1])
async def test_how_much_may_wait(monkeypatch: pytest.MonkeyPatch, more: int) -> None:
    """So many bytes, with their lengths; one more ends the pipe."""
    monkeypatch.setattr(module, "MOST_WAITING", 100)
    here, there = socket.socketpair()
    end = End(here)
    end.pipe.start()
    with there:
        end.pipe._outgoing += b"x"  # something waits already
        end.pipe.send(bytes(95 + more))
        assert end.ended.is_set() is bool(more)
    end.pipe.close()
