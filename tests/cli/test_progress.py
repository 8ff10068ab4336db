"""Bars for people who look on, and for nobody else."""

import io
import sys

import pytest

from greenroom.cli.progress import shown_progress


class Terminal(io.StringIO):
    """Standard error of a person."""

    def isatty(self) -> bool:
        """Be one."""
        return True


@pytest.mark.parametrize(
    ("stream", "quiet", "shown"),
    [(Terminal, False, True), (Terminal, True, False), (io.StringIO, False, False)],
    ids=["terminal", "quiet", "pipe"],
)
def test_where_a_bar_is_shown(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], quiet: bool, shown: bool
) -> None:
    """On a terminal; not in a pipe, and not where only the result is wanted."""
    errors = stream()
    monkeypatch.setattr(sys, "stderr", errors)
    with shown_progress(quiet=quiet)("Copying", 10) as advance:
        advance(5)
        advance(5)
    assert ("Copying" in errors.getvalue()) is shown
    assert ("100%" in errors.getvalue()) is shown
