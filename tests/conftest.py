"""What tests of every folder may ask for."""

import os
import shutil

import pytest


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
