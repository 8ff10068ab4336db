"""What strangers wrote, as it may be printed."""

import unicodedata

_JOINER = "\u200d"
"""Joins emoji into one; it is the only format character that is printed."""


def printable(text: str) -> str:
    """Return a text whose control and format characters are escaped, as are ends of lines.

    Chat is what strangers wrote: an escape sequence could repaint the screen or name a window, and
    a mark of direction could turn the line around.
    """
    return "".join(
        char
        if char == _JOINER or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text
    )
