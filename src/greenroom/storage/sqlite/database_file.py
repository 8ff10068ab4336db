"""Open the database file of a directory, or say in one line why not.

- A file that is missing or empty becomes a new database. It is built beside its final name and
  renamed, so the final name never holds half of one.
- **A file that is not ours is never written**, not even by recovery: what decides is read first,
  without SQLite or through a read-only connection that leaves no file behind.
- A database that must have been there is missed: one whose key lies there, one whose log a killed
  process left. So is the end of a log that SQLite would throw away; see `write_ahead_log`.
- A file shorter than its header says is damaged. Every page is checked (`PRAGMA quick_check`) when
  the last process did not close the database, or when that is quick: up to `ALWAYS_CHECKED_BYTES`.
  A larger file that was closed properly is opened without that check, so that starting stays fast.
"""

import os
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec

from greenroom.process.files import synchronize
from greenroom.storage.base import StoreForeign, StoreRefused
from greenroom.storage.schema import SQLITE, Step, steps
from greenroom.storage.sqlite import write_ahead_log
from greenroom.storage.sqlite.lock import LOCK, Left, Lock, in_use, is_full, locked, unwritable

DATABASE = "greenroom.db"
"""The database file's name in its directory."""

APPLICATION_ID = 0x47526F6F
"""Marks our files in SQLite's header: "GRoo" in ASCII."""

ALWAYS_CHECKED_BYTES = 32 * 1024 * 1024
"""Files up to this size are checked page by page at every start."""

CACHE_KILOBYTES = 16_384
"""How much of the database each of the two connections keeps in memory."""

RESTORING = ".restoring"
"""A directory that is there while a backup, or another database, is put into the data directory."""

MADE_WITH_STORE = ("secrets.key", "credentials")
"""Files of the data directory that are made only after the database: see `vault`, `credentials`."""

_LOGS = ("-wal", "-journal")

_HEADER = struct.Struct(">16sH6xII28xI4xI20xI4x")
"""SQLite's file format, section 1.3: magic, page size, change counter, pages, user version,
application id, the change counter for which the page count is valid."""

_MAGIC = b"SQLite format 3\0"


class DatabaseFile:
    """A directory's database, which is opened twice: to write, and then to read beside that."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / DATABASE
        self._lock: Lock | None = None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open it for this process alone; close it and its log at the end.

        Raises:
            StoreInUse: another process has it open.
            StoreUnwritable: the directory or the file cannot be written.
            StoreForeign: the file is damaged, not ours, or of a newer version; it was not touched.
        """
        with (
            locked(self._directory) as lock,
            closing(_open(self._path, steps(SQLITE), lock)) as connection,
        ):
            self._lock = lock
            if self._has_log():
                lock.note_log(True)
            try:
                yield connection
            finally:
                # Closing merges the log and removes it.
                self._lock = None
                lock.note_log(False)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open it, while it is open for writing, only to read it.

        Raises:
            StoreUnwritable: the file cannot be opened.
        """
        try:
            connection = _connect(self._path, "mode=rw")
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KILOBYTES}")
        except sqlite3.Error as error:
            raise unwritable(self._path, error) from error
        with closing(connection):
            yield connection

    def committed(self) -> None:
        """Note, behind the first commit that wrote something, that there is a log from now on."""
        lock = self._lock
        if lock is not None and self._has_log():
            lock.note_log(True)
            self._lock = None

    def _has_log(self) -> bool:
        return not write_ahead_log.holds_nothing(_beside(self._path, "-wal"))


@contextmanager
def shared(directory: Path) -> Iterator[sqlite3.Connection]:
    """Read the directory's database beside the process that has it open.

    Raises:
        StoreForeign: the file is not ours, or of a newer version.
        sqlite3.Error: it cannot be read.
    """
    path, newest = directory / DATABASE, steps(SQLITE)[-1].number
    with closing(_connect(path, "mode=ro")) as connection:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise _foreign(path, "is a database of another application")
        if version > newest:
            raise _newer(path, version, newest)
        yield connection


def upgrade(connection: sqlite3.Connection, schema: Sequence[Step]) -> None:
    """Run the steps that the database has not seen, each in one transaction with its number."""
    (present,) = connection.execute("PRAGMA user_version").fetchone()
    for step in schema:
        if step.number > present:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{step.sql}\nPRAGMA user_version = {step.number};\nCOMMIT;"
            )


def create(path: Path, schema: Sequence[Step]) -> None:
    """Make a new database, which has its name when it is whole.

    Raises:
        StoreUnwritable: it cannot be written.
        OSError: likewise.
    """
    new = path.with_name(path.name + ".new")
    for leftover in (new, _beside(new, "-journal"), _beside(new, "-wal"), _beside(new, "-shm")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(_connect(new, "mode=rw")) as connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            upgrade(connection, schema)
            connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error as error:
        raise unwritable(path, error) from error
    new.replace(path)
    synchronize(path.parent)


def _open(path: Path, schema: Sequence[Step], lock: Lock) -> sqlite3.Connection:
    try:
        if not examine(path, schema[-1].number, lock):
            create(path, schema)
        connection = _connect(path, "mode=rw")
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        _prepare(connection)
        upgrade(connection, schema)
    except sqlite3.Error as error:
        lock.note_log(False)
        connection.close()
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise in_use(path.parent) from error
        raise unwritable(path, error) from error
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KILOBYTES}")
    connection.execute("PRAGMA journal_size_limit = 67108864")


def _connect(path: Path, parameters: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{parameters}",
        uri=True,
        isolation_level=None,
        cached_statements=256,
    )


class _Header(msgspec.Struct, frozen=True):
    """What the first 100 bytes of a SQLite file say."""

    magic: bytes
    page_size: int
    changes: int
    pages: int
    user_version: int
    application_id: int
    pages_valid_for: int

    def bytes(self) -> int:
        """Return the length that the file must have at least, 0 when the header cannot tell."""
        size = 65536 if self.page_size == 1 else self.page_size
        return size * self.pages if self.changes == self.pages_valid_for else 0


def examine(path: Path, newest: int, lock: Left) -> bool:
    """Return whether the file is a database of ours; False when there is none yet.

    Nothing is written.

    Raises:
        StoreForeign: it is damaged, not ours, or of a newer version.
    """
    logged = has_log(path)
    size = _size(path)
    if not size:
        if logged:
            raise _foreign(path, "is missing or empty but its write-ahead log is not")
        _check_nothing_is_left(path, lock)
        return False
    header = _read_header(path)
    if header is None or header.magic != _MAGIC:
        raise _foreign(path, "is not a SQLite database")
    if header.application_id != APPLICATION_ID:
        if logged or header.application_id or header.user_version or not _is_blank(path):
            raise _foreign(path, "is a database of another application")
        return False
    if header.user_version > newest:
        raise _newer(path, header.user_version, newest)
    if not logged and size < header.bytes():
        raise _damaged(path, f"{size} bytes of {header.bytes()}")
    _check_with_log(path, header, newest, lock, every_page=logged or size <= ALWAYS_CHECKED_BYTES)
    return True


def _check_with_log(
    path: Path, header: _Header, newest: int, lock: Left, *, every_page: bool
) -> None:
    """See that nothing of the log is missing, and that both can be read."""
    log = _beside(path, "-wal")
    if lock.must_have_log and write_ahead_log.holds_nothing(log):
        raise _log_missing(path, log)
    logged = has_log(path)
    recovered = _check_contents(path, newest, logged=logged, every_page=every_page)
    if recovered is not None and log.exists():
        fault = write_ahead_log.fault(log, recovered, header.changes, same_boot=lock.same_boot)
        if fault is not None:
            raise _log_damaged(path, log, fault)


def _check_nothing_is_left(path: Path, lock: Left) -> None:
    """Refuse to begin anew beside what only a store that was there before can have left."""
    if (path.parent / RESTORING).is_dir():
        raise StoreForeign(
            f"{path.parent} holds a migration or a restore that was interrupted: run greenroom"
            " migrate or greenroom restore once more"
        )
    left = [name for name in MADE_WITH_STORE if (path.parent / name).is_file()]
    if lock.must_have_log:
        left.append(LOCK)
    if left:
        names = " and ".join(left)
        raise StoreForeign(
            f"{path} is missing or empty, but {names} lies beside it: restore the database from a"
            f" backup; to begin anew, move {names} away or choose another data directory"
        )


def _read_header(path: Path) -> _Header | None:
    """Return the file's header, having seen that it can be written."""
    if not path.is_file():
        return None
    with path.open("r+b") as file:
        start = file.read(_HEADER.size)
    return _Header(*_HEADER.unpack(start)) if len(start) == _HEADER.size else None


def _is_blank(path: Path) -> bool:
    """Return whether the file is a SQLite database that was never used."""
    with closing(_connect(path, "immutable=1")) as connection:
        try:
            return connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None
        except sqlite3.Error:
            return False


@contextmanager
def untouched(path: Path, *, logged: bool) -> Iterator[sqlite3.Connection]:
    """Read a database that nobody has open, and leave no file behind.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    shared = _beside(path, "-shm")
    keep_shared = shared.exists()
    try:
        with closing(_connect(path, "mode=ro" if logged else "immutable=1")) as connection:
            yield connection
    finally:
        if not keep_shared:
            with suppress(OSError):
                shared.unlink(missing_ok=True)


def has_log(path: Path) -> bool:
    """Return whether what was written last is in a file beside the database."""
    return any(_size(_beside(path, suffix)) for suffix in _LOGS)


def _check_contents(path: Path, newest: int, *, logged: bool, every_page: bool) -> int | None:
    """Read the database as it is with its log, which only a read-only connection can do safely.

    Without a log the file is immutable for the moment, and SQLite makes no files beside it. With
    one, return how many of its frames were taken, if SQLite says so.
    """
    shared = _beside(path, "-shm")
    try:
        with untouched(path, logged=logged) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            check = "PRAGMA quick_check(1)" if every_page else "SELECT count(*) FROM sqlite_master"
            (result,) = connection.execute(check).fetchone()
            recovered = write_ahead_log.recovered_frames(shared) if logged else None
    except sqlite3.Error as error:
        raise unwritable(path, error) if is_full(error) else _damaged(path, str(error)) from error
    if every_page and result != "ok":
        raise _damaged(path, str(result).splitlines()[-1])
    if version > newest:
        raise _newer(path, version, newest)
    return recovered


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _foreign(path: Path, why: str) -> StoreRefused:
    return StoreForeign(f"{path} {why}: move it away, or choose another data directory")


def _damaged(path: Path, why: str) -> StoreRefused:
    return StoreForeign(
        f"{path} is damaged ({why}): restore it from a backup, or choose another data directory"
    )


def _log_missing(path: Path, log: Path) -> StoreRefused:
    return StoreForeign(
        f"{path} lacks {log.name}, which was there when the service was killed: what was answered"
        f" last would be lost. Put it back; if another program has merged it, or to go on without,"
        f" remove {path.with_name(LOCK)}"
    )


def _log_damaged(path: Path, log: Path, why: str) -> StoreRefused:
    return StoreForeign(
        f"{path} would lose what was answered ({why}): restore both from a backup; to go on with"
        f" what {path.name} holds by itself, move {log.name} and {LOCK} away"
    )


def _newer(path: Path, version: int, newest: int) -> StoreRefused:
    return StoreForeign(
        f"{path} is of a newer version (schema {version}, this one knows {newest}): "
        "run that version, or choose another data directory"
    )
