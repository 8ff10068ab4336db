"""One WebSocket of a room, with a socket that the test has say things."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import WSMsgType

from greenroom.client.connection import CLOSED_NORMALLY, Connection, Ended


class Socket:
    """A double of aiohttp's: gives what the test puts into it, until it ends."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[Any] = asyncio.Queue()
        self.close_code: int | None = None
        self.closed_with: list[int] = []
        self.sent: list[str] = []

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (frame := await self.frames.get()) is not None:
            yield frame

    def say(self, *texts: str) -> None:
        """Have frames come."""
        for text in texts:
            self.frames.put_nowait(SimpleNamespace(type=WSMsgType.TEXT, data=text))

    def end(self, close_code: int | None) -> None:
        """End, behind what was said."""
        self.close_code = close_code
        self.frames.put_nowait(None)

    async def send_str(self, text: str) -> None:
        self.sent.append(text)

    async def close(self, code: int = 1000) -> None:
        self.closed_with.append(code)


def connection_on(socket: Socket) -> tuple[Connection, list[str]]:
    """Return a connection, and what it has received."""
    received: list[str] = []
    double: Any = socket
    return Connection(double, received.append), received


@pytest.mark.parametrize(
    ("code", "ended"),
    [(1000, Ended.CLOSED), (4001, Ended.CLOSED), (1006, Ended.BROKEN), (None, Ended.BROKEN)],
)
async def test_how_it_ends(code: int | None, ended: Ended) -> None:
    """With a close frame or without; each text before that was received, and nothing else."""
    connection, received = connection_on(socket := Socket())
    socket.say("one")
    socket.frames.put_nowait(SimpleNamespace(type=WSMsgType.BINARY, data=b"bytes"))
    socket.say("two")
    socket.end(code)
    assert await connection.ended is ended
    assert received == ["one", "two"]


async def test_what_is_given_up_is_broken() -> None:
    """From the frame on that says so, whatever follows; it is closed."""
    received: list[str] = []

    def receive(text: str) -> None:
        received.append(text)
        if text == "expired":
            connection.give_up()

    socket = Socket()
    double: Any = socket
    connection = Connection(double, receive)
    socket.say("one", "expired", "two")
    socket.end(1000)
    assert await connection.ended is Ended.BROKEN
    assert received == ["one", "expired"]
    assert socket.closed_with == [1000]


async def test_what_is_sent() -> None:
    """It is a text."""
    connection, _ = connection_on(socket := Socket())
    await connection.send("text")
    assert socket.sent == ["text"]
    connection.ended.cancel()


async def test_closing_waits_for_the_end() -> None:
    """What the connection still brings is received before."""
    connection, received = connection_on(socket := Socket())
    closing = asyncio.create_task(connection.close())
    for _ in range(5):
        await asyncio.sleep(0)
    assert socket.closed_with == [CLOSED_NORMALLY]
    assert not closing.done()
    socket.say("last")
    socket.end(1000)
    await closing
    assert received == ["last"]
    assert connection.ended.result() is Ended.CLOSED
