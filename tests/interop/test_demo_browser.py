"""The page of `greenroom serve --demo` in Chromium; the cases are in `js/`."""

from pathlib import Path

import pytest

from tests.interop.js import cases
from tests.interop.js.cases import Outcomes, Program
from tests.running.service import running

PAGE = Program("demo_browser.mjs")


@pytest.fixture(scope="module")
def page(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Return how two people, and pages of others, fared with the page."""
    directory: Path = tmp_path_factory.mktemp("demo")
    with running(directory / "data", "--demo") as service:
        return PAGE.run(service, chromium=chromium, directory=str(directory))


@pytest.mark.parametrize("name", PAGE.names)
def test_page(page: Outcomes, name: str) -> None:
    """What a person can do with it, and others cannot; `light.png` and others show it."""
    cases.check(page, name)
