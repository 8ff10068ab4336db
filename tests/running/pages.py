"""The commands of a page of the documentation, for tests that run them in their own way."""

import re
from pathlib import Path

_BLOCK = re.compile(r"^( *)```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def commands(page: Path, beginning: str) -> str:
    """Return the page's one block of commands that begins so."""
    (found,) = (each for each in blocks(page) if each.startswith(beginning))
    return found


def blocks(page: Path) -> list[str]:
    """Return all blocks of commands, in order."""
    return [
        re.sub(rf"^{indent}", "", block, flags=re.MULTILINE)
        for indent, block in _BLOCK.findall(page.read_text())
    ]
