"""A bar for people, lines for files."""

import io
import sys

import pytest

from greenroom.cli.migrate import progress


class Terminal(io.StringIO):
    """Standard error of a person."""

    def isatty(self) -> bool:
        return True


def test_lines_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each table that holds something, when it is read and when it is read back."""
    with progress.shown({"rooms": 3000, "secrets": 0}) as tell:
        for rows in (0, 2000, 1000, 0, 2000, 1000):
            tell("rooms", rows)
        tell("secrets", 0)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split() for line in captured.err.splitlines()] == [
        ["rooms", "3,000", "of", "3,000", "read"],
        ["rooms", "3,000", "of", "3,000", "read", "back"],
    ]


def test_a_table_that_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Now and then a line says that it goes on."""
    monkeypatch.setattr(progress, "LINE_SECONDS", -1.0)
    with progress.shown({"journal": 10_000}) as tell:
        tell("journal", 2000)
        tell("journal", 9000)
    assert [line.split()[1:] for line in capsys.readouterr().err.splitlines()] == [
        ["2,000", "of", "10,000", "read"],
        ["1,000", "of", "10,000", "read", "back"],
    ]


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It grows from nothing to all."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.shown({"rooms": 1}) as tell:
        tell("rooms", 1)
        tell("rooms", 1)
    shown = terminal.getvalue()
    assert "\r" in shown
    assert "100%" in shown
