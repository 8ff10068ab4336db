"""Copy a directory's database, whether or not a service has it open, and check a copy.

- **One moment.** A copy holds what was committed at one instant: every write that was answered
  before the copy began, each whole.
- **Beside a service** nothing waits: the copy only reads, and writes go on into the log, which
  grows meanwhile.
- **Without one** the store is looked at as a start does. Where a killed service has left a log, the
  directory is locked meanwhile; else a start is not held up, and the copy begins anew when there
  was one.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from greenroom.storage.base import StoreForeign, StoreInUse, StoreUnwritable
from greenroom.storage.schema import SQLITE, steps
from greenroom.storage.sqlite import database_file, lock, secrets

ATTEMPTS = 5
"""How often a copy is begun when services start and stop meanwhile."""

STEP_PAGES = 4_096
"""Pages that are copied at once: 16 MiB, between which whoever looks on is told."""

COUNTED = {
    "rooms": "rooms",
    "logging configurations": "logging_configurations",
    "users": "identity_users",
    "roles": "identity_roles",
    "policies": "identity_policies",
    "access keys": "identity_keys",
    "restrictions of users": "restrictions",
    "used chat tokens": "redeemed_tokens",
    "waiting chat log records": "journal",
}
"""What is counted, and in which table."""


class Contents(msgspec.Struct, frozen=True):
    """What a database holds: the number of its schema, and how many there are of what."""

    schema: int
    counts: dict[str, int]


Watch = Callable[[int, int], None]
"""Is told how many pages are copied, and of how many, now and then."""


def copy(directory: Path, destination: Path, watch: Watch = lambda _done, _all: None) -> None:
    """Copy the directory's database into a new file, mode 0600, and have it on the disk.

    Raises:
        StoreForeign: there is none, or it is damaged, not ours, or of a newer version.
        StoreUnwritable: the database cannot be read, or the copy not be written.
        StoreInUse: services start and stop all the time.
    """
    path = directory / database_file.DATABASE
    if not path.is_file():
        raise StoreForeign(
            f"{directory} holds no {database_file.DATABASE}: is it the right --data-dir?"
        )
    for _ in range(ATTEMPTS):
        with _undisturbed(directory) as (connection, is_over):
            _write(connection, destination, watch)
            if is_over():
                return
        destination.unlink()
    raise StoreInUse(f"{directory}: services start and stop on it all the time; try again")


def check(path: Path) -> Contents:
    """Read a copy from its first page to its last, and write nothing.

    Raises:
        StoreForeign: it is damaged, not ours, or of a newer version.
    """
    newest = steps(SQLITE)[-1].number
    try:
        with database_file.untouched(path, logged=False) as connection:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            if application != database_file.APPLICATION_ID:
                raise StoreForeign(f"{path} is no database of Greenroom's")
            if schema > newest:
                raise StoreForeign(
                    f"{path} is of a newer version (schema {schema}, this one knows {newest}):"
                    " use that version"
                )
            (result,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if result != "ok" or connection.execute("PRAGMA foreign_key_check").fetchone():
                raise StoreForeign(f"{path} is damaged ({str(result).splitlines()[-1]})")
            return Contents(schema, _counts(connection))
    except sqlite3.Error as error:
        raise StoreForeign(f"{path} is damaged ({error})") from None


def kept_secret(path: Path, name: str) -> bytes | None:
    """Return a secret that a checked copy keeps."""
    with database_file.untouched(path, logged=False) as connection:
        return secrets.kept(connection, name)


@contextmanager
def _undisturbed(directory: Path) -> Iterator[tuple[sqlite3.Connection, Callable[[], bool]]]:
    """Give a connection to copy from, and what says afterwards whether all is of one moment."""
    path = directory / database_file.DATABASE
    try:
        holder, left = lock.look(directory)
        if holder:
            with database_file.shared(directory) as connection:
                yield connection, lambda: True
        elif database_file.has_log(path):
            with lock.locked(directory) as held:
                database_file.examine(path, steps(SQLITE)[-1].number, held)
                with database_file.untouched(path, logged=True) as connection:
                    yield connection, lambda: True
        else:
            before = _state(path)
            database_file.examine(path, steps(SQLITE)[-1].number, left)
            with database_file.untouched(path, logged=False) as connection:
                yield connection, lambda: before == _state(path) and not lock.look(directory)[0]
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StoreUnwritable(f"{path} cannot be copied ({reason})") from None


def _state(path: Path) -> tuple[object, ...]:
    """Return what a service changes about the files when it opens them."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, database_file.has_log(path)


def _write(connection: sqlite3.Connection, destination: Path, watch: Watch) -> None:
    try:
        _write_file(connection, destination, watch)
    except OSError as error:
        raise StoreUnwritable(f"{destination} cannot be written ({error.strerror})") from None
    except sqlite3.Error as error:
        if lock.is_full(error):
            raise StoreUnwritable(f"{destination} cannot be written, the disk is full") from None
        raise


def _write_file(connection: sqlite3.Connection, destination: Path, watch: Watch) -> None:
    def told(_status: int, remaining: int, pages: int) -> None:
        watch(pages - remaining, pages)

    descriptor = os.open(destination, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with closing(sqlite3.connect(destination, isolation_level=None)) as copied:
            # Whoever is killed leaves a copy that nobody takes for one.
            copied.execute("PRAGMA journal_mode = OFF")
            # In a transaction every step reads what was there at the first one.
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            connection.backup(copied, pages=STEP_PAGES, progress=told)
            connection.execute("COMMIT")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    return {
        word: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for word, table in COUNTED.items()
        if table in tables
    }
