"""A file that is read again whenever its content is needed, so that what was renewed counts."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from greenroom.process.start_refused import FileUnreadable

T = TypeVar("T")

log = structlog.get_logger()


class KeptFile(Generic[T]):
    """What a file holds, and held while it cannot be used any more.

    `parse` raises ValueError with the rule that the text breaks, and never says the text: it is
    mostly secret.
    """

    def __init__(self, file: Path, parse: Callable[[str], T], setting: str) -> None:
        """Read it for the first time; `setting` is what names it.

        Raises:
            FileUnreadable: it cannot be used.
        """
        self._file = file
        self._parse = parse
        try:
            self._last = self._read()
        except OSError as error:
            raise FileUnreadable(f"{setting} {file} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise FileUnreadable(f"{setting} {file} {error}") from None

    def get(self) -> T:
        """Return what it holds now."""
        try:
            self._last = self._read()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            log.warning("what a file held is used on", file=str(self._file), reason=reason)
        return self._last

    def _read(self) -> T:
        try:
            text = self._file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ValueError("must hold UTF-8") from None
        return self._parse(text)


def one_line(text: str) -> str:
    """Take a line of text, such as a password.

    Raises:
        ValueError: it is none.
    """
    found = text.strip("\r\n")
    if not found or not found.isprintable():
        raise ValueError("must hold one line of printable text")
    return found
