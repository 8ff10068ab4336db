"""How a migration shows how far it is: a bar on a terminal, lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import click

from greenroom.cli.progress import shown_progress
from greenroom.storage.moving import Progress

LINE_SECONDS = 5.0
"""How often a line is printed at most where nobody sees a bar."""

NAME_WIDTH = 22


@contextmanager
def shown(counts: Mapping[str, int]) -> Iterator[Progress]:
    """Show the rows that are read, and then read back, of the tables with so many each."""
    if sys.stderr.isatty():
        with shown_progress()("Moving", 2 * sum(counts.values())) as advance:
            yield lambda _, rows: advance(rows)
    else:
        yield _Lines(counts, time.monotonic)


class _Lines:
    """Prints a line for each table, and one now and then for one that takes long."""

    def __init__(self, counts: Mapping[str, int], monotonic: Callable[[], float]) -> None:
        self._counts = counts
        self._monotonic = monotonic
        self._done: dict[str, int] = {}
        self._told = monotonic()

    def __call__(self, name: str, rows: int) -> None:
        number = self._counts[name]
        done = self._done[name] = self._done.get(name, 0) + rows
        late = self._monotonic() - self._told > LINE_SECONDS
        if rows and (late or done in (number, 2 * number)):
            self._told = self._monotonic()
            word, here = ("read", done) if done <= number else ("read back", done - number)
            click.echo(f"{name:{NAME_WIDTH}} {here:>12,} of {number:,} {word}", err=True)
