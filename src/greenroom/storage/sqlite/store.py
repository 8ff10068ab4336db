"""The embedded store: one SQLite file, for one process.

- **Durability.** WAL with `synchronous = FULL`: an answered write also survives a power failure, as
  far as the disk keeps what it has synchronised.
- **Reads** have a connection of their own and wait for no write.
- **Order, atomicity, bounds, failures**: see `worker`, through which every call goes.
- **Opening**: see `database_file` for what is refused, and `lock` for the directory's lock.
"""

import asyncio
import sqlite3
from pathlib import Path
from typing import Self

from greenroom.storage.identities import IdentityStore
from greenroom.storage.sqlite import database_file, secrets
from greenroom.storage.sqlite.database_file import DatabaseFile
from greenroom.storage.sqlite.held_messages import SqliteHeldMessages
from greenroom.storage.sqlite.history import SqliteHistory
from greenroom.storage.sqlite.identities import SqliteTransactions
from greenroom.storage.sqlite.journal import SqliteJournal
from greenroom.storage.sqlite.lock import unwritable
from greenroom.storage.sqlite.logging_configurations import SqliteLoggingConfigurations
from greenroom.storage.sqlite.restrictions import SqliteRestrictions
from greenroom.storage.sqlite.rooms import SqliteRooms
from greenroom.storage.sqlite.secrets import SqliteSecrets
from greenroom.storage.sqlite.sent_messages import SqliteSentMessages
from greenroom.storage.sqlite.tags import SqliteTags
from greenroom.storage.sqlite.token_uses import SqliteTokenUses
from greenroom.storage.sqlite.worker import QUEUE_BOUND, SqliteWorker, WorkerStatistics


class SqliteStore:
    """A `Store` in a directory; made by `open`."""

    def __init__(self, worker: SqliteWorker) -> None:
        self._worker = worker
        self.rooms = SqliteRooms(worker)
        self.logging_configurations = SqliteLoggingConfigurations(worker)
        self.tags = SqliteTags(worker)
        self.token_uses = SqliteTokenUses(worker)
        self.restrictions = SqliteRestrictions(worker)
        self.sent_messages = SqliteSentMessages(worker)
        self.held_messages = SqliteHeldMessages(worker)
        self.history = SqliteHistory(worker)
        self.secrets = SqliteSecrets(worker)
        self.identities = IdentityStore(SqliteTransactions(worker))
        self.journal = SqliteJournal(worker)

    @classmethod
    async def open(cls, directory: Path, queue_bound: int = QUEUE_BOUND) -> Self:
        """Open the directory's store; a missing directory or an empty one gets a new store.

        Raises:
            StoreInUse: another process has it open.
            StoreUnwritable: the directory or the file cannot be written.
            StoreForeign: the file is damaged, not ours, or of a newer version; it was not touched.
        """
        file = DatabaseFile(directory)
        worker = await SqliteWorker.start(file.writing, file.reading, queue_bound, file.committed)
        return cls(worker)

    @staticmethod
    async def look(directory: Path, secret: str) -> bytes | None:
        """Return a kept secret while another process has the store open, of a version we know.

        Raises:
            StoreUnwritable: the file cannot be read.
            StoreForeign: it is not ours, or of a newer version.
        """

        def read() -> bytes | None:
            try:
                with database_file.shared(directory) as connection:
                    return secrets.kept(connection, secret)
            except sqlite3.Error as error:
                raise unwritable(directory / database_file.DATABASE, error) from None

        return await asyncio.to_thread(read)

    @property
    def statistics(self) -> WorkerStatistics:
        """Return the counters of calls, commits, failures and refusals, and the queue's length."""
        return self._worker.statistics

    async def check_writable(self) -> None:
        await self._worker.write(_write_nothing)

    async def close(self) -> None:
        await self._worker.close()


def _write_nothing(connection: sqlite3.Connection) -> None:
    """Write the file's header as it is: one page, through the log and to the disk like all else."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version}")
