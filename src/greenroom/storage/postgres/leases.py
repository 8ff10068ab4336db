"""Leases as advisory locks, all of a node's on one connection of its own.

PostgreSQL gives a session's locks back when the session ends. So that it ends soon whatever happens
to the node: the server ends it when nothing is asked for `LEASE_SECONDS` (`idle_session_timeout`),
also that of a process which was stopped; a keeper asks more often. The node counts from when it
sent what was answered last, and so stops before the server does.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b

from greenroom.storage.leases import LEASE_SECONDS, Lease
from greenroom.storage.postgres.failures import ERRORS, unavailable
from greenroom.storage.postgres.session import Connection
from greenroom.storage.rules import closed

SIGNS = 4
"""How often a sign of life is given while a lease may last without any."""

MARGIN = 0.05
"""By which part of that time the node is more careful than the server."""


class PostgresLeases:
    """`Leases` of one node; `connect` makes connections that nobody else uses."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        seconds: float = LEASE_SECONDS,
    ) -> None:
        self._connect = connect
        self._seconds = seconds
        self._session: _Session | None = None
        self._opening: asyncio.Task[_Session] | None = None
        self._closed = False

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[Lease]:
        """Give a lease, held or not."""
        session = await self._opened()
        key = _key(name)
        try:
            lease = await session.take(key)
        except ERRORS as error:
            session.end()
            raise unavailable(error) from error
        try:
            yield lease
        finally:
            session.give_back(key, lease)

    async def close(self) -> None:
        """Give everything back, and give nothing from now on."""
        self._closed = True
        if self._opening is not None:
            await asyncio.wait((self._opening,))
        if self._session is not None:
            await self._session.close()

    async def _opened(self) -> "_Session":
        if self._closed:
            raise closed()
        if self._session is not None and not self._session.ended:
            return self._session
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            # All who wait may have been cancelled when it fails.
            self._opening.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            # Whoever is cancelled leaves it to the others.
            return await asyncio.shield(self._opening)
        except ERRORS as error:
            raise unavailable(error) from error

    async def _open(self) -> "_Session":
        try:
            connection = await self._connect()
            self._session = await _Session.begin(connection, self._seconds)
            return self._session
        finally:
            self._opening = None


class _Session:
    """The connection and what it holds, until it ends."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        self.ended = False
        self._connection = connection
        self._seconds = seconds
        self._heard = time.monotonic()
        self._held: dict[int, Lease] = {}
        self._given_back: set[int] = set()
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @classmethod
    async def begin(cls, connection: Connection, seconds: float) -> "_Session":
        session = cls(connection, seconds)
        connection.add_termination_listener(lambda _: session.end())
        try:
            limit = f"{1000 * seconds:.0f}ms"
            await session._ask("SELECT set_config('idle_session_timeout', $1, false)", limit)
        except BaseException:
            connection.terminate()
            raise
        session._keeper = asyncio.create_task(session._keep())
        return session

    async def take(self, key: int) -> Lease:
        async with self._turn:
            await self._unlock()
            # The session would get its own locks a second time.
            if key in self._held:
                return Lease(held=False)
            # Should the answer be lost, it is given back; what is not held can be given back, too.
            self._given_back.add(key)
            if not await self._ask("SELECT pg_try_advisory_lock($1)", key):
                self._given_back.discard(key)
                return Lease(held=False)
            self._given_back.discard(key)
            if self.ended:
                return Lease(held=False)
            lease = self._held[key] = Lease(True, self._is_alive)
            return lease

    def give_back(self, key: int, lease: Lease) -> None:
        if self._held.get(key) is lease:
            del self._held[key]
            self._given_back.add(key)
            self._wake.set()

    def end(self) -> None:
        """Tell all holders; the server finds out by itself."""
        if self.ended:
            return
        self.ended = True
        held, self._held = self._held, {}
        for lease in held.values():
            lease.lose()
        self._wake.set()
        self._connection.terminate()

    async def close(self) -> None:
        """Give everything back and say goodbye."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait((self._keeper,))
        with suppress(*ERRORS):
            await self._connection.close(timeout=1)
        self.end()

    def _is_alive(self) -> bool:
        return time.monotonic() - self._heard < self._seconds * (1 - MARGIN)

    async def _keep(self) -> None:
        while not self.ended:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds / SIGNS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                async with self._turn:
                    await self._unlock()
                    await self._ask("SELECT 1")
            except ERRORS:
                self.end()

    async def _unlock(self) -> None:
        for key in tuple(self._given_back):
            await self._ask("SELECT pg_advisory_unlock($1)", key)
            self._given_back.discard(key)

    async def _ask(self, statement: str, *arguments: object) -> object:
        sent = time.monotonic()
        answer: object = await self._connection.fetchval(statement, *arguments)
        self._heard = sent
        return answer


def _key(name: str) -> int:
    """Return the number of the lock; others who use the database have other ones."""
    digest = blake2b(f"greenroom {name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
