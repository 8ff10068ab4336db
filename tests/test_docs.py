"""The documentation says what the code says."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from greenroom.cli.main import COMMANDS

DOCS = Path(__file__).resolve().parents[1] / "docs"
SOURCE = DOCS.parent / "src" / "greenroom"


def _tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", _tables().PAGES, ids=lambda page: page.stem)
def test_tables_are_those_of_the_code(page: Path) -> None:
    """A table in the reference is the one that `python docs/tables.py` makes from the code."""
    text = page.read_text(encoding="utf-8")

    assert text == _tables().rewritten(text)


NAMED = [*sorted((DOCS / "explanation").glob("*.md")), DOCS / "glossary.md"]
PACKAGES = sorted({each.stem for each in SOURCE.iterdir()} - {"__init__", "__pycache__"})
MODULE = re.compile(rf"(?<![\w./:-])(?:{'|'.join(PACKAGES)})(?:\.\w+)+(?![\w/*-])")


@pytest.mark.parametrize("page", NAMED, ids=lambda page: page.stem)
def test_named_modules_are_there(page: Path) -> None:
    """What an explanation calls by its place, a module or something in one, is in that place."""
    named = [name for name in MODULE.findall(page.read_text("utf-8")) if not name.endswith(".md")]
    assert [name for name in named if not _exists(name)] == []


def _exists(name: str) -> bool:
    *parts, last = name.split(".")
    if (SOURCE.joinpath(*parts) / last).is_dir() or SOURCE.joinpath(*parts, f"{last}.py").is_file():
        return True
    module = SOURCE.joinpath(*parts).with_suffix(".py")
    return module.is_file() and bool(
        re.search(rf"^(class |def |async def |){last}\b", module.read_text("utf-8"), re.MULTILINE)
    )


def test_what_shows_a_guarantee_is_there() -> None:
    """Each suite that the guarantees name exists."""
    text = (DOCS / "reference" / "guarantees.md").read_text("utf-8")
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    assert named
    assert [name for name in named if not (DOCS.parent / name).is_file()] == []


def test_every_table_is_shown() -> None:
    """Each table of the code stands on exactly one page."""
    text = "".join(page.read_text("utf-8") for page in _tables().PAGES)

    assert {
        name: text.count(f"<!-- table: {name} -->") for name in _tables().TABLES
    } == dict.fromkeys(_tables().TABLES, 1)


def test_ten_questions_are_answered_in_two_clicks() -> None:
    """From the README to the first page, and by "How do I …" there to a page of the name told."""
    assert "docs/index.md" in LINK.findall((ROOT / "README.md").read_text("utf-8"))
    index = (DOCS / "index.md").read_text("utf-8")
    asked = re.findall(r"^\| … (.+?)\? \| (.+) \|$", index, re.MULTILINE)
    assert len(asked) >= 10
    for question, answer in asked:
        pages = re.findall(r"\[([^\]]+)\]\(([^)#]+)(?:#[^)]+)?\)", answer)
        assert pages, question
        for title, page in pages:
            assert (DOCS / page).read_text("utf-8").startswith(f"# {title}\n"), question


def test_every_command_is_in_the_reference() -> None:
    """The page names each command once, with its own options."""
    page = (DOCS / "reference" / "command-line.md").read_text("utf-8")
    headings = re.findall(r"^##+ greenroom ([\w -]+)$", page, re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert {each.partition(" ")[0] for each in headings} == COMMANDS.keys()


ROOT = DOCS.parent
READ = [*sorted(ROOT.glob("*.md")), ROOT / "benchmarks" / "README.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^()\s]+)\)")
FENCE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
INCLUDING = {"docs/changes.md", "docs/contributing.md"}
"""Pages that only the built site has: elsewhere the files that they include are read."""


@pytest.mark.parametrize("page", READ, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_are_read_without_a_build(page: Path) -> None:
    """On a code host every reference is a link: write [Title](page.md), not a role of Sphinx's."""
    text = page.read_text("utf-8")
    roles = re.findall(
        r"(?<![^\s(])\{[a-z:]+\}`|^ *(?:```|:::)\{(?!toctree)[a-z]+\}", text, re.MULTILINE
    )
    assert str(page.relative_to(ROOT)) in INCLUDING or roles == []


@pytest.mark.parametrize("page", READ, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """The file that a link names is there, and so is the heading behind its #."""
    broken = []
    for link in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        if re.match("https?://|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert broken == []


def _anchors(page: Path) -> set[str]:
    """Return the headings of a page as links name them."""
    text = FENCE.sub("", page.read_text("utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")
        for heading in headings
    }


SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LASTING = re.compile(r"^(?:umask|set|trap|ulimit|exec) .*$", re.MULTILINE)
SCRIPT = re.compile(r"^cat > .*<<'(\w+)'$.*?^\1$", re.MULTILINE | re.DOTALL)


def test_no_block_changes_the_readers_shell() -> None:
    """What holds for one line, as a umask, is said in a subshell: the terminal is read on in."""
    for page in READ:
        for block in SHELL.findall(page.read_text("utf-8")):
            assert LASTING.findall(SCRIPT.sub("", block)) == [], page


def test_shown_files_are_those_that_are_there() -> None:
    """What stands below a comment `file: NAME` is that file."""
    shown = 0
    for page in READ:
        for name, text in re.findall(
            r"<!-- file: (\S+) -->\n```\w+\n(.*?)\n```", page.read_text("utf-8"), re.DOTALL
        ):
            assert text == (ROOT / name).read_text("utf-8").rstrip(), f"{page}: {name}"
            shown += 1
    assert shown == 3
