"""A server that notes what is sent to it, and passes it on or answers as it was told."""

import asyncio
import contextlib
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import Self
from urllib.parse import parse_qsl

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL


class Recorded(msgspec.Struct, frozen=True):
    """A request as it arrived."""

    method: str
    path: str
    """Percent-encoded, without the query."""
    query: list[tuple[str, str]]
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def parsed(self) -> object:
        """Return the body's JSON, an empty object where there is no body."""
        return msgspec.json.decode(self.body) if self.body else {}

    @property
    def signed_headers(self) -> str:
        """Return the names that the signature covers."""
        authorization = self.headers.get("authorization", "")
        return authorization.partition("SignedHeaders=")[2].partition(",")[0]


class Scripted(msgspec.Struct, frozen=True):
    """An answer to give; a status of 0 loses the connection instead, -1 says nothing."""

    status: int = 200
    body: object = b""
    headers: dict[str, str] = {}


class Peer:
    """Notes what is sent to it.

    With `endpoint` it passes everything on to there. Otherwise the first segment of the path names
    a script, of which the next answer is given; the last one again and again.
    """

    def __init__(self, endpoint: str | None = None) -> None:
        self.recorded: list[Recorded] = []
        self.scripts: dict[str, Sequence[Scripted]] = {}
        self.count: defaultdict[str, int] = defaultdict(int)
        self.url = ""
        self._endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one request."""
        # What a proxy is asked for is a whole URL.
        path, _, query = re.sub(r"^http://[^/]+", "", request.raw_path).partition("?")
        recorded = Recorded(
            request.method,
            path,
            parse_qsl(query, keep_blank_values=True),
            {name.lower(): value for name, value in request.headers.items()},
            await request.read(),
        )
        self.recorded.append(recorded)
        if self._endpoint is None:
            return await self._scripted(request, path.split("/")[1])
        return await self._passed_on(request, recorded)

    async def _scripted(self, request: web.Request, name: str) -> web.StreamResponse:
        script = self.scripts[name]
        answer = script[min(self.count[name], len(script) - 1)]
        self.count[name] += 1
        if answer.status <= 0:
            transport = request.transport
            assert transport is not None
            if answer.status == 0:
                transport.abort()
            else:
                await request.content.wait_eof()
                await _until_gone(transport)
            return web.Response()
        body = answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body)
        return web.Response(status=answer.status, body=body, headers=answer.headers)

    async def _passed_on(self, request: web.Request, recorded: Recorded) -> web.StreamResponse:
        assert self._session is not None
        async with self._session.request(
            recorded.method,
            URL(f"{self._endpoint}{request.raw_path}", encoded=True),
            headers=request.headers,
            data=recorded.body or None,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
        ) as answer:
            headers = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() not in {"content-length", "transfer-encoding", "connection"}
            }
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        return self

    async def __aexit__(self, *ended: object) -> None:
        assert self._session is not None
        await self._session.close()


async def _until_gone(transport: asyncio.BaseTransport) -> None:
    while not transport.is_closing():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def recording(endpoint: str | None = None) -> AsyncIterator[Peer]:
    """Run such a server on a free port for the length of a `with` block."""
    async with Peer(endpoint) as peer:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", peer.handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        peer.url = f"http://{host}:{port}"
        try:
            yield peer
        finally:
            await runner.cleanup()
