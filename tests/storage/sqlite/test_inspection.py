"""A look at a store as a start would take it, which changes nothing."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from greenroom.storage.base import StoreForeign, StoreUnwritable
from greenroom.storage.schema import SQLITE, steps
from greenroom.storage.sqlite import secrets
from greenroom.storage.sqlite.database_file import APPLICATION_ID, DATABASE, DatabaseFile, upgrade
from greenroom.storage.sqlite.inspection import (
    INDEX_BYTES,
    NEWEST,
    Inspection,
    inspect,
    inspect_directory,
)
from greenroom.storage.sqlite.lock import locked


def made(directory: Path) -> Path:
    """Make a store that keeps a secret, and close it."""
    with DatabaseFile(directory).writing() as connection:
        connection.execute("INSERT INTO secrets VALUES ('s', x'01')")
    return directory


def files(directory: Path) -> dict[str, bytes]:
    """Return what is there."""
    return {each.name: each.read_bytes() for each in directory.iterdir()}


def test_nothing_is_there_yet(tmp_path: Path) -> None:
    """Neither a missing directory nor an empty one has a store, and neither gets one."""
    assert inspect(tmp_path / "a" / "b", "s") == Inspection()
    assert inspect(tmp_path, "s") == Inspection()
    assert files(tmp_path) == {}


@pytest.mark.parametrize("number", range(1, NEWEST + 1))
def test_of_each_schema(tmp_path: Path, number: int) -> None:
    """What an older version has made is read, and its number is told."""
    with closing(sqlite3.connect(tmp_path / DATABASE)) as old, old:
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        upgrade(old, steps(SQLITE)[:number])
        old.executemany(
            "INSERT INTO regions (account, region, sequence, newest_update_time, rooms)"
            " VALUES ('1', ?, 0, 0, ?)",
            [("eu-west-1", 2), ("us-east-1", 0)],
        )
    found = inspect(tmp_path, "s")
    assert (found.schema, found.regions) == (number, frozenset({"eu-west-1"}))


def test_what_is_kept(tmp_path: Path) -> None:
    """The secret that is asked for is read, and all stays as it is."""
    before = files(made(tmp_path))
    assert inspect(tmp_path, "s") == Inspection(True, "", b"\x01")
    assert inspect(tmp_path, "other") == Inspection(True, "", None)
    assert files(tmp_path) == before


def test_beside_who_has_it_open(tmp_path: Path) -> None:
    """Their process is named, and what they keep is read with its log."""
    with DatabaseFile(tmp_path).writing() as connection:
        connection.execute("INSERT INTO secrets VALUES ('s', x'02')")
        assert inspect(tmp_path, "s") == Inspection(True, str(os.getpid()), b"\x02")


def test_what_is_no_store(tmp_path: Path) -> None:
    """A file in place of the directory, and a file that is no database, are refused."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnwritable, match="is not a directory"):
        inspect(tmp_path / "file", "s")
    (tmp_path / DATABASE).write_bytes(b"x" * 4096)
    with pytest.raises(StoreForeign, match="is not a SQLite database"):
        inspect(tmp_path, "s")


@pytest.mark.parametrize("there", [True, False])
def test_who_may_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    """A directory that cannot be written, or in which none can be made, is refused."""
    monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK | os.X_OK)
    directory = tmp_path if there else tmp_path / "a" / "b"
    with pytest.raises(StoreUnwritable, match=rf"{tmp_path} cannot be written \(Permission"):
        inspect(directory, "s")


@pytest.mark.parametrize(
    ("user", "free", "available", "enough"),
    [
        (0, INDEX_BYTES, 0, True),
        (0, INDEX_BYTES - 4096, INDEX_BYTES, False),
        (1000, INDEX_BYTES, INDEX_BYTES - 4096, False),
        (1000, 0, INDEX_BYTES, True),
    ],
)
def test_room_for_the_index(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    user: int,
    free: int,
    available: int,
    enough: bool,
) -> None:
    """A start needs so much of the disk; the last blocks are root's."""
    made(tmp_path)
    disk = os.statvfs_result((4096, 4096, 1000, free // 4096, available // 4096, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    for directory in (tmp_path, tmp_path / "missing"):
        if enough:
            inspect(directory, "s")
        else:
            with pytest.raises(StoreUnwritable, match="the disk is full"):
                inspect(directory, "s")


def test_a_directory_without_a_store(tmp_path: Path) -> None:
    """Who holds it is told, "" for nobody; it is not made."""
    assert inspect_directory(tmp_path / "missing") == ""
    assert files(tmp_path) == {}
    assert inspect_directory(tmp_path) == ""
    with locked(tmp_path):
        assert inspect_directory(tmp_path) == str(os.getpid())
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnwritable):
        inspect_directory(tmp_path / "file" / "missing")


def test_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system says of it is told, as at a start."""
    made(tmp_path)

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(secrets, "kept", fail)
    with pytest.raises(StoreUnwritable, match=r"cannot be written \(Input/output error\)"):
        inspect(tmp_path, "s")
