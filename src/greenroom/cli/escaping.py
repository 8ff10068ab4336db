"""What strangers wrote, as it may be printed."""

import json
import unicodedata

_JOINER = "\u200d"
"""Joins emoji into one; it is the only format character that is printed."""


_UNPRINTED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""The categories of control and format characters, surrogates and ends of lines."""


def printable_json(text: str) -> str:
    """Return JSON whose control and format characters are escaped as JSON has it: the same value.

    Its own ends of lines stay; inside of strings JSON has none.
    """
    return "".join(
        char if char in (_JOINER, "\n") or not _is_unprinted(char) else json.dumps(char)[1:-1]
        for char in text
    )


def _is_unprinted(char: str) -> bool:
    return unicodedata.category(char) in _UNPRINTED


def printable(text: str) -> str:
    """Return a text whose control and format characters are escaped, as are ends of lines.

    Chat is what strangers wrote: an escape sequence could repaint the screen or name a window, and
    a mark of direction could turn the line around.
    """
    return "".join(
        char
        if char == _JOINER or not _is_unprinted(char)
        else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text
    )
