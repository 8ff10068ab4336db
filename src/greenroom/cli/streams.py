"""Standard input, output and error, which may be closed, or lead to a disk that is full.

- A closed one is `/dev/null`. Else the next file or socket that is opened would take its number,
  and get what is printed.
- What a command prints is why it was called: when it cannot be written, the command fails, and one
  line on standard error says so. An error that cannot be told is told to nobody: what counts is the
  exit code.
"""

import io
import os
import sys
from contextlib import suppress
from typing import TextIO

import click

from greenroom.cli.exit_codes import ExitCode


class OutputFailed(OSError):
    """Standard output cannot be written."""


class _Output(io.TextIOWrapper):
    """Standard output, whose failures can be told from others."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise OutputFailed(error.errno, error.strerror) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise OutputFailed(error.errno, error.strerror) from None


class _Errors(io.TextIOWrapper):
    """Standard error, given up when it cannot be written."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            _discard(self)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            _discard(self)


def take_streams() -> None:
    """Give every closed stream `/dev/null`, before anything else is opened, and mind the others."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is taken: this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or io.TextIOWrapper(io.FileIO(0, "r", closefd=False), encoding="utf-8")
    sys.stdout = _minded(_Output, sys.stdout, sys.__stdout__, 1)
    sys.stderr = _minded(_Errors, sys.stderr, sys.__stderr__, 2)


def say_if_possible(text: str) -> None:
    """Print for a person who looks on: where it cannot be written, nobody does."""
    try:
        click.echo(text)
    except OutputFailed:
        _discard(sys.stdout)


def end_of(failed: OutputFailed) -> ExitCode:
    """Say that the output cannot be written; return the exit code."""
    _discard(sys.stdout)
    click.echo(f"Error: cannot write to standard output: {failed.strerror}", err=True)
    return ExitCode.FAILED


def _minded(
    kind: type[io.TextIOWrapper], stream: TextIO | None, original: TextIO | None, number: int
) -> TextIO:
    """Return the stream with its failures minded; one that a test has put there stays it."""
    if stream is None:
        return kind(io.FileIO(number, "w", closefd=False), encoding="utf-8", write_through=True)
    if stream is not original or type(stream) is not io.TextIOWrapper:
        return stream
    return kind(
        stream.buffer,
        encoding=stream.encoding,
        # What people write has characters that a terminal's encoding may lack.
        errors="backslashreplace" if stream.errors == "strict" else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _discard(stream: TextIO) -> None:
    """Have a stream lead to `/dev/null`, with what it still holds: else that fails the end."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
