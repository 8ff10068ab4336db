"""The tour, and what CONTRIBUTING says about where things are added, lead to what is there."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "greenroom"
PAGE = (ROOT / "docs" / "explanation" / "tour.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")

STOP = re.compile(
    r"^\| `(?P<file>[^`|]+)` \| (?P<names>[^|]+) \| (?P<what>[^|]+) \|$", re.MULTILINE
)
CODE = re.compile(r"`([^`]+)`")
ROLE = re.compile(r"\{\w+\}`[^`]*`")
STOPS = [(stop["file"], CODE.findall(stop["names"])) for stop in STOP.finditer(PAGE)]
PLACES = [(stop["file"], CODE.findall(stop["names"])) for stop in STOP.finditer(CONTRIBUTING)]


@pytest.mark.parametrize(("file", "names"), STOPS, ids=[file for file, _ in STOPS])
def test_what_is_shown_is_there(file: str, names: list[str]) -> None:
    """Each file of the tour exists, and defines every class, function and table that it names."""
    assert names
    assert set(names) <= defined(SOURCE / file)


@pytest.mark.parametrize(("file", "names"), PLACES, ids=[file for file, _ in PLACES])
def test_places_to_add_something_are_there(file: str, names: list[str]) -> None:
    """Each table and class to which CONTRIBUTING has something added stands in its file."""
    assert names
    assert set(names) <= defined(SOURCE / file)


def test_all_kinds_of_additions_are_shown() -> None:
    """Operations, actions, settings, metrics and storage adapters each have their places."""
    kinds = re.findall(r"^\*\*An? (.+?)\*\*", CONTRIBUTING, re.MULTILINE)
    rooms = ["room setting"]
    assert kinds == ["operation", "action", *rooms, "setting", "metric", "storage adapter"]
    assert len(PLACES) >= 2 * len(kinds)


def test_every_row_is_a_stop() -> None:
    """No row of a table escapes the test above by its form."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) == len(STOPS)


def test_what_the_text_names_is_there() -> None:
    """Outside of the tables, too: each path exists, and each other name is defined somewhere."""
    text = "\n".join(line for line in PAGE.splitlines() if not line.startswith("| "))
    text = ROLE.sub("", text)
    told = {name for stop in STOP.finditer(PAGE) for name in CODE.findall(stop["what"])}
    named = told | set(CODE.findall(text))
    paths = {name for name in named if "/" in name or "." in name}
    missing = {path for path in paths if not any((at / path).exists() for at in (ROOT, SOURCE))}
    assert missing == set()
    assert named - paths <= {name for path in SOURCE.rglob("*.py") for name in defined(path)}


def test_the_tour_visits_the_house() -> None:
    """Each package that a request or a frame passes is on the way."""
    visited = {file.partition("/")[0] for file, _ in STOPS}
    assert visited >= {"server", "entrance", "control", "messaging", "identities", "chat"}
    assert visited >= {"chatlog", "review", "settings", "bus", "storage", "policies", "aws"}
    assert visited >= {"tokens", "protocol", "model"}


@cache
def defined(path: Path) -> frozenset[str]:
    """Return what a module defines: its names, and those of its classes' members behind a dot."""
    return frozenset(_names(ast.parse(path.read_text("utf-8")), ""))


def _names(body: ast.Module | ast.ClassDef, before: str) -> Iterator[str]:
    for node in body.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield before + node.name
        if isinstance(node, ast.ClassDef):
            yield from _names(node, f"{before}{node.name}.")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (before + each.id for each in targets if isinstance(each, ast.Name))
