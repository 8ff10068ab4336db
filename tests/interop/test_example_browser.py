"""The page of `examples/browser`, with Amazon's SDK from npm, in Chromium."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.js import cases
from tests.interop.js.cases import Outcomes, Program
from tests.running.service import Service, environment

ROOT = Path(__file__).resolve().parents[2]
PAGE = Program("example_browser.mjs")

pytestmark = pytest.mark.xdist_group("demo in chromium")


@pytest.fixture(scope="module")
def url(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield where the example's backend shows its page, beside packages as npm installs them."""
    example = tmp_path_factory.mktemp("example") / "browser"
    shutil.copytree(ROOT / "examples" / "browser", example)
    (example / "node_modules").symlink_to(ROOT / "tests" / "interop" / "node_modules")
    variables = {
        "AWS_ENDPOINT_URL_IVSCHAT": service.api_url,
        "AWS_PROFILE": "greenroom",
        "AWS_REGION": "us-east-1",
        "AWS_SHARED_CREDENTIALS_FILE": service.ready["credentials_file"],
        "PORT": "0",
    }
    with subprocess.Popen(
        ["node", "server.mjs"],
        cwd=example,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        text=True,
    ) as backend:
        assert backend.stdout is not None
        yield backend.stdout.readline().removeprefix("open ").strip()
        backend.kill()


@pytest.fixture(scope="module")
def page(
    url: str, service: Service, chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> Outcomes:
    """Return how two visitors fared with it."""
    directory = str(tmp_path_factory.mktemp("shown"))
    return PAGE.run(service, chromium=chromium, directory=directory, page=url)


@pytest.mark.parametrize("name", PAGE.names)
def test_page(page: Outcomes, name: str) -> None:
    """It does what a first page does, and gives tokens to nobody else's."""
    cases.check(page, name)
