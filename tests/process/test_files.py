"""Files that appear whole, or not at all."""

import os
from pathlib import Path

import pytest

from greenroom.process.files import replace, synchronize, write_private


def mode(path: Path) -> int:
    """Return the permission bits."""
    return path.stat().st_mode & 0o777


def test_only_the_owner_reads(tmp_path: Path) -> None:
    """The file has mode 0600, whatever the umask and whatever lay there before."""
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    before = os.umask(0)
    try:
        write_private(path, "größe\n")
    finally:
        os.umask(before)
    assert (path.read_text(encoding="utf-8"), mode(path)) == ("größe\n", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_what_lies_in_its_way_is_not_written_to(tmp_path: Path) -> None:
    """A file or link with the temporary name is replaced: it may be readable, or lead elsewhere."""
    path, target = tmp_path / "secret", tmp_path / "elsewhere"
    target.write_text("untouched")
    (tmp_path / f".secret.{os.getpid()}").symlink_to(target)
    write_private(path, "new")
    assert (path.read_text(), target.read_text()) == ("new", "untouched")
    readable = tmp_path / f".secret.{os.getpid()}"
    readable.write_text("")
    readable.chmod(0o644)
    write_private(path, "newer")
    assert (path.read_text(), mode(path)) == ("newer", 0o600)


def test_nothing_is_left_behind_when_it_fails(tmp_path: Path) -> None:
    """When the file cannot be replaced, the old one stays and no part of the new one does."""
    path = tmp_path / "directory"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_private(path, "new")
    with pytest.raises(OSError, match="directory"):
        replace(path, b"new", tmp_path / "temporary")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        write_private(tmp_path / "missing" / "file", "new")


def test_its_temporary_name_may_be_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever tidies up meanwhile does not hide what went wrong."""
    temporary = tmp_path / "temporary"

    def fsync(_: int) -> None:
        temporary.unlink()
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="no space"):
        replace(tmp_path / "file", b"new", temporary)


def test_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked to reach the disk is the whole text, and only then the file gets its name."""
    path, seen = tmp_path / "secret", list[tuple[int, bool]]()

    def fsync(descriptor: int) -> None:
        seen.append((os.fstat(descriptor).st_size, path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_private(path, "x" * 100)
    assert seen == [(100, False)]


def test_what_is_there_already_is_not_written(tmp_path: Path) -> None:
    """A file that has the text and the mode is left alone; another text or mode is not."""
    path = tmp_path / "secret"
    write_private(path, "text")
    first = path.stat().st_ino
    write_private(path, "text")
    assert path.stat().st_ino == first
    write_private(path, "text ")
    assert path.read_text() == "text "
    path.chmod(0o640)
    write_private(path, "text ")
    assert mode(path) == 0o600


def test_a_link_is_replaced(tmp_path: Path) -> None:
    """A link to a file with the same text is no such file, nor is a pipe."""
    path, target = tmp_path / "secret", tmp_path / "elsewhere"
    write_private(target, "text")
    path.symlink_to(target)
    write_private(path, "text")
    assert not path.is_symlink()
    path.unlink()
    os.mkfifo(path, 0o600)
    write_private(path, "text")
    assert path.is_file()


def test_names_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the directory that is asked to reach the disk; it is closed, also after an error."""
    seen: list[tuple[int, int]] = []

    def fsync(descriptor: int) -> None:
        seen.append((descriptor, os.fstat(descriptor).st_ino))
        if len(seen) > 1:
            raise OSError("no space")

    monkeypatch.setattr(os, "fsync", fsync)
    synchronize(tmp_path)
    with pytest.raises(OSError, match="no space"):
        synchronize(tmp_path)
    assert {inode for _, inode in seen} == {tmp_path.stat().st_ino}
    for descriptor, _ in seen:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
