"""Stores that several nodes share, each with a way to end the session of its leases."""

from typing import Protocol

from greenroom.storage.base import Store
from greenroom.storage.journal import SharedJournal
from greenroom.storage.memory.journal import MemoryJournal
from greenroom.storage.memory.store import MemoryStore
from greenroom.storage.postgres.store import PostgresStore


class SharedStore(Store, Protocol):
    """A store whose journal is shared."""

    @property
    def journal(self) -> SharedJournal:
        """Return the journal."""

    async def lose_leases(self) -> None:
        """End the session that holds the leases, as an operator can."""


class SharedMemoryStore(MemoryStore):
    """The store in memory, shared by those who have the object."""

    journal: MemoryJournal

    async def lose_leases(self) -> None:
        self.journal.lose_leases()


class SharedPostgresStore(PostgresStore):
    """The store in PostgreSQL."""

    async def lose_leases(self) -> None:
        connection = await self._database.connect()
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON oid = database"
            " WHERE locktype = 'advisory' AND datname = current_database()"
        )
        await connection.close()
