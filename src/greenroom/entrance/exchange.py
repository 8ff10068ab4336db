"""One HTTP request and its answer, which is written whole.

The rest is uvicorn's cycle. The applications here answer with one head and one body, so both are
known before the first byte goes out: they are one write, and one packet.
"""

import asyncio
from collections.abc import Iterable
from typing import Self

import httptools
from uvicorn._types import ASGISendEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)


class Exchange(RequestResponseCycle):
    """What the application is given of a request, and what it answers."""

    _start: HTTPResponseStartEvent | None = None

    @classmethod
    def of(cls, connection: HttpToolsProtocol) -> Self:
        """Return that of the request whose head a connection has read.

        Raises:
            httptools.HttpParserError: its target is no URL.
        """
        parser, scope = connection.parser, connection.scope
        target = httptools.parse_url(connection.url)
        scope["http_version"] = version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        scope["path"] = target.path.decode("ascii")
        scope["raw_path"], scope["query_string"] = target.path, target.query or b""
        return cls(
            scope=scope,
            transport=connection.transport,
            flow=connection.flow,
            logger=connection.logger,
            access_logger=connection.access_logger,
            access_log=False,
            default_headers=connection.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=connection.expect_100_continue,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            on_response=connection.on_response_complete,
        )

    async def send(self, message: ASGISendEvent) -> None:
        """Keep the head until the body is there; then write both."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        start = self._start
        if start is None and message["type"] == "http.response.start":
            self._start = message
            self.response_started = True
        elif start is not None and message["type"] == "http.response.body":
            self._answer(start, message["body"])
        else:
            raise RuntimeError("an answer is one head and one body")

    def _answer(self, start: HTTPResponseStartEvent, body: bytes) -> None:
        if self.response_complete:
            raise RuntimeError("a request has one answer")
        headers = [*self.default_headers, *start.get("headers", ())]
        if not self.keep_alive:
            headers.append((b"connection", b"close"))
        head = head_of(start["status"], headers)
        self.transport.write(head if self.scope["method"] == "HEAD" else head + body)
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def head_of(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the head of an answer.

    Raises:
        RuntimeError: a header holds a line break, which would make one more of it.
    """
    lines = [STATUS_LINE[status], *[b"%b: %b\r\n" % header for header in headers]]
    head = b"".join(lines)
    if len(head.splitlines()) != len(lines):
        raise RuntimeError("a header must not hold a line break")
    return head + b"\r\n"
