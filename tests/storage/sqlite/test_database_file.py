"""Which files become a store, which are refused, and that refused ones stay as they are.

Covers: greenroom.storage.sqlite.lock, greenroom.storage.sqlite.write_ahead_log
"""

import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from greenroom.storage.base import StoreForeign, StoreInUse, StoreRefused, StoreUnwritable
from greenroom.storage.schema import SQLITE, Step, steps
from greenroom.storage.sqlite import database_file, write_ahead_log
from greenroom.storage.sqlite.database_file import APPLICATION_ID, DATABASE, DatabaseFile, upgrade
from greenroom.storage.sqlite.lock import locked

NEWEST = steps(SQLITE)[-1].number


def opened(directory: Path) -> AbstractContextManager[sqlite3.Connection]:
    """Open the directory's database for writing."""
    return DatabaseFile(directory).writing()


def make(directory: Path) -> Path:
    """Make a store with something in it and close it; return its file."""
    with opened(directory) as connection:
        connection.execute("BEGIN")
        for number in range(500):
            connection.execute(
                "INSERT INTO secrets VALUES (?, ?)", (f"{number}", bytes([number % 256]) * 99)
            )
        connection.execute("COMMIT")
    return directory / DATABASE


def names(directory: Path) -> set[str]:
    """Return the names of the files in the directory."""
    return {path.name for path in directory.iterdir()}


def kill_while_open(directory: Path, *statements: str) -> None:
    """Open the store in another process, run the statements and kill it with SIGKILL."""
    program = f"""
import os, pathlib, signal
from greenroom.storage.sqlite.database_file import DatabaseFile
file = DatabaseFile(pathlib.Path({str(directory)!r}))
with file.writing() as connection:
    for statement in {statements!r}:
        connection.execute(statement)
        file.committed()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL


def snapshot(directory: Path) -> dict[str, bytes]:
    """Return the contents of the files but the lock and SQLite's shared memory."""
    return {
        path.name: path.read_bytes()
        for path in directory.iterdir()
        if path.is_file() and path.name != "lock" and not path.name.endswith("-shm")
    }


def refusal(directory: Path) -> str:
    """Return why the directory is refused as foreign, having seen that nothing was touched."""
    before, names_before = snapshot(directory), names(directory) | {"lock"}
    with pytest.raises(StoreForeign) as raised, opened(directory):
        pass
    assert snapshot(directory) == before
    assert names(directory) == names_before
    message = str(raised.value)
    assert message.startswith(str(directory / DATABASE))
    assert "\n" not in message
    return message.removeprefix(f"{directory / DATABASE} ")


def test_new_store_is_private(tmp_path: Path) -> None:
    """A missing directory is made; only its owner can enter it or read the files."""
    directory = tmp_path / "a" / "b"
    with opened(directory) as connection:
        connection.execute("INSERT INTO secrets VALUES ('a', 'b')")
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        files = set(directory.iterdir())
        assert {path.name for path in files} >= {DATABASE, f"{DATABASE}-wal", "lock"}
        for path in files:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_new_store_is_marked(tmp_path: Path) -> None:
    """The file says whose it is and which step it has seen; nothing else is left when closed."""
    make(tmp_path)
    assert names(tmp_path) == {DATABASE, "lock"}
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA user_version").fetchone() == (NEWEST,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_writes_are_synchronised(tmp_path: Path) -> None:
    """The connection waits for the disk at each commit, and guards its references."""
    with opened(tmp_path) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_second_opening_is_refused(tmp_path: Path) -> None:
    """While a store is open its directory is in use, and the error names the process."""
    with opened(tmp_path):
        holder = rf"{tmp_path} is in use by process {os.getpid()}:"
        with pytest.raises(StoreInUse, match=holder), opened(tmp_path):
            pass
    with opened(tmp_path):
        pass


def test_opening_in_another_process_is_refused(tmp_path: Path) -> None:
    """Another process is refused too, and a killed one leaves the directory free."""
    program = f"""
import pathlib
from greenroom.storage.sqlite.database_file import DatabaseFile
with DatabaseFile(pathlib.Path({str(tmp_path)!r})).writing():
    print("open", flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(StoreInUse, match=f"process {process.pid}"), opened(tmp_path):
            pass
        process.kill()
    with opened(tmp_path):
        pass


def test_file_locked_by_a_stranger_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that some other program has locked is in use, by nobody that we know."""
    path = make(tmp_path)
    connect = database_file._connect

    def impatient(path: Path, parameters: str) -> sqlite3.Connection:
        connection = connect(path, parameters)
        connection.execute("PRAGMA busy_timeout = 0")
        return connection

    monkeypatch.setattr(database_file, "_connect", impatient)
    with closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        stranger.execute("PRAGMA locking_mode = EXCLUSIVE")
        stranger.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreRefused, match="in use by another process"), opened(tmp_path):
            pass


def test_empty_file_becomes_a_store(tmp_path: Path) -> None:
    """A file without a byte holds nothing to lose."""
    (tmp_path / DATABASE).touch()
    make(tmp_path)


def test_unused_database_becomes_a_store(tmp_path: Path) -> None:
    """A SQLite file that was made and never used holds nothing to lose."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        connection.execute("VACUUM")
    assert (tmp_path / DATABASE).stat().st_size
    make(tmp_path)
    with opened(tmp_path) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_interrupted_creation_is_begun_anew(tmp_path: Path) -> None:
    """What a process killed while it made the store has left is no obstacle."""
    (tmp_path / f"{DATABASE}.new").write_bytes(b"half")
    (tmp_path / f"{DATABASE}.new-journal").write_bytes(b"half")
    make(tmp_path)
    assert names(tmp_path) == {DATABASE, "lock"}


@pytest.mark.parametrize(
    "content", [b"x", b"hello\n" * 1000, b"SQLite format 3\0", bytes(4096), b"SQLite format 3"]
)
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is not SQLite's is refused, whatever its length."""
    (tmp_path / DATABASE).write_bytes(content)
    assert refusal(tmp_path).startswith("is not a SQLite database:")


def test_header_alone_is_refused(tmp_path: Path) -> None:
    """A file that begins like a database and is none is refused."""
    (tmp_path / DATABASE).write_bytes(b"SQLite format 3\0" + bytes(84) + b"x" * 4000)
    assert refusal(tmp_path).startswith("is a database of another application:")


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE t (a)",),
        ("CREATE TABLE t (a)", "PRAGMA application_id = 7"),
        ("PRAGMA application_id = 7",),
        ("PRAGMA user_version = 7",),
        ("PRAGMA journal_mode = WAL", "CREATE TABLE t (a)"),
    ],
)
def test_database_of_another_application_is_refused(
    tmp_path: Path, statements: tuple[str, ...]
) -> None:
    """A database that is not marked as ours and holds something is refused."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        for statement in statements:
            connection.execute(statement)
    assert refusal(tmp_path).startswith("is a database of another application:")


def test_database_open_in_another_application_is_refused(tmp_path: Path) -> None:
    """A database whose contents are still in its log is refused, and the log stays."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (a)")
        assert refusal(tmp_path).startswith("is a database of another application:")


def test_newer_version_is_refused(tmp_path: Path) -> None:
    """A database that has seen a step that we do not know is refused."""
    with closing(sqlite3.connect(make(tmp_path))) as connection:
        connection.execute(f"PRAGMA user_version = {NEWEST + 1}")
        connection.execute("PRAGMA journal_mode = DELETE")
    message = f"is of a newer version (schema {NEWEST + 1}, this one knows {NEWEST}):"
    assert refusal(tmp_path).startswith(message)


def test_newer_version_in_the_log_is_refused(tmp_path: Path) -> None:
    """The version counts also while only the log of a killed process has it."""
    kill_while_open(tmp_path, f"PRAGMA user_version = {NEWEST + 1}")
    assert refusal(tmp_path).startswith("is of a newer version")
    (tmp_path / f"{DATABASE}-shm").unlink()
    assert refusal(tmp_path).startswith("is of a newer version")


def test_killed_process_loses_nothing(tmp_path: Path) -> None:
    """What was committed is there when the process was killed without closing the store."""
    kill_while_open(tmp_path, "INSERT INTO secrets VALUES ('a', 'b')")
    assert (tmp_path / f"{DATABASE}-wal").stat().st_size
    with opened(tmp_path) as connection:
        assert connection.execute("SELECT * FROM secrets").fetchall() == [("a", "b")]


def cut(keep: float) -> Callable[[bytearray], None]:
    """Return a damage: only so much of the file is left."""

    def damage(content: bytearray) -> None:
        del content[int(len(content) * keep) :]

    return damage


def wipe(begin: int, end: int, byte: int) -> Callable[[bytearray], None]:
    """Return a damage: some bytes are overwritten."""

    def damage(content: bytearray) -> None:
        content[begin:end] = bytes([byte]) * (end - begin)

    return damage


DAMAGES = {
    "lacks its end": cut(0.9),
    "lacks half a page": cut(0.501),
    "has one page": cut(0.06),
    "first page wiped": wipe(100, 4096, 0),
    "first page overwritten": wipe(100, 4096, 0xA5),
    "inner page overwritten": wipe(16384, 20480, 0xA5),
    "all but the header wiped": wipe(4096, 80000, 0),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_file_is_refused(tmp_path: Path, damage: Callable[[bytearray], None]) -> None:
    """A torn or overwritten database is refused."""
    path = make(tmp_path)
    content = bytearray(path.read_bytes())
    damage(content)
    path.write_bytes(content)
    assert re.match(r"is damaged \(.+\): restore it from a backup", refusal(tmp_path))


def test_lost_file_with_a_log_is_refused(tmp_path: Path) -> None:
    """When the database is gone and its log is not, the log is not thrown away."""
    kill_while_open(tmp_path, "INSERT INTO secrets VALUES ('a', 'b')")
    path = tmp_path / DATABASE
    path.write_bytes(b"")
    assert refusal(tmp_path).startswith("is missing or empty but its write-ahead log is not:")
    path.unlink()
    assert refusal(tmp_path).startswith("is missing or empty but its write-ahead log is not:")


LOG = f"{DATABASE}-wal"

FRAME = 24 + 4096

LONG_INSERT = "INSERT INTO secrets VALUES (hex(randomblob(8)), randomblob(9000))"


def damaged_log(damage: Callable[[bytearray], None], directory: Path) -> None:
    """Make a store whose process was killed after some transactions, and damage its log."""
    kill_while_open(directory, *(LONG_INSERT,) * 5)
    content = bytearray((directory / LOG).read_bytes())
    assert len(content) > 15 * FRAME
    damage(content)
    (directory / LOG).write_bytes(content)


LOG_DAMAGES = {
    "header": (wipe(0, 32, 0), "no valid header"),
    "one bit of the header": (wipe(17, 18, 0xFF), "no valid header"),
    "first page": (wipe(32 + 100, 32 + 200, 0), "damaged behind frame 0 of"),
    "first frame's header": (wipe(32, 56, 0), "damaged behind frame 0 of"),
    "a page inside": (wipe(32 + 5 * FRAME + 100, 32 + 5 * FRAME + 900, 0xA5), "behind frame"),
    "many pages": (wipe(32 + FRAME, 32 + 8 * FRAME, 0), "damaged behind frame"),
}


@pytest.mark.parametrize(("damage", "why"), LOG_DAMAGES.values(), ids=LOG_DAMAGES)
@pytest.mark.parametrize("boot", ["same", "another"])
def test_damaged_log_is_refused(
    tmp_path: Path, damage: Callable[[bytearray], None], why: str, boot: str
) -> None:
    """What was committed is not rolled back because a part of the log before it is damaged."""
    damaged_log(damage, tmp_path)
    if boot == "another":
        (tmp_path / "lock").write_text("7\nlogged of another run\n")
    message = refusal(tmp_path)
    assert message.startswith("would lose what was answered (")
    assert why in message
    assert message == refusal(tmp_path)


def test_what_a_log_says_of_itself(tmp_path: Path) -> None:
    """Each transaction behind the frames that SQLite took is missed, the very next one, too."""
    kill_while_open(tmp_path, *("INSERT INTO secrets VALUES (hex(randomblob(8)), 'x')",) * 3)
    log = tmp_path / LOG
    frames = (log.stat().st_size - 32) // FRAME
    for boot in (True, False):
        assert write_ahead_log.fault(log, frames, 0, same_boot=boot) is None
    told = f"its write-ahead log is damaged behind frame {frames - 1} of {frames}"
    assert write_ahead_log.fault(log, frames - 1, 0, same_boot=True) == told
    assert write_ahead_log.fault(log, frames - 1, 0, same_boot=False) is None
    told = f"its write-ahead log is damaged behind frame {frames - 2} of {frames}"
    assert write_ahead_log.fault(log, frames - 2, 0, same_boot=False) == told


def test_a_log_that_holds_nothing(tmp_path: Path) -> None:
    """It is missing, or shorter than its header with one frame's."""
    log = tmp_path / LOG
    assert write_ahead_log.holds_nothing(log)
    for size, nothing in ((0, True), (32, True), (32 + 23, True), (32 + 24, False)):
        log.write_bytes(bytes(size))
        assert write_ahead_log.holds_nothing(log) is nothing


def test_what_the_index_of_a_log_says(tmp_path: Path) -> None:
    """How many frames SQLite took; nothing when it is missing, or too short to say so."""
    shared = tmp_path / f"{DATABASE}-shm"
    assert write_ahead_log.recovered_frames(shared) is None
    shared.write_bytes(bytes(19))
    assert write_ahead_log.recovered_frames(shared) is None
    shared.write_bytes(bytes(16) + (7).to_bytes(4, sys.byteorder) + bytes(100))
    assert write_ahead_log.recovered_frames(shared) == 7


def last_page(content: bytearray) -> None:
    """Damage the last page of a log."""
    content[-100:] = bytes(byte ^ 0xFF for byte in content[-100:])


def last_page_but_one(content: bytearray) -> None:
    """Damage the last page but one of a log, which is of the same transaction."""
    end = slice(-FRAME - 100, -FRAME)
    content[end] = bytes(byte ^ 0xFF for byte in content[end])


def no_last_page(content: bytearray) -> None:
    """Leave the header of the last frame of a log, and not its page."""
    del content[-4096:]


def begun_last_page(content: bytearray) -> None:
    """Leave the last frame of a log as a full disk does."""
    del content[-1000:]


@pytest.mark.parametrize("damage", [last_page, no_last_page, begun_last_page])
@pytest.mark.parametrize("boot", ["same", "another"])
def test_torn_end_of_a_log(tmp_path: Path, damage: Callable[[bytearray], None], boot: str) -> None:
    """The header that ends a transaction is written before its page: killed between, none ended."""
    damaged_log(damage, tmp_path)
    if boot == "another":
        (tmp_path / "lock").write_text("7\nlogged of another run\n")
    with opened(tmp_path) as connection:
        assert connection.execute("SELECT count(*) FROM secrets").fetchone() == (4,)


def test_a_torn_transaction_with_a_whole_end(tmp_path: Path) -> None:
    """Only a power failure loses what stands before a whole end: without one it was answered."""
    damaged_log(last_page_but_one, tmp_path)
    assert "damaged behind frame" in refusal(tmp_path)
    (tmp_path / "lock").write_text("7\nlogged of another run\n")
    with opened(tmp_path) as connection:
        assert connection.execute("SELECT count(*) FROM secrets").fetchone() == (4,)


def test_a_refused_transaction_behind_the_end_of_a_log(tmp_path: Path) -> None:
    """What a full disk did not take whole, and the next one wrote over in part, is no damage."""

    def damage(content: bytearray) -> None:
        content[-2 * FRAME - 100 : -2 * FRAME] = bytes(100)
        no_last_page(content)

    damaged_log(damage, tmp_path)
    with opened(tmp_path) as connection:
        assert connection.execute("SELECT count(*) FROM secrets").fetchone() == (4,)


def test_unfinished_end_of_a_log(tmp_path: Path) -> None:
    """A process that is killed in the middle of a transaction leaves frames without an end."""
    damaged_log(lambda content: content.__delitem__(slice(-FRAME - 100, None)), tmp_path)
    with opened(tmp_path) as connection:
        assert connection.execute("SELECT count(*) FROM secrets").fetchone() == (4,)


def test_a_log_that_was_begun_anew(tmp_path: Path) -> None:
    """What is left of merged frames behind the present ones is no damage."""
    kill_while_open(tmp_path, *(LONG_INSERT,) * 5, "PRAGMA wal_checkpoint", "DELETE FROM secrets")
    kill_while_open(tmp_path)
    with opened(tmp_path) as connection:
        assert connection.execute("SELECT count(*) FROM secrets").fetchone() == (0,)


@pytest.mark.parametrize("left", [None, b"", b"short"])
def test_lost_log_is_refused(tmp_path: Path, left: bytes | None) -> None:
    """A log that a killed process must have left is missed, until the operator goes on without."""
    kill_while_open(tmp_path, "INSERT INTO secrets VALUES ('a', 'b')")
    (tmp_path / LOG).unlink()
    (tmp_path / f"{DATABASE}-shm").unlink()
    if left is not None:
        (tmp_path / LOG).write_bytes(left)
    for _ in range(2):
        assert refusal(tmp_path).startswith(f"lacks {LOG}, which was there when")
    (tmp_path / "lock").unlink()
    with opened(tmp_path):
        pass


def test_a_process_that_wrote_nothing(tmp_path: Path) -> None:
    """A log without anything in it is not missed: nothing was answered."""
    kill_while_open(tmp_path)
    kill_while_open(tmp_path, "DELETE FROM secrets WHERE name = 'none'")
    (tmp_path / LOG).unlink(missing_ok=True)
    with opened(tmp_path):
        pass


def test_database_newer_than_its_log_is_refused(tmp_path: Path) -> None:
    """A log is not applied to a database that a later process has made longer."""
    kill_while_open(tmp_path, LONG_INSERT)
    log = (tmp_path / LOG).read_bytes()
    for _ in range(3):
        with opened(tmp_path) as connection:
            connection.execute(LONG_INSERT)
    (tmp_path / LOG).write_bytes(log)
    assert "it is newer than its write-ahead log" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["secrets.key", "credentials", "lock"])
def test_missing_database_is_refused(tmp_path: Path, name: str) -> None:
    """Nothing begins anew beside what only an earlier store can have left."""
    kill_while_open(tmp_path, LONG_INSERT)
    for path in tmp_path.iterdir():
        if path.name != name:
            path.unlink()
    (tmp_path / name).touch()
    message = refusal(tmp_path)
    assert message.startswith(f"is missing or empty, but {name} lies beside it: restore")
    (tmp_path / name).unlink()
    with opened(tmp_path):
        pass


def test_orderly_end_leaves_no_note(tmp_path: Path) -> None:
    """A store that was closed in order needs no log."""
    file = DatabaseFile(tmp_path)
    with file.writing() as connection:
        file.committed()
        assert (tmp_path / "lock").read_text().split() == [str(os.getpid())]
        connection.execute(LONG_INSERT)
        file.committed()
        assert (tmp_path / "lock").read_text().startswith(f"{os.getpid()}\nlogged ")
    assert (tmp_path / "lock").read_bytes() == b""
    assert not (tmp_path / LOG).exists()


def test_nothing_is_noted_after_the_end(tmp_path: Path) -> None:
    """The lock is another one's by then, and its number may be another file's."""
    file = DatabaseFile(tmp_path)
    with file.writing():
        pass
    (tmp_path / LOG).write_bytes(bytes(100))
    with locked(tmp_path):
        file.committed()
        assert (tmp_path / "lock").read_text().split() == [str(os.getpid())]


def damage_inside(path: Path) -> None:
    """Overwrite a page that opening a database does not read."""
    with path.open("r+b") as file:
        file.seek(-8192, os.SEEK_END)
        file.write(b"\xa5" * 4096)


def test_large_file_is_checked_after_a_crash_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Starting on a large database is fast when it was closed, and careful when it was not."""
    monkeypatch.setattr(database_file, "ALWAYS_CHECKED_BYTES", 0)
    path = make(tmp_path)
    damage_inside(path)
    with opened(tmp_path):
        pass
    kill_while_open(tmp_path / "other")
    make(tmp_path / "other")
    kill_while_open(tmp_path / "other", "INSERT INTO secrets VALUES ('a', 'b')")
    damage_inside(tmp_path / "other" / DATABASE)
    assert refusal(tmp_path / "other").startswith("is damaged")


@pytest.mark.parametrize("damage", ["first page wiped", "first page overwritten"])
def test_large_file_must_have_its_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """A database whose tables cannot be read is refused at any size."""
    monkeypatch.setattr(database_file, "ALWAYS_CHECKED_BYTES", 0)
    path = make(tmp_path)
    content = bytearray(path.read_bytes())
    DAMAGES[damage](content)
    path.write_bytes(content)
    assert refusal(tmp_path).startswith("is damaged (")


def test_large_file_must_be_as_long_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torn file is refused at any size."""
    monkeypatch.setattr(database_file, "ALWAYS_CHECKED_BYTES", 0)
    path = make(tmp_path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    assert refusal(tmp_path).startswith("is damaged (")


@pytest.mark.parametrize("blocked", ["", "lock", DATABASE, f"{DATABASE}.new"])
def test_unwritable_place_is_refused(tmp_path: Path, blocked: str) -> None:
    """Where a file or a directory is in the way, the error names it."""
    directory = tmp_path / "data"
    if blocked:
        (directory / blocked).mkdir(parents=True)
    else:
        directory.write_text("a file")
    expected = StoreForeign if blocked == DATABASE else StoreUnwritable
    with pytest.raises(expected, match=re.escape(str(directory))) as raised, opened(directory):
        pass
    assert "\n" not in str(raised.value)


def test_reading_what_cannot_be_opened(tmp_path: Path) -> None:
    """A database that is gone when it is to be read is an error of the store's, by its name."""
    with pytest.raises(StoreUnwritable, match=DATABASE), DatabaseFile(tmp_path).reading():
        pytest.fail("there is nothing to read")


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_a_file_in_place_of_the_directory(tmp_path: Path, path: str) -> None:
    """A file where the directory should be is named as what it is, and stays as it is."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreUnwritable, match="is not a directory"), opened(tmp_path / path):
        pass
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not stop root")
@pytest.mark.parametrize("name", [".", DATABASE, "lock"])
def test_read_only_place_is_refused(tmp_path: Path, name: str) -> None:
    """A directory or file without permission to write is refused."""
    make(tmp_path)
    if name == ".":
        (tmp_path / "lock").unlink()
    (tmp_path / name).chmod(0o500)
    with pytest.raises(StoreUnwritable, match="cannot be written"), opened(tmp_path):
        pass
    (tmp_path / name).chmod(0o700)


def test_creation_without_space_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there is no space for a new store the error says so, and the next start is clean."""
    connect = database_file._connect

    def small(path: Path, parameters: str) -> sqlite3.Connection:
        connection = connect(path, parameters)
        connection.execute("PRAGMA max_page_count = 3")
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(database_file, "_connect", small)
        with pytest.raises(StoreUnwritable, match="the disk is full: make room"), opened(tmp_path):
            pass
    assert not (tmp_path / DATABASE).exists()
    make(tmp_path)


def test_upgrade_runs_what_is_new(tmp_path: Path) -> None:
    """Each step runs once and in order; one that fails leaves nothing and those before it stay."""
    first = Step(1, "CREATE TABLE a (x); INSERT INTO a VALUES (1);")
    second = Step(2, "CREATE TABLE b (x);\n-- the end")
    broken = Step(3, "CREATE TABLE c (x); INSERT INTO nowhere VALUES (1);")
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        upgrade(connection, [first])
        upgrade(connection, [first, second])
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            upgrade(connection, [first, second, broken])
        connection.execute("ROLLBACK")
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        tables = connection.execute("SELECT name FROM sqlite_master ORDER BY name").fetchall()
        assert tables == [("a",), ("b",)]
        assert connection.execute("SELECT count(*) FROM a").fetchone() == (1,)


def test_opening_upgrades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older store gets the new steps when it is opened, and older versions refuse it then."""
    make(tmp_path)
    more = (*steps(SQLITE), Step(NEWEST + 1, "CREATE TABLE added (x);"))
    with monkeypatch.context() as patched:
        patched.setattr(database_file, "steps", lambda _: more)
        with opened(tmp_path) as connection:
            connection.execute("INSERT INTO added VALUES (1)")
            assert connection.execute("SELECT count(*) FROM secrets").fetchone() == (500,)
    assert refusal(tmp_path).startswith("is of a newer version")


def test_an_upgrade_that_fails_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SQLite says is told; the store is as it was, and free for the next start."""
    make(tmp_path)
    more = (*steps(SQLITE), Step(NEWEST + 1, "INSERT INTO nowhere VALUES (1);"))
    with monkeypatch.context() as patched:
        patched.setattr(database_file, "steps", lambda _: more)
        with pytest.raises(StoreUnwritable, match="nowhere"), opened(tmp_path):
            pass
    with opened(tmp_path) as connection:
        assert connection.execute("SELECT count(*) FROM secrets").fetchone() == (500,)


def test_a_restore_that_was_interrupted(tmp_path: Path) -> None:
    """Its directory says that the database is yet to come: nothing begins anew."""
    (tmp_path / database_file.RESTORING).mkdir()
    with pytest.raises(StoreForeign, match="a restore that was interrupted"), opened(tmp_path):
        pass
    assert names(tmp_path) <= {database_file.RESTORING, "lock"}
    (tmp_path / database_file.RESTORING).rmdir()
    make(tmp_path)


@pytest.mark.parametrize(
    ("page_size", "valid", "size"), [(4096, True, 28_672), (1, True, 458_752), (4096, False, 0)]
)
def test_the_length_that_a_header_says(page_size: int, valid: bool, size: int) -> None:
    """A page size of 1 is 64 KiB; a count of pages is good for the change that it was made at."""
    header = database_file._Header(b"", page_size, 5, 7, 0, 0, 5 if valid else 4)
    assert header.bytes() == size
