"""The page of `examples/browser`, with Amazon's SDK from npm, in Chromium."""

import asyncio
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.js import cases
from tests.interop.js.cases import Outcomes, Program
from tests.running.recording import Scripted, recording
from tests.running.service import Service, environment

ROOT = Path(__file__).resolve().parents[2]
PAGE = Program("example_browser.mjs")


@contextmanager
def backend(directory: Path, api_url: str, credentials: str) -> Iterator[subprocess.Popen[str]]:
    """Run the example's backend, beside packages as npm installs them."""
    example = directory / "browser"
    shutil.copytree(ROOT / "examples" / "browser", example)
    (example / "node_modules").symlink_to(ROOT / "tests" / "interop" / "node_modules")
    variables = {
        "AWS_ENDPOINT_URL_IVSCHAT": api_url,
        "AWS_PROFILE": "greenroom",
        "AWS_REGION": "us-east-1",
        "AWS_SHARED_CREDENTIALS_FILE": credentials,
        "PORT": "0",
    }
    with (
        (directory / "errors").open("w") as errors,
        subprocess.Popen(
            ["node", "server.mjs"],
            cwd=example,
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as started,
    ):
        yield started
        started.kill()


def shown_at(started: subprocess.Popen[str]) -> str:
    """Return where the backend shows its page."""
    assert started.stdout is not None
    return started.stdout.readline().removeprefix("open ").strip()


@pytest.fixture(scope="module")
def url(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield where the example's page is, of a backend that asks the service."""
    directory, credentials = tmp_path_factory.mktemp("example"), service.ready["credentials_file"]
    with backend(directory, service.api_url, credentials) as started:
        yield shown_at(started)


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


async def test_a_room_that_could_not_be_found_is_looked_for_again(
    service: Service, tmp_path: Path
) -> None:
    """Visitors are told "no token", the backend's terminal what AWS said."""
    denied = {"message": "alice may not"}, {"x-amzn-errortype": "AccessDeniedException"}

    def asked(url: str) -> tuple[int, str]:
        page = urllib.request.Request(url + "token", b"", {"Origin": url.rstrip("/")})
        try:
            with urllib.request.urlopen(page) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    async with recording() as peer:
        peer.scripts = {
            "ListRooms": [Scripted(403, *denied), Scripted(body={"rooms": [{"arn": "arn:r"}]})],
            "CreateChatToken": [Scripted(body={"token": "t"})],
        }
        credentials = service.ready["credentials_file"]
        with backend(tmp_path, peer.url, credentials) as started:
            url = await asyncio.to_thread(shown_at, started)
            assert await asyncio.to_thread(asked, url) == (500, "no token")
            status, said = await asyncio.to_thread(asked, url)
            assert (status, json.loads(said)["token"]) == (200, "t")
    assert "alice may not" in (tmp_path / "errors").read_text()
