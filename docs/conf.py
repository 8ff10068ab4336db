"""Sphinx configuration; `make docs` builds with every warning an error."""

import re
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
INIT = DOCS.parent / "src" / "greenroom" / "__init__.py"

project = "Greenroom"
author = "The Greenroom authors"
project_copyright = f"2026, {author}"
(release,) = re.findall(r'__version__ = "(.+)"', INIT.read_text())
version = release

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = f"Greenroom {release}"
html_copy_source = False


def setup(app: Sphinx) -> None:
    """Let a section of the table of contents wait for its first page."""
    app.connect("source-read", _leave_out_empty_sections)


def _leave_out_empty_sections(_app: Sphinx, _page: str, content: list[str]) -> None:
    def present(glob: re.Match[str]) -> str:
        return glob.group() if any((DOCS / glob["folder"]).glob("*.md")) else ""

    content[0] = re.sub(r"^(?P<folder>[a-z]+)/\*\n", present, content[0], flags=re.MULTILINE)
