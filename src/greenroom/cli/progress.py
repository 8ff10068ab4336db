"""How far long work is: a bar for a person who looks on, nothing in a pipe, a log or a script.

The bar is on standard error, so that what a command prints stays what it is.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import click

Advance = Callable[[int], None]
"""Says how many more steps are done."""

Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""Shows a piece of work, by its name and its number of steps, for the length of a `with` block."""


def shown_progress(*, quiet: bool = False) -> Progress:
    """Return what shows progress where a terminal is, unless `quiet`; else it shows nothing."""
    return _bar if sys.stderr.isatty() and not quiet else no_progress


@contextmanager
def no_progress(_label: str, _steps: int) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda _: None


@contextmanager
def _bar(label: str, steps: int) -> Iterator[Advance]:
    with click.progressbar(length=steps, label=f"{label:10}", file=sys.stderr) as bar:
        yield bar.update
