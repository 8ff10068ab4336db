"""Keeps a room connected: retries what breaks, replaces what is about to end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from ssl import SSLContext

import aiohttp

from greenroom.client.connection import Connection, Ended
from greenroom.client.entities import ChatToken, ConnectionState, DisconnectReason

TokenProvider = Callable[[], Awaitable[object]]
Opened = tuple[Connection, ChatToken]

_FAILURES = (OSError, aiohttp.ClientError, TimeoutError)
"""What a connection that does not come about raises."""

_log = logging.getLogger(__name__)


class Keeper:
    """Has one connection of a room, and another one while it takes over."""

    def __init__(
        self,
        url: Callable[[], str],
        provider: TokenProvider,
        *,
        attempts: int | None,
        delay: Callable[[int], float],
        ssl: SSLContext | bool,
        received: Callable[[str], None],
        changed: Callable[[ConnectionState], None],
        broke: Callable[[], None],
    ) -> None:
        """Make it.

        `url` returns where to connect to, for each connection; `broke` is called whenever what was
        sent may never be answered.
        """
        self.current: Connection | None = None
        self.failure: Exception | None = None
        """Why the last attempt failed."""
        self._url = url
        self._provider = provider
        self._attempts = attempts
        self._delay = delay
        self._ssl = ssl
        self._received = received
        self._changed = changed
        self._broke = broke
        self._closing: set[asyncio.Task[None]] = set()

    async def stay_connected(self, session: aiohttp.ClientSession) -> DisconnectReason:
        """Be connected until it is over; return why it is."""
        while True:
            self._changed(ConnectionState.CONNECTING)
            opened = await self._open_persistently(session)
            if isinstance(opened, DisconnectReason):
                return opened
            self.current = opened[0]
            self._changed(ConnectionState.CONNECTED)
            ended = await self._keep_fresh(session, *opened)
            self.current = None
            self._broke()
            if ended is Ended.CLOSED:
                return DisconnectReason.SERVER_DISCONNECT

    async def _open_persistently(self, session: aiohttp.ClientSession) -> Opened | DisconnectReason:
        """Open a connection, with as many attempts as there may be."""
        attempt = 0
        while True:
            try:
                return await self._open(session)
            except _TokenError as error:
                reason, self.failure = DisconnectReason.FETCH_TOKEN_ERROR, error.reason
            except _FAILURES as error:
                reason, self.failure = DisconnectReason.SOCKET_ERROR, error
            attempt += 1
            if self._attempts is not None and attempt > self._attempts:
                return reason
            _log.info("attempt %d to connect failed: %s", attempt, reason)
            await asyncio.sleep(self._delay(attempt))

    async def _open(self, session: aiohttp.ClientSession) -> Opened:
        try:
            token = ChatToken.of(await self._provider())
        except Exception as error:
            raise _TokenError(error) from error
        self.failure = None
        return await Connection.open(
            session, self._url(), token.token, self._ssl, self._received
        ), token

    async def _keep_fresh(
        self, session: aiohttp.ClientSession, connection: Connection, token: ChatToken
    ) -> Ended:
        """Replace the connection before each one's end; return how the last one ended."""
        while True:
            fresh = asyncio.create_task(self._open_later(session, token))
            try:
                await asyncio.wait({connection.ended, fresh}, return_when=asyncio.FIRST_COMPLETED)
                if not fresh.done():
                    return connection.ended.result()
                old, (connection, token) = connection, fresh.result()
            finally:
                fresh.cancel()
            self.current = connection
            self._close(old)

    async def _open_later(self, session: aiohttp.ClientSession, token: ChatToken) -> Opened:
        """Open the next connection in time; while that fails, the present one goes on."""
        ends = token.ends()
        if ends is None:
            await asyncio.Event().wait()
            raise AssertionError
        remaining = (ends - datetime.now(UTC)).total_seconds()
        if remaining <= 0:
            # Nobody gives a token that has ended: this machine's clock is ahead. The session's end
            # is told by the service, and answered by a new connection.
            _log.warning("the clock is ahead of the service's: sessions are not replaced in time")
            await asyncio.Event().wait()
        await asyncio.sleep(refresh_in(remaining))
        attempt = 0
        while True:
            try:
                return await self._open(session)
            except (_TokenError, *_FAILURES) as error:
                attempt += 1
                _log.info("the connection is not replaced yet: %s", type(error).__name__)
                await asyncio.sleep(self._delay(attempt))

    def _close(self, connection: Connection) -> None:
        """Close a connection in the background; what it still brings is told."""
        task = asyncio.create_task(connection.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close every connection, and wait until that is done."""
        if self.current is not None:
            self._close(self.current)
            self.current = None
        if self._closing:
            await asyncio.wait(set(self._closing))


class _TokenError(Exception):
    """The token provider failed."""

    def __init__(self, reason: Exception) -> None:
        self.reason = reason


def refresh_in(remaining: float) -> float:
    """Return after how many seconds to replace a connection that has so many left.

    As the SDK for JavaScript does, a minute before; of a short one, half a minute. Of one that is
    shorter still, half of its time, and a second at least: each refresh is a token.
    """
    early = 60.0 if remaining > 60 else 30.0
    return max(remaining / 2 if remaining <= early else remaining - early, 1.0)
