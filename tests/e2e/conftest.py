"""What the end-to-end tests report beside their verdict."""

from collections.abc import Callable

import pytest

Measured = Callable[[str, object], None]


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
