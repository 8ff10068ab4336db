"""A directory's database as what everything moves from, or to."""

import os
import sqlite3
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from greenroom.process.files import synchronize
from greenroom.storage.base import StoreForeign, StoreUnwritable
from greenroom.storage.moving import ROWS
from greenroom.storage.schema import SQLITE, steps
from greenroom.storage.sqlite import copy, database_file, lock, secrets
from greenroom.storage.sqlite.database_file import DATABASE
from greenroom.storage.tables import COUNT_QUEUES, TABLES, Row, Table


class SqliteSide:
    """A `Source` and a `Target` over one connection."""

    def __init__(self, connection: sqlite3.Connection, where: str) -> None:
        self._connection = connection
        self.where = where

    def secret(self, name: str) -> bytes | None:
        """Return what is kept under the name."""
        return secrets.kept(self._connection, name)

    async def counts(self) -> dict[str, int]:
        return {
            table.name: self._connection.execute(table.counted(table.sqlite)).fetchone()[0]
            for table in TABLES
        }

    async def rows(self, table: Table) -> AsyncGenerator[list[Row], None]:
        with closing(self._connection.execute(table.select(table.sqlite))) as cursor:
            while rows := cursor.fetchmany(ROWS):
                yield rows

    async def numbers(self) -> int:
        found = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'journal'")
        row = found.fetchone()
        return 0 if row is None else int(row[0])

    async def add(self, table: Table, rows: Sequence[Row]) -> None:
        own = table.sqlite
        moved = [each for each in table.columns if each not in own.lacks]
        places = [table.columns.index(each) for each in moved]
        values = [own.write.get(each, "{}").format("?") for each in moved]
        values += map(str, own.starts.values())
        self._connection.executemany(
            f"INSERT INTO {table.name} ({', '.join(table.written(own))})"
            f" VALUES ({', '.join(values)})",
            [tuple(row[place] for place in places) for row in rows],
        )

    async def finish(self, numbers: int) -> None:
        self._connection.execute(COUNT_QUEUES)
        self._connection.execute("DELETE FROM sqlite_sequence WHERE name = 'journal'")
        if numbers:
            self._connection.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('journal', ?)", (numbers,)
            )


@contextmanager
def reading(directory: Path) -> Iterator[SqliteSide]:
    """Hold the directory, and read its database as it is; nothing in it changes.

    Raises:
        StoreInUse: a service runs on it.
        StoreForeign: there is none, or it is damaged, not ours, or of another version.
        StoreUnwritable: it cannot be read.
    """
    path, newest = directory / DATABASE, steps(SQLITE)[-1].number
    if not path.is_file():
        raise StoreForeign(f"{directory} holds no {DATABASE}: is it the right directory?")
    try:
        with lock.locked(directory) as held:
            database_file.examine(path, newest, held)
            logged = database_file.has_log(path)
            with database_file.untouched(path, logged=logged) as connection:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                if version != newest:
                    raise StoreForeign(
                        f"{path} is of an older version (schema {version}, this one's is"
                        f" {newest}): start and stop the service of this version on it once"
                    )
                yield SqliteSide(connection, str(directory))
    except sqlite3.Error as error:
        raise StoreUnwritable(f"{path} cannot be read ({error})") from None


@contextmanager
def filling(place: Path) -> Iterator[SqliteSide]:
    """Give a new database in a directory, to be filled; at the end it is whole and on the disk.

    Raises:
        StoreUnwritable: it cannot be written, or not keep a text.
        StoreForeign: it is not whole.
    """
    path = place / DATABASE
    try:
        with _writing(path):
            database_file.create(path, steps(SQLITE))
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            # Whoever is killed leaves a file that nobody takes for a store.
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            yield SqliteSide(connection, str(place))
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")
        with _writing(path):
            _flush(path)
            synchronize(place)
    except UnicodeEncodeError:
        raise StoreUnwritable(f"{path} cannot keep a text that is half a character") from None
    except sqlite3.Error as error:
        if lock.is_full(error):
            raise StoreUnwritable(f"{path} cannot be written, the disk is full") from None
        raise StoreUnwritable(f"{path} cannot be written ({error})") from None
    copy.check(path)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise lock.unwritable(path, error) from None


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
