"""What tests of every folder may ask for."""

import os
import shutil
from collections.abc import Callable

import pytest

Measured = Callable[[str, object], None]


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of a Chromium. Without one the test is skipped; in CI it fails."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    for name in names:
        if name and (path := shutil.which(name)):
            return path
    reason = "needs Chromium: install it (Debian: apt-get install chromium) or name one in CHROMIUM"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Return a function that reports a number without judging it.

    The numbers stand at the end of a serial run, and in every JUnit file.
    """

    def report(name: str, value: object) -> None:
        request.node.user_properties.append((name, value))

    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was measured."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties if report.when == "call" else ():
            terminalreporter.write_line(f"{name}: {value}")
