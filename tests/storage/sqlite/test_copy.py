"""Copies of a store: of one moment, whoever starts and stops meanwhile, and of every version."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from greenroom.storage.base import StoreForeign, StoreInUse, StoreUnwritable
from greenroom.storage.schema import SQLITE, steps
from greenroom.storage.sqlite import copy, database_file, lock
from greenroom.storage.sqlite.store import SqliteStore


@pytest.fixture
async def directory(tmp_path: Path) -> Path:
    """Return the directory of a store that was closed."""
    store = await SqliteStore.open(tmp_path / "data")
    await store.close()
    return tmp_path / "data"


def test_a_store_of_an_older_version(tmp_path: Path) -> None:
    """It is copied as it is, and what its version does not know is not counted."""
    with closing(
        sqlite3.connect(tmp_path / database_file.DATABASE, isolation_level=None)
    ) as connection:
        connection.execute(f"PRAGMA application_id = {database_file.APPLICATION_ID}")
        database_file.upgrade(connection, steps(SQLITE)[:1])
    copy.copy(tmp_path, tmp_path / "copy")
    contents = copy.check(tmp_path / "copy")
    assert contents.schema == 1
    assert contents.counts.keys() == {"rooms", "logging configurations", "used chat tokens"}


def test_what_is_counted_exists(directory: Path) -> None:
    """Each table of the list is one of the present schema."""
    assert copy.check(directory / database_file.DATABASE).counts == dict.fromkeys(copy.COUNTED, 0)


def test_a_service_that_starts_meanwhile(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that a start or a stop may have disturbed is begun anew; at last it is refused."""
    states = iter(range(1000))
    settled = [1]
    true = copy._state
    monkeypatch.setattr(copy, "_state", lambda path: (next(states) if settled[0] else true(path),))
    destination = directory.parent / "copy"
    with pytest.raises(StoreInUse, match="start and stop"):
        copy.copy(directory, destination)
    assert not destination.exists()
    settled[0] = 0
    copy.copy(directory, destination)
    assert copy.check(destination).schema == steps(SQLITE)[-1].number


def test_a_place_that_is_full(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the copy's place that is named, not the store."""
    with closing(sqlite3.connect(":memory:")) as small:
        small.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as full:
            small.execute("CREATE TABLE a (b)")

    def fail(*_: object) -> None:
        raise full.value

    monkeypatch.setattr(copy, "_write_file", fail)
    with pytest.raises(StoreUnwritable, match="copy cannot be written, the disk is full"):
        copy.copy(directory, directory.parent / "copy")


def test_a_page_that_is_damaged(directory: Path) -> None:
    """A copy is read whole: what SQLite cannot read is damaged."""
    path = directory / database_file.DATABASE
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    path.write_bytes(content)
    with pytest.raises(StoreForeign, match="damaged"):
        copy.check(path)
    with pytest.raises(StoreForeign, match="damaged"):
        copy.copy(directory, directory.parent / "copy")


async def test_what_a_killed_service_left(tmp_path: Path) -> None:
    """What stands only in the log is copied, and the log stays for the next start."""
    store = await SqliteStore.open(tmp_path / "data")
    await store.secrets.keep("s", b"in the log")
    left = tmp_path / "left"
    left.mkdir()
    for suffix in ("", "-wal"):
        name = database_file.DATABASE + suffix
        (left / name).write_bytes((tmp_path / "data" / name).read_bytes())
    await store.close()
    log = left / f"{database_file.DATABASE}-wal"
    before = log.read_bytes()
    copy.copy(left, tmp_path / "copy")
    assert copy.kept_secret(tmp_path / "copy", "s") == b"in the log"
    assert log.read_bytes() == before


async def test_beside_a_service(tmp_path: Path) -> None:
    """What was answered until now is in the copy, though it is in the service's log yet."""
    store = await SqliteStore.open(tmp_path / "data")
    await store.secrets.keep("s", b"answered")
    copy.copy(tmp_path / "data", tmp_path / "copy")
    assert copy.kept_secret(tmp_path / "copy", "s") == b"answered"
    await store.close()


async def test_what_is_written_while_a_copy_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that takes several steps is of one moment, and whoever looks on is told how far it is.

    What was answered between its steps is not in it, and does not make it begin anew.
    """
    store = await SqliteStore.open(tmp_path / "data")
    await store.secrets.keep("before", b"1")
    path = tmp_path / "data" / database_file.DATABASE
    monkeypatch.setattr(copy, "STEP_PAGES", 4)
    told: list[tuple[int, int]] = []

    def watch(done: int, pages: int) -> None:
        told.append((done, pages))
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute(
                "INSERT INTO secrets SELECT ?, value FROM secrets WHERE name = 'before'",
                (f"during-{len(told)}",),
            )

    copy.copy(tmp_path / "data", tmp_path / "copy", watch)
    await store.close()
    assert len(told) > 2
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1]
    with closing(sqlite3.connect(tmp_path / "copy")) as copied:
        assert copied.execute("SELECT name FROM secrets").fetchall() == [("before",)]


def test_what_is_no_database(tmp_path: Path) -> None:
    """It is told as damaged, in one line."""
    (tmp_path / "copy").write_bytes(b"x" * 4096)
    with pytest.raises(StoreForeign, match=r"copy is damaged \(file is not a database\)"):
        copy.check(tmp_path / "copy")


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError(5, "Input/output error"), "Input/output error"), (sqlite3.Error("odd"), "odd")],
)
def test_a_store_that_cannot_be_read(
    directory: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    """It is the store that is named, and why; nothing is taken for a copy."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(database_file, "examine", fail)
    with pytest.raises(StoreUnwritable, match=rf"greenroom\.db cannot be copied \({reason}\)$"):
        copy.copy(directory, directory.parent / "copy")
    assert not (directory.parent / "copy").exists()


def test_pages_that_cannot_be_read(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no fault of the copy's place is one of the store."""

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(copy, "_write_file", fail)
    monkeypatch.setattr(lock, "is_full", lambda _: False)
    with pytest.raises(StoreUnwritable, match=r"cannot be copied \(disk I/O error\)$"):
        copy.copy(directory, directory.parent / "copy")


def test_what_is_no_copy(tmp_path: Path, directory: Path) -> None:
    """Another application's database, and one of a newer version, are refused by name."""
    for pragma, why in (
        ("application_id = 1", "is no database of Greenroom's"),
        (f"user_version = {steps(SQLITE)[-1].number + 1}", "is of a newer version"),
    ):
        path = tmp_path / "other"
        path.unlink(missing_ok=True)
        copy.copy(directory, path)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA {pragma}")
        with pytest.raises(StoreForeign, match=why):
            copy.check(path)


def test_no_store(tmp_path: Path) -> None:
    """A directory without one is refused: it is perhaps the wrong one."""
    with pytest.raises(StoreForeign, match="is it the right --data-dir"):
        copy.copy(tmp_path, tmp_path / "copy")


def descriptors() -> int:
    """Return how many are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_place_that_is_taken(directory: Path) -> None:
    """No file is overwritten, and the copy is its owner's only."""
    destination = directory.parent / "copy"
    before = descriptors()
    copy.copy(directory, destination)
    copy.check(destination)
    assert descriptors() == before
    assert {each.name for each in directory.parent.iterdir()} == {"data", "copy"}
    assert destination.stat().st_mode & 0o777 == 0o600
    with pytest.raises(StoreUnwritable, match=r"copy cannot be written \(File exists"):
        copy.copy(directory, destination)


def test_a_copy_may_lie_where_nothing_can_be_written(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read as what nobody changes, for which SQLite makes no file beside it."""
    copy.copy(directory, directory.parent / "copy")
    asked: list[str] = []
    true = database_file._connect

    def connect(path: Path, parameters: str) -> sqlite3.Connection:
        asked.append(parameters)
        return true(path, parameters)

    monkeypatch.setattr(database_file, "_connect", connect)
    copy.check(directory.parent / "copy")
    assert copy.kept_secret(directory.parent / "copy", "s") is None
    assert asked == ["immutable=1"] * 2
