"""A command, run to its end as a shell does: with its output, its errors and its exit code."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.running.copies import Copies
from tests.running.service import COPIES, environment
from tests.running.wire import PATIENCE


def greenroom(*arguments: object, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run `greenroom` in this process's directory; it has nothing to read.

    Raises:
        subprocess.TimeoutExpired: it did not end; it was killed.
    """
    return ended(arguments, variables)


def ended(
    arguments: Sequence[object],
    variables: Mapping[str, str],
    directory: Path | None = None,
    umask: int = -1,
    copies: Copies = COPIES,
) -> "subprocess.CompletedProcess[str]":
    """Do the same in another directory, with another umask, or with another program's copies."""
    words, given = [*map(str, arguments)], environment(**variables)
    if copies.are_as_started(given):
        return _copied(copies, words, given, directory, umask)
    return subprocess.run(
        [sys.executable, "-m", copies.program, *words],
        cwd=directory,
        env=given,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
        umask=umask,
    )


def _copied(
    copies: Copies,
    words: list[str],
    given: Mapping[str, str],
    directory: Path | None,
    umask: int,
) -> "subprocess.CompletedProcess[str]":
    with (
        Path(os.devnull).open("rb") as nothing,
        tempfile.TemporaryFile("w+", encoding="utf-8") as output,
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
    ):
        streams = [each.fileno() for each in (nothing, output, errors)]
        process = copies.make(words, given, streams, directory=directory, umask=umask)
        try:
            code = process.wait(PATIENCE)
        finally:
            process.kill()
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(words, code, output.read(), errors.read())
