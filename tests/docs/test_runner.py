"""What runs the pages notices what is wrong with one."""

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import blocks
from tests.docs.blocks import Block, Note, steps
from tests.docs.page import Page
from tests.docs.terminal import Failed, agrees


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """Return a reader's fresh directory."""
    made = Page(tmp_path, os.environ, 18470)
    yield made
    made.close()


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where a page is to be written."""
    monkeypatch.setattr(blocks, "ROOT", tmp_path)
    return tmp_path / "page.md"


def write(path: Path, text: str) -> list[Block | Note]:
    """Write a page; return its steps."""
    path.write_text(textwrap.dedent(text))
    return list(steps(path))


def test_blocks_and_comments(written: Path) -> None:
    """A comment belongs to the block that follows; blocks in lists lose their indentation."""
    found = write(
        written,
        """\
        <!-- run: as a.py -->
        ```python
        x = 1
        ```
        <!-- shows: one -->
        - in a list

          <!-- not run: needs systemd -->
          ```sh
          systemctl restart x
            indented
          ```
        ```{note}
        ```
        """,
    )
    assert found == [
        Block("page.md", 2, "python", "x = 1", "run", "as a.py"),
        Note("page.md:5", True, "one"),
        Block("page.md", 9, "sh", "systemctl restart x\n  indented", "not run", "needs systemd"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<!-- not run: needs luck -->\n```sh\ntrue\n```\n",
        "<!-- not run -->\n```sh\ntrue\n```\n",
        "<!-- run: often -->\n```sh\ntrue\n```\n",
        "<!-- run -->\nno block\n",
    ],
)
def test_a_comment_that_means_nothing_fails(written: Path, text: str) -> None:
    """A wrong reason, a wrong word or a comment without its block is an error of the page."""
    with pytest.raises(ValueError, match=r"^page\.md:\d+: "):
        write(written, text)


def test_commands_of_a_console() -> None:
    """A command begins with a dollar sign and goes on after a backslash; the rest is its output."""
    text = "$ echo a \\\n    b\na b\n$ true"
    block = Block("page.md", 1, "console", text)
    assert block.commands == [("echo a \\\n    b", ["a b"]), ("true", [])]


def test_a_terminal_remembers(page: Page) -> None:
    """Variables of one block are there in the next, and files of the page."""
    page.do(Block("page.md", 1, "sh", "export x=1; y=2"))
    page.do(Block("page.md", 2, "json", "{}", "run", "as z.json"))
    page.do(Block("page.md", 3, "console", '$ echo "$x $y" $(cat z.json)\n1 2 {}'))


@pytest.mark.parametrize(
    "block",
    [
        Block("page.md", 1, "sh", "false\ntrue"),
        Block("page.md", 1, "sh", "false | true"),
        Block("page.md", 1, "sh", "no-such-program"),
        Block("page.md", 1, "console", "$ echo one\ntwo"),
        Block("page.md", 1, "python", "x ="),
        Block("page.md", 1, "json", "{1}"),
        Block("page.md", 1, "sh", "echo started; exit 3", "run", "stays ready"),
    ],
    ids=lambda block: block.text.splitlines()[0],
)
def test_what_does_not_work_fails(page: Page, block: Block) -> None:
    """A command that fails, prints something else or ends early fails the page."""
    with pytest.raises(Failed):
        page.do(block)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("KEY       STATE    MADE", "KEY STATE MADE", True),
        ("Jv1mUq0a  current  2026-11-23 07:05 UTC", "AbCdEfGh current 2027-01-01 00:00 UTC", True),
        ("ended the sessions", "ended no sessions", False),
        ("attach arn:… to user web", "attach arn:aws:x to user web", True),
    ],
)
def test_ids_and_times_may_differ(shown: str, printed: str, same: bool) -> None:
    """A word with a digit stands for any word, an ellipsis for any text; the rest is literal."""
    assert agrees(shown, printed) is same
