"""Files with secrets are private after a start, whatever they were before."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from greenroom.server.privacy import SECRET_FILES, keep_private


@pytest.mark.parametrize("name", SECRET_FILES)
def test_files_are_made_private(tmp_path: Path, name: str) -> None:
    """A file that others could read is its owner's again, and the log says so."""
    tmp_path.chmod(0o700)
    (tmp_path / name).write_text("secret")
    (tmp_path / name).chmod(0o644)
    with capture_logs() as lines:
        keep_private(tmp_path)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert [(line["log_level"], line["file"], line["mode"]) for line in lines] == [
        ("warning", str(tmp_path / name), "0644")
    ]


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o707])
def test_an_open_directory_is_warned_of(tmp_path: Path, mode: int) -> None:
    """The directory may be meant so: it is left as it is, with a warning."""
    tmp_path.chmod(mode)
    with capture_logs() as lines:
        keep_private(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == mode
    assert [(line["data_dir"], line["mode"]) for line in lines] == [(str(tmp_path), f"{mode:04o}")]


def test_nothing_is_said_of_what_is_private(tmp_path: Path) -> None:
    """Private files, other files and a directory that is not there yet are no subject."""
    tmp_path.chmod(0o700)
    (tmp_path / "audit.log").write_text("")
    (tmp_path / "audit.log").chmod(0o640)
    (tmp_path / "secrets.key").touch(mode=0o600)
    with capture_logs() as lines:
        keep_private(tmp_path)
        keep_private(tmp_path / "missing")
    assert lines == []
    assert (tmp_path / "audit.log").stat().st_mode & 0o777 == 0o640


def test_a_file_that_is_somebody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays as it is; the log says that others can read it, and why that is not changed."""
    tmp_path.chmod(0o700)
    (tmp_path / "secrets.key").write_text("secret")
    (tmp_path / "secrets.key").chmod(0o644)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    with capture_logs() as lines:
        keep_private(tmp_path)
    assert [(line["event"], line["file"], line["reason"]) for line in lines] == [
        (
            "a file with secrets can be read by others",
            str(tmp_path / "secrets.key"),
            "Operation not permitted",
        )
    ]


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link's target is somebody else's file."""
    tmp_path.chmod(0o700)
    (tmp_path / "target").touch()
    (tmp_path / "target").chmod(0o644)
    (tmp_path / "secrets.key").symlink_to(tmp_path / "target")
    keep_private(tmp_path)
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o644
