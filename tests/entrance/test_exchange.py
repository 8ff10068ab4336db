"""One request and its answer, which goes out in one piece."""

import asyncio
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from greenroom.entrance.exchange import Exchange, head_of


class Written(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        """Keep a piece."""
        self.pieces.append(bytes(data))

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def is_closing(self) -> bool:
        """Return whether it was."""
        return self.closed


class Connection(HttpToolsProtocol):
    """A connection that reads a head and begins nothing."""

    exchange: Exchange

    def on_headers_complete(self) -> None:
        """Leave the rest to the test."""
        self.exchange = Exchange.of(self)

    def on_message_complete(self) -> None:
        """Leave it, too."""


async def nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    """Stand for an application."""


def exchange(
    method: bytes = b"POST",
    target: bytes = b"/a%20b?c=d",
    version: bytes = b"1.1",
    more: bytes = b"",
) -> tuple[Exchange, Written, list[str]]:
    """Return the exchange of a request, where its answer goes, and who was told of its end."""
    config = Config(nothing, log_config=None)
    config.load()
    connection = Connection(config, ServerState(), {}, asyncio.get_running_loop())
    written, told = Written(), list[str]()
    connection.connection_made(written)
    connection.on_response_complete = lambda: told.append("complete")  # type: ignore[method-assign]
    connection.parser.feed_data(
        method + b" " + target + b" HTTP/" + version + b"\r\nhost: x\r\n" + more + b"\r\n"
    )
    return connection.exchange, written, told


START: Any = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
BODY: Any = {"type": "http.response.body", "body": b"{}"}


async def test_what_the_application_sees() -> None:
    """The scope has the request's line, the path as it came."""
    made, _, _ = exchange()
    scope = made.scope
    assert (scope["method"], scope["http_version"]) == ("POST", "1.1")
    assert (scope["raw_path"], scope["query_string"]) == (b"/a%20b", b"c=d")
    assert scope["path"] == "/a%20b"
    assert list(scope["headers"]) == [(b"host", b"x")]


async def test_an_answer_is_one_write() -> None:
    """Head and body go out together, and the connection is told that the answer is complete."""
    made, written, told = exchange()
    await made.send(START)
    assert (written.pieces, made.response_started, made.response_complete) == ([], True, False)
    await made.send(BODY)
    assert written.pieces == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"]
    assert (made.response_complete, told, written.closed) == (True, ["complete"], False)


async def test_head_has_no_body() -> None:
    """HEAD is answered with the head of the same answer."""
    made, written, _ = exchange(b"HEAD")
    await made.send(START)
    await made.send(BODY)
    assert written.pieces == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"]


async def test_a_peer_that_does_not_read() -> None:
    """While the transport holds bytes the application waits, unless the connection is lost."""
    made, written, _ = exchange()
    await made.send(START)
    made.flow.pause_writing()
    sending = asyncio.create_task(made.send(BODY))
    await asyncio.sleep(0)
    assert not sending.done()
    assert written.pieces == []
    made.flow.resume_writing()
    await sending
    assert len(written.pieces) == 1
    lost, written, _ = exchange()
    lost.flow.pause_writing()
    lost.disconnected = True
    async with asyncio.timeout(5):
        await lost.send(START)
    assert written.pieces == []


async def test_what_is_received_after_the_answer() -> None:
    """The application that waits for more is told that there is none."""
    made, _, _ = exchange()
    receiving = asyncio.create_task(made.receive())
    await asyncio.sleep(0)
    assert not receiving.done()
    await made.send(START)
    await made.send(BODY)
    async with asyncio.timeout(5):
        assert await receiving == {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("version", "more"),
    [(b"1.0", b""), (b"1.0", b"connection: keep-alive\r\n"), (b"1.1", b"connection: close\r\n")],
)
async def test_the_last_answer_of_a_connection_says_so(version: bytes, more: bytes) -> None:
    """What does not stay open is closed behind the answer, which tells it."""
    made, written, _ = exchange(version=version, more=more)
    await made.send(START)
    await made.send(BODY)
    assert b"\r\nconnection: close\r\n" in written.pieces[0]
    assert written.closed


async def test_nobody_is_there_any_more() -> None:
    """Nothing is written to a connection that is lost."""
    made, written, told = exchange()
    made.disconnected = True
    await made.send(START)
    await made.send(BODY)
    assert (written.pieces, told) == ([], [])


@pytest.mark.parametrize("messages", [[BODY], [START, START], [START, BODY, BODY]])
async def test_anything_but_one_head_and_one_body_is_a_fault(messages: list[Any]) -> None:
    """An application that answers otherwise is wrong."""
    made, _, _ = exchange()
    *before, last = messages
    for message in before:
        await made.send(message)
    with pytest.raises(RuntimeError):
        await made.send(last)


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb", b"\r\n", b"a\n"])
@pytest.mark.parametrize("named", [False, True])
def test_a_header_holds_no_line_break(value: bytes, named: bool) -> None:
    """Whatever an application puts into a header, it does not become another one."""
    assert head_of(204, [(b"a", b"b")]) == b"HTTP/1.1 204 No Content\r\na: b\r\n\r\n"
    with pytest.raises(RuntimeError):
        head_of(200, [(value, b"x") if named else (b"x", value)])
