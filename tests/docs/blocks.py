"""What a page of the documentation shows in fences, and what its comments say about running it.

A comment stands before its block and is invisible to readers; CONTRIBUTING.md lists them.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

NEEDS = (
    "AWS", "systemd", "a container engine", "a browser", "another machine", "root", "minutes",
)  # fmt: skip
"""What a block may need that a test cannot give: the reasons not to run it."""

Kind = Literal["sh", "console", "python", "js", "toml", "json", "yaml", "other"]
LANGUAGES: dict[str, Kind] = {
    name: name for name in ("sh", "console", "python", "js", "toml", "json", "yaml")
}
COMMANDS = ("sh", "console")

_FENCE = re.compile(r"^( *)```(\w+)\n(.*?)\n\1```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!-- (run|not run|shows|given)(?:: (.*?))? -->")


class Block(msgspec.Struct, frozen=True):
    """One fenced block; `wish` and `argument` are those of the comment before it."""

    page: str
    line: int
    kind: Kind
    text: str
    wish: str | None = None
    argument: str = ""

    @property
    def place(self) -> str:
        """Return where the block stands."""
        return f"{self.page}:{self.line}"

    @property
    def is_run(self) -> bool:
        """Return whether the block is executed or saved, instead of read only."""
        return self.wish == "run" or (self.kind in COMMANDS and self.wish is None)

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """Return each command with the lines that it is shown to print."""
        if self.kind == "sh":
            return [(self.text, [])]
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found and found[-1][0].endswith("\\"):
                found[-1] = (f"{found[-1][0]}\n{line}", [])
            elif found:
                found[-1][1].append(line)
        return found


class Note(msgspec.Struct, frozen=True):
    """A comment that stands for itself.

    `shows`: what still runs must have printed this. `given`: the page presupposes this command.
    """

    place: str
    is_shown: bool
    text: str


def steps(page: Path) -> Iterator[Block | Note]:
    """Yield what is to be done on a page, in its order.

    Raises:
        ValueError: a comment is before no block, or says what is not understood.
    """
    text, name = page.read_text("utf-8"), str(page.relative_to(ROOT))
    taken = set()
    found: dict[int, Block | Note] = {}
    for fence in _FENCE.finditer(text):
        indent, language, body = fence.groups()
        before = text[: fence.start()].rstrip()
        comment = _COMMENT.fullmatch(before[before.rfind("\n") + 1 :].strip())
        wish, argument = None, ""
        if comment and comment[1] in ("run", "not run"):
            wish, argument = comment.groups("")
            taken.add(before.rfind("\n") + 1)
        line = text.count("\n", 0, fence.start()) + 1
        body = "\n".join(each.removeprefix(indent) for each in body.splitlines())
        kind = LANGUAGES.get(language, "other")
        found[fence.start()] = Block(name, line, kind, body, wish, argument)
    for comment in _COMMENT.finditer(text):
        place = f"{name}:{text.count(chr(10), 0, comment.start()) + 1}"
        if comment[1] in ("shows", "given"):
            found[comment.start()] = Note(place, comment[1] == "shows", comment[2])
        elif text.rfind("\n", 0, comment.start()) + 1 not in taken:
            raise ValueError(f"{place}: a comment that stands before no block")
    for _, step in sorted(found.items()):
        if isinstance(step, Block):
            _check(step)
        yield step


def _check(block: Block) -> None:
    if block.wish == "not run":
        reason = block.argument.removeprefix("needs ")
        if not block.argument.startswith("needs ") or not reason.startswith(NEEDS):
            raise ValueError(f"{block.place}: a reason is 'needs' and one of {', '.join(NEEDS)}")
    elif block.wish == "run":
        words = shlex.split(block.argument)
        if words and words[0] not in ("as", "stays"):
            raise ValueError(f"{block.place}: 'run' goes with 'as FILE' or 'stays [TEXT]'")
