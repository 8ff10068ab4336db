"""A store in SQLite that does not wait for the disk."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from greenroom.storage.sqlite.database_file import DatabaseFile
from greenroom.storage.sqlite.store import SqliteStore
from greenroom.storage.sqlite.worker import SqliteWorker


async def hasty_store(directory: Path) -> SqliteStore:
    """Open a store that does not wait for the disk, which no test here can tell."""
    file = DatabaseFile(directory)
    return SqliteStore(await SqliteWorker.start(partial(_hasty, file), file.reading))


@contextmanager
def _hasty(file: DatabaseFile) -> Iterator[sqlite3.Connection]:
    with file.writing() as connection:
        connection.execute("PRAGMA synchronous = OFF")
        yield connection
