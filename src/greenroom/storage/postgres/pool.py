"""Connections that are kept open, lent to one call at a time.

asyncpg's own pool asks the server to reset a connection each time that it comes back, and waits
politely for servers that are gone. Here what fails is given up at once, and what was not used for
long is made anew, because a firewall may have forgotten it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from greenroom.storage.postgres.failures import ERRORS, Meaning, meaning_of
from greenroom.storage.postgres.session import Connection

IDLE_SECONDS = 60.0
"""A connection that was not used for so long is not used again."""


class Pool:
    """At most `size` connections, made when they are needed."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], size: int) -> None:
        self._connect = connect
        self._free = asyncio.Semaphore(size)
        self._idle: list[tuple[Connection, float]] = []

    @asynccontextmanager
    async def connection(self, seconds: float) -> AsyncIterator[Connection]:
        """Lend a connection, outside of any transaction.

        Raises:
            TimeoutError: none was given back within the seconds.
            Exception: one of `failures.ERRORS`: none could be made.
        """
        async with asyncio.timeout(seconds):
            await self._free.acquire()
        try:
            connection = self._pop() or await self._connect()
            try:
                yield connection
            except Exception as error:
                await self._end(connection, error)
                raise
            except BaseException:
                connection.terminate()
                raise
            self._keep(connection)
        finally:
            self._free.release()

    def forget(self) -> None:
        """Give up the connections that nobody uses: they lead to a server that is gone."""
        while self._idle:
            self._idle.pop()[0].terminate()

    async def close(self) -> None:
        """Say goodbye on the connections, all of which nobody uses any more."""
        while self._idle:
            connection, _ = self._idle.pop()
            try:
                await connection.close(timeout=1)
            except ERRORS:
                connection.terminate()

    def _pop(self) -> "Connection | None":
        """Return the one that was used last, if it may still be good."""
        while self._idle:
            connection, since = self._idle.pop()
            if not connection.is_closed() and _now() - since < IDLE_SECONDS:
                return connection
            connection.terminate()
        return None

    async def _end(self, connection: Connection, error: Exception) -> None:
        """End the transaction that failed, or the connection, if it failed."""
        if isinstance(error, ERRORS) and meaning_of(error) is Meaning.LOST:
            connection.terminate()
            self.forget()
            return
        try:
            if connection.is_in_transaction():
                await connection.execute("ROLLBACK")
        except ERRORS:
            connection.terminate()
        else:
            self._keep(connection)

    def _keep(self, connection: Connection) -> None:
        self._idle.append((connection, _now()))


def _now() -> float:
    return asyncio.get_running_loop().time()
