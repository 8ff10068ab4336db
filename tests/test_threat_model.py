"""The threat model says what the tests hold."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "explanation" / "threat-model.md"

ADVISORY = re.compile(
    r"CVE-\d{4}-\d{4,}|PYSEC-\d{4}-\d+|GHSA(?:-[a-z0-9]{4}){3}|H1 \d+|livechat v13"
)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")

KNOWN = {
    "CVE-2018-1000518",
    "CVE-2020-7662",
    "CVE-2020-7663",
    "CVE-2020-27813",
    "CVE-2021-32640",
    "CVE-2021-33880",
    "CVE-2021-43799",
    "CVE-2022-0217",
    "CVE-2022-2421",
    "CVE-2022-21667",
    "CVE-2022-41940",
    "CVE-2022-42975",
    "CVE-2023-32695",
    "CVE-2024-37890",
    "CVE-2024-38355",
    "CVE-2024-39713",
    "CVE-2025-30355",
    "CVE-2025-61672",
    "CVE-2026-2229",
    "CVE-2026-9162",
    "CVE-2026-32301",
    "CVE-2026-42544",
    "CVE-2026-44545",
    "CVE-2026-45076",
    "CVE-2026-45078",
    "CVE-2026-55517",
    "CVE-2026-116579",
    "PYSEC-2026-2108",
    "PYSEC-2026-3547",
    "PYSEC-2026-4389",
    "GHSA-c4j6-fc7j-m34r",
    "GHSA-j4f2-536g-r55m",
    "H1 3473145",
    "livechat v13",
}
"""Advisories of servers and libraries that do what Greenroom does, each with something to learn."""


def rows() -> dict[str, str]:
    """Return what the page's table says about each advisory."""
    found: dict[str, str] = {}
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("| ") and (names := ADVISORY.findall(line.split("|")[1])):
            found |= dict.fromkeys(names, line.split("|")[-2].strip())
    return found


@cache
def named_by_tests() -> dict[str, set[str]]:
    """Return the tests whose docstrings name each advisory."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text("utf-8")
        for node in ast.walk(ast.parse(text)) if ADVISORY.search(text) else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for name in ADVISORY.findall(ast.get_docstring(node) or ""):
                    found.setdefault(name, set()).add(f"{path.relative_to(ROOT)}::{node.name}")
    return found


def test_every_advisory_has_a_row() -> None:
    """What is known to have hurt others is in the table, and so is what a test names."""
    assert rows().keys() == KNOWN
    assert named_by_tests().keys() <= KNOWN


@pytest.mark.parametrize("advisory", sorted(KNOWN))
def test_rows(advisory: str) -> None:
    """A row names tests that exist and name the advisory, or gives the reason for having none."""
    told = rows()[advisory]
    named = {"::".join(match) for match in TEST.findall(told)}
    tests = named_by_tests().get(advisory, set())
    if named:
        assert named <= tests
    else:
        assert tests == set(), "there is a test now"
        assert told.startswith("None:")
        assert len(told) > len("None: because")
