"""A file that is read again: a password, a token, a key."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from greenroom.process.kept_file import KeptFile, one_line
from greenroom.process.start_refused import FileUnreadable


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "one line of printable text"),
        (b"\n", "one line of printable text"),
        (b"hidden\nhidden", "one line of printable text"),
        (b"hidden\xff", "must hold UTF-8"),
    ],
)
def test_files_that_hold_no_line(tmp_path: Path, content: bytes, rule: str) -> None:
    """The file is named with the rule, and never what it holds."""
    file = tmp_path / "word"
    file.write_bytes(content)
    with pytest.raises(FileUnreadable, match=rule) as refused:
        KeptFile(file, one_line, "a_setting")
    assert str(refused.value).startswith(f"a_setting {file} ")
    assert "hidden" not in str(refused.value)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    """It is named with what the system says."""
    with pytest.raises(
        FileUnreadable, match=r"^a_setting .*word cannot be read: No such file or directory$"
    ):
        KeptFile(tmp_path / "word", one_line, "a_setting")


def test_what_was_read_last_counts(tmp_path: Path) -> None:
    """A file that is gone for a moment, as one that is being renewed, takes nobody's login."""
    file = tmp_path / "word"
    file.write_text("first\n")
    kept = KeptFile(file, one_line, "a_setting")
    file.unlink()
    with capture_logs() as lines:
        assert kept.get() == "first"
    assert [(each["file"], each["reason"]) for each in lines] == [
        (str(file), "No such file or directory")
    ]
    file.write_text("second")
    assert kept.get() == "second"
    file.write_text("")
    with capture_logs() as lines:
        assert kept.get() == "second"
    assert [each["reason"] for each in lines] == ["must hold one line of printable text"]
