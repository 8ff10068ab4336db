"""The AWS SDK for JavaScript v3, unmodified, in a page in Chromium; the cases are in `js/`."""

import pytest

from tests.interop.js import cases
from tests.interop.js.cases import Outcomes, Program
from tests.running.service import Service

PAGE = Program("v3_browser.mjs", ("operations.mjs", "v3_pages.mjs", "v3_page.mjs"))


@pytest.fixture(scope="module")
def page(service: Service, chromium: str) -> Outcomes:
    """Return how operations, paginators and errors went in a page of another origin."""
    return PAGE.run(service, chromium=chromium)


@pytest.mark.parametrize("name", PAGE.names)
def test_page(page: Outcomes, name: str) -> None:
    """Every command, paginator and typed error works from a page, after the browser's preflight."""
    cases.check(page, name)
