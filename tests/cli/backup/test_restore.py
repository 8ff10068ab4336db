"""What is wrong with a backup is found before the data directory is touched.

Covers: greenroom.cli.backup.keys, greenroom.cli.backup.manifest, greenroom.cli.new_directory
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from greenroom.cli.backup import restore as restoring
from greenroom.cli.backup.make import make
from greenroom.cli.backup.manifest import Manifest
from greenroom.cli.backup.restore import restore, verify
from greenroom.cli.new_directory import check_free
from greenroom.settings import load
from greenroom.storage.base import StoreForeign, StoreUnwritable
from greenroom.storage.sqlite.store import SqliteStore


@pytest.fixture
async def backup(tmp_path: Path) -> Path:
    """Return a backup of a store without anything."""
    store = await SqliteStore.open(tmp_path / "data")
    settings = load.load({"data_dir": str(tmp_path / "data")}, {}, None)
    make(settings, tmp_path / "backup", with_key=True)
    await store.close()
    return tmp_path / "backup"


def edit(backup: Path, change: Callable[[sqlite3.Connection], object]) -> None:
    """Change the database, and the manifest with it."""
    database = backup / "greenroom.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        change(connection)
    manifest = msgspec.json.decode((backup / "manifest.json").read_bytes())
    content = database.read_bytes()
    manifest["files"]["greenroom.db"] = {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (backup / "manifest.json").write_bytes(msgspec.json.encode(manifest))


def test_a_byte_that_differs(backup: Path) -> None:
    """A file that is not the one of the manifest is damaged."""
    database = backup / "greenroom.db"
    content = bytearray(database.read_bytes())
    content[-1] ^= 1
    database.write_bytes(content)
    with pytest.raises(StoreForeign, match=r"SHA-256"):
        verify(backup)


def test_a_file_that_was_cut(backup: Path) -> None:
    """So is one that is shorter."""
    database = backup / "greenroom.db"
    database.write_bytes(database.read_bytes()[:-1])
    with pytest.raises(StoreForeign, match=r"damaged \(\d+ bytes of \d+\)"):
        verify(backup)


def test_a_file_that_is_missing(backup: Path) -> None:
    """And one that is not there, or a link to somewhere else."""
    database = backup / "greenroom.db"
    database.rename(backup / "elsewhere")
    with pytest.raises(StoreForeign, match="cannot be read"):
        verify(backup)
    database.symlink_to(backup / "elsewhere")
    with pytest.raises(StoreForeign, match="cannot be read"):
        verify(backup)


def test_a_newer_schema(backup: Path) -> None:
    """What a newer version has written is refused by its number."""
    edit(backup, lambda connection: connection.execute("PRAGMA user_version = 9999"))
    with pytest.raises(StoreForeign, match=r"newer version \(schema 9999, this one knows \d+\)"):
        verify(backup)


def test_another_database(backup: Path) -> None:
    """A database of another application is none of ours, whatever the manifest says."""
    edit(backup, lambda connection: connection.execute("PRAGMA application_id = 1"))
    with pytest.raises(StoreForeign, match="no database of Greenroom's"):
        verify(backup)


def test_other_counts(backup: Path) -> None:
    """The database must hold what the manifest says."""
    edit(
        backup, lambda connection: connection.execute("INSERT INTO redeemed_tokens VALUES (1, 'a')")
    )
    with pytest.raises(StoreForeign, match="not that of its manifest"):
        verify(backup)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "damaged"),
        (b"{}", "damaged"),
        (b"\xff", "damaged"),
        (b'{"format": 2, "made": "", "version": "9", "schema": 1, "counts": {}, "files": {}}', "9"),
        (
            b'{"format": 1, "made": "", "version": "", "schema": 1, "counts": {}, "files": {}}',
            "must",
        ),
    ],
)
def test_manifests_that_are_none(backup: Path, content: bytes, said: str) -> None:
    """A manifest that is not understood is told as such."""
    (backup / "manifest.json").write_bytes(content)
    with pytest.raises(StoreForeign, match=said):
        verify(backup)


def test_no_file_beyond_the_known_ones(backup: Path) -> None:
    """A manifest cannot have a file put anywhere else."""
    manifest = msgspec.json.decode((backup / "manifest.json").read_bytes())
    manifest["files"]["../elsewhere"] = manifest["files"]["greenroom.db"]
    (backup / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(StoreForeign, match="its files must be"):
        verify(backup)


def test_a_backup_that_changes_meanwhile(backup: Path, tmp_path: Path) -> None:
    """What was verified is what is restored: else nothing is left."""
    manifest = verify(backup)
    (backup / "greenroom.db").write_bytes(b"other")
    with pytest.raises(StoreForeign, match="damaged"):
        restore(backup, manifest, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_full_disk(backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore that fails leaves the directory as it was, and says so in one line."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    manifest, target = verify(backup), tmp_path / "target"
    target.mkdir()
    monkeypatch.setattr(restoring, "_copy", full)
    with pytest.raises(StoreUnwritable, match="No space left on device"):
        restore(backup, manifest, target)
    assert [path.name for path in target.iterdir()] == ["lock"]
    monkeypatch.undo()
    restore(backup, manifest, target)
    assert (target / "greenroom.db").exists()


@pytest.mark.parametrize("kind", ["lock", "secrets.key"])
def test_nothing_is_written_where_a_link_leads(backup: Path, tmp_path: Path, kind: str) -> None:
    """Root may restore for a user: what that user has put there leads root nowhere else."""
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    target.mkdir()
    elsewhere.write_text("another's")
    (target / kind).symlink_to(elsewhere)
    with pytest.raises(StoreUnwritable, match=rf"{target}.*(symbolic links|not empty)"):
        restore(backup, verify(backup), target)
    assert elsewhere.read_text() == "another's"


def test_root_gives_away_what_it_made_and_nothing_else(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By descriptor: a name may have become a link to any file of the machine."""
    target, given = tmp_path / "target", set[int]()
    target.mkdir()

    def fchown(descriptor: int, user: int, group: int) -> None:
        assert (user, group) == (target.stat().st_uid, target.stat().st_gid)
        given.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda *_: pytest.fail("given away by name"))
    monkeypatch.setattr(os, "fchown", fchown)
    restore(backup, verify(backup), target)
    assert given == {each.stat().st_ino for each in target.iterdir()}


def test_what_counts_as_empty(tmp_path: Path) -> None:
    """What a file system has at its root, and a lock that says nothing, are no contents."""
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "lock").write_text("")
    check_free(tmp_path)
    (tmp_path / "lock").write_text("1\nlogged x\n")
    with pytest.raises(StoreUnwritable, match="lock"):
        check_free(tmp_path)
    with pytest.raises(StoreUnwritable, match="no directory"):
        check_free(tmp_path / "lock")


def test_what_is_shown_of_a_backup() -> None:
    """Counts that are not 0 are shown."""
    manifest = Manifest(1, "", "", 4, {"rooms": 2, "users": 0, "roles": 1}, {})
    assert manifest.shown == "rooms: 2, roles: 1"
