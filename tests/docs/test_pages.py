"""The README, the tutorial and the how-tos do what they say, followed to the letter."""

import collections
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from scripts.servers.ports import free_port
from tests.conftest import Measured
from tests.docs.blocks import PAGES, ROOT, Block, Note, steps
from tests.docs.page import Page
from tests.docs.terminal import Failed

PROGRAMS = ("curl", "openssl")
"""What pages use beyond Python, Node.js and what every system has."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def page(tmp_path: Path, machine: Mapping[str, str]) -> Iterator[Page]:
    """Return a reader's fresh directory, and a port that is free."""
    made = Page(tmp_path, machine, free_port())
    yield made
    made.close()


SHOWING = [path for path in PAGES if list(steps(path))]


@pytest.mark.parametrize("path", SHOWING, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_page_works_as_written(path: Path, page: Page, request: pytest.FixtureRequest) -> None:
    """Each command block runs in its place, each file is of its language, each setting is known."""
    todo = list(steps(path))
    text = "".join(step.text for step in todo)
    _needs_programs(text)
    if "make serve" in text:
        page.is_a_checkout()
    elif any(isinstance(step, Block) and step.is_run for step in todo):
        page.serve()
    if "npm " in text:
        request.getfixturevalue("javascript")
    for step in todo:
        assert (failure := _failure(page, step)) is None, failure


def _needs_programs(text: str) -> None:
    """Skip a page that uses what not every machine has, where this one has not. In CI fail."""
    for name in PROGRAMS:
        if f"{name} " in text and shutil.which(name) is None:
            if os.environ.get("CI") == "true":
                pytest.fail(f"needs {name}")
            pytest.skip(f"needs {name}")


def _failure(page: Page, step: Block | Note) -> str | None:
    try:
        page.do(step)
    except Failed as failure:
        return f"{step.place}\n{step.text}\n\nbut:\n{failure}"
    return None


def test_what_is_not_run_is_counted(measured: Measured) -> None:
    """Each block that is not run says what it needs; how many there are is shown."""
    blocks = [step for path in PAGES for step in steps(path) if isinstance(step, Block)]
    left_out = [block for block in blocks if block.wish == "not run"]
    reasons = collections.Counter(block.argument.removeprefix("needs ") for block in left_out)
    measured("blocks of the documentation that run", sum(block.is_run for block in blocks))
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    measured("blocks that do not, for what they need", f"{len(left_out)} ({told})")
    assert len(left_out) < len(blocks) / 4


def test_a_service_that_does_not_start_ends_the_wait_for_it(
    tmp_path: Path, machine: Mapping[str, str]
) -> None:
    """The lines for CI do not hang when the service ends instead of being ready."""
    page = (ROOT / "docs" / "howto" / "test-an-application.md").read_text()
    lines = re.search(r"^data=.*?; done$", page, re.MULTILINE | re.DOTALL)
    assert lines
    script = lines[0].replace("--port 0", "--port 70000")
    ended = subprocess.run(
        ["bash", "-c", f"{script}\necho went on"],
        env=machine,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "port" in ended.stderr
    assert "went on" not in ended.stdout


def test_the_page_shows_the_example() -> None:
    """What is pasted from the page about tests is the example, file by file."""
    page = (ROOT / "docs" / "howto" / "test-an-application.md").read_text()
    for file in (ROOT / "examples" / "show").iterdir():
        assert f"<!-- run: as {file.name} -->" in page
        assert f"\n{file.read_text().rstrip()}\n```" in page
