"""The documentation says what the code says."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"


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


def test_no_page_counts_on_a_second_node() -> None:
    """A service is one process: nothing that is said may need another one beside it."""
    root = DOCS.parent
    pages = [root / "README.md", *DOCS.rglob("*.md"), root / "deploy" / "prometheus" / "alerts.yml"]
    elsewhere = re.compile(r"\b(another|other|every|add a|one)\s+nodes?\b|\bnodes\b")
    found = [
        f"{page.relative_to(root)}: {match.group()}"
        for page in pages
        for match in elsewhere.finditer(page.read_text("utf-8"))
    ]
    assert found == []


def test_every_table_is_shown() -> None:
    """Each table of the code stands on exactly one page."""
    text = "".join(page.read_text("utf-8") for page in _tables().PAGES)

    assert {
        name: text.count(f"<!-- table: {name} -->") for name in _tables().TABLES
    } == dict.fromkeys(_tables().TABLES, 1)
