"""HTTP requests to review targets: one pool of connections, nothing followed, answers bounded.

- The pool has no bound of its own: the reviewer's bound on what is under way is the one of
  connections.
- Who gives up before a connection stands would never have one, where connecting takes longer than
  the time limit. So then one is opened in the background, for the next request.
- A kept connection that ends before it brought an answer, however it ends, was most likely dead
  already: the request is sent once more, on a fresh one. What it was sent to may have seen it, then
  it sees it twice. A fresh connection that ends is an answer of its own: nothing is sent again.
"""

import asyncio
import contextlib
from types import SimpleNamespace

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from yarl import URL

from greenroom.review.answers import ANSWER_BYTES
from greenroom.review.target import Failure, InvocationFailed

LONGEST_SECONDS = 900.0
"""The longest that any request takes, whatever the reviewer's limit: that of a Lambda function."""

IDLE_SECONDS = 60.0
"""How long an idle connection is kept."""

CONNECT_SECONDS = 10.0
"""How long connecting in the background may take."""

NEXT_ADDRESS_SECONDS = 0.05
"""When the next address of a name is tried beside the first one (RFC 8305); the default is more
than a whole review may take."""


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer; its body is cut one byte behind the bound."""

    status: int
    headers: dict[str, str]
    """Names in lower case; of a repeated one the last."""
    body: bytes


class Client:
    """Posts events. It belongs to the event loop of its first request."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._connecting: asyncio.Task[None] | None = None

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Send exactly this URL, body and these headers, and return the answer.

        Raises:
            InvocationFailed: there is no answer.
        """
        if self._session is None:
            self._session = self._opened(keep=True)
        progress = _Progress()
        try:
            return await self._post(self._session, url, body, headers, progress)
        except TimeoutError:
            raise InvocationFailed(Failure.TIMED_OUT) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise InvocationFailed(Failure.UNREACHABLE, _named(error)) from None
        except asyncio.CancelledError:
            if not progress.is_connected:
                self._connect(self._session, url)
            raise

    async def _post(
        self,
        session: aiohttp.ClientSession,
        url: str,
        body: bytes,
        headers: dict[str, str],
        progress: "_Progress",
    ) -> Answer:
        try:
            return await _post(session, url, body, headers, progress)
        except TimeoutError:
            raise
        except (aiohttp.ClientConnectionError, OSError):
            if not progress.is_reused or progress.is_answered:
                raise
        if self._fresh is None:
            self._fresh = self._opened(keep=False)
        progress.is_connected = False
        return await _post(self._fresh, url, body, headers, progress)

    async def close(self) -> None:
        """Close all connections."""
        if self._connecting is not None:
            self._connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connecting
        for session in filter(None, (self._session, self._fresh)):
            await session.close()

    def _opened(self, *, keep: bool) -> aiohttp.ClientSession:
        """Return a session; without `keep` each of its requests is on a connection of its own."""
        connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=IDLE_SECONDS if keep else None,
            force_close=not keep,
            resolver=self._resolver,
            happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
        )
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(_note_connection)
        tracing.on_connection_reuseconn.append(_note_reuse)
        return aiohttp.ClientSession(
            connector=connector,
            # Answers are bounded as they are sent, so nothing may blow them up afterwards.
            auto_decompress=False,
            skip_auto_headers=["Accept-Encoding", "User-Agent"],
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=LONGEST_SECONDS),
            trace_configs=[tracing],
            trust_env=False,
        )

    def _connect(self, session: aiohttp.ClientSession, url: str) -> None:
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(_connect(session, url))


class _Progress:
    """How far a request came."""

    is_connected = False
    is_reused = False
    is_answered = False


async def _note_connection(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: object
) -> None:
    context.trace_request_ctx.is_connected = True


async def _note_reuse(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: object
) -> None:
    context.trace_request_ctx.is_connected = context.trace_request_ctx.is_reused = True


async def _connect(session: aiohttp.ClientSession, url: str) -> None:
    """Leave a connection in the pool: ask for something that runs no handler."""
    with contextlib.suppress(InvocationFailed, aiohttp.ClientError, OSError, ValueError):
        async with (
            asyncio.timeout(CONNECT_SECONDS),
            session.head(
                URL(url, encoded=True), allow_redirects=False, trace_request_ctx=_Progress()
            ),
        ):
            pass


async def _post(
    session: aiohttp.ClientSession,
    url: str,
    body: bytes,
    headers: dict[str, str],
    progress: _Progress,
) -> Answer:
    async with session.post(
        URL(url, encoded=True),
        data=body,
        headers=headers,
        allow_redirects=False,
        trace_request_ctx=progress,
    ) as response:
        progress.is_answered = True
        answer = await _bounded(response.content)
        if len(answer) > ANSWER_BYTES:
            response.close()
        names = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, names, answer)


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    chunks = bytearray()
    while len(chunks) <= ANSWER_BYTES:
        chunk = await content.read(ANSWER_BYTES + 1 - len(chunks))
        if not chunk:
            break
        chunks += chunk
    return bytes(chunks)


def _named(error: Exception) -> str:
    """Return the kind of error, and the system's word for it, which names no content."""
    reason = error.strerror if isinstance(error, OSError) else None
    return f"{type(error).__name__}: {reason}" if reason else type(error).__name__
