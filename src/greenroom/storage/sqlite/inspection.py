"""Look at the store of a directory as a start would, and change nothing."""

import os
import sqlite3
from errno import EACCES, ENOSPC
from pathlib import Path

import msgspec

from greenroom.storage.schema import SQLITE, steps
from greenroom.storage.sqlite import database_file, lock, regions, secrets
from greenroom.storage.sqlite.lock import unwritable

INDEX_BYTES = 32 * 1024
"""What SQLite takes for the index of its log, before anything is read."""

NEWEST = steps(SQLITE)[-1].number
"""The last step that this version knows."""


class Inspection(msgspec.Struct, frozen=True):
    """What there is."""

    exists: bool = False
    """Whether there is a database."""
    holder: str = ""
    """Process id of who has it open, "" when nobody has."""
    kept: bytes | None = None
    """The secret that was asked for."""
    regions: frozenset[str] = frozenset()
    """Where any account has a room or a logging configuration."""
    schema: int = NEWEST
    """The last step that the database has seen; a start runs those after it."""


def inspect(directory: Path, secret: str) -> Inspection:
    """Look at the directory's store, also beside the process that has it open.

    Raises:
        StoreUnwritable: the directory cannot be made or written, or the file not be read.
        StoreForeign: the file is damaged, not ours, or of a newer version.
    """
    if not os.path.lexists(directory):
        above = _check_makeable(directory)
        _check_space(above, directory / database_file.DATABASE)
        return Inspection()
    _check_writable(directory)
    holder, left = lock.look(directory)
    path = directory / database_file.DATABASE
    try:
        if holder:
            with database_file.shared(directory) as connection:
                return _read(connection, holder, secret)
        if not database_file.has_log(path):
            # A log that was left has its index beside it.
            _check_space(directory, path)
        if not database_file.examine(path, NEWEST, left):
            return Inspection()
        with database_file.untouched(path, logged=database_file.has_log(path)) as connection:
            return _read(connection, "", secret)
    except (OSError, sqlite3.Error) as error:
        raise unwritable(path, error) from error


def inspect_directory(directory: Path) -> str:
    """Look at a directory without a store; return the process id of who holds it, "" for nobody.

    Raises:
        StoreUnwritable: it cannot be made or written.
    """
    if not os.path.lexists(directory):
        _check_makeable(directory)
        return ""
    _check_writable(directory)
    holder, _ = lock.look(directory)
    return holder


def _check_makeable(directory: Path) -> Path:
    above = next((each for each in directory.absolute().parents if each.exists()), Path("/"))
    _check_writable(above)
    return above


def _read(connection: sqlite3.Connection, holder: str, secret: str) -> Inspection:
    """Read what every schema has, from the first step on."""
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    kept = secrets.kept(connection, secret)
    return Inspection(True, holder, kept, regions.in_use(connection), schema)


def _check_writable(directory: Path) -> None:
    if not directory.is_dir():
        raise unwritable(directory, NotADirectoryError())
    if not os.access(directory, os.W_OK | os.X_OK):
        raise unwritable(directory, OSError(EACCES, os.strerror(EACCES)))


def _check_space(directory: Path, database: Path) -> None:
    disk = os.statvfs(directory)
    # The last blocks of many disks are root's.
    blocks = disk.f_bavail if os.geteuid() else disk.f_bfree
    if blocks * disk.f_frsize < INDEX_BYTES:
        raise unwritable(database, OSError(ENOSPC, os.strerror(ENOSPC)))
