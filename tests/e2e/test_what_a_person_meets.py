"""What a person is told at the start: addresses that work, and what is not as it should be."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.running.said import banner
from tests.running.service import Service, running
from tests.running.wire import PATIENCE

JSON = {
    "GREENROOM_LOG_FORMAT": "json",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials",
    "AWS_CONFIG_FILE": "/nowhere/config",
}
"""A log that can be read, and nothing of whoever runs the tests."""


def warnings(service: Service) -> list[dict[str, Any]]:
    """Return the warnings in the log."""
    lines = [line for line in service.log.read_text().splitlines() if line.startswith("{")]
    return [entry for entry in map(json.loads, lines) if entry["level"] == "warning"]


@pytest.mark.parametrize(
    ("host", "url"), [("0.0.0.0", "http://127.0.0.1:"), ("::", "http://[::1]:")]
)
def test_every_address_without_tls(tmp_path: Path, host: str, url: str) -> None:
    """The printed address can be connected to, and one warning says that nothing is encrypted."""
    with running(tmp_path / "data", "--host", host, **JSON) as service:
        assert service.api_url.startswith(url)
        with urllib.request.urlopen(service.ready["health_url"], timeout=PATIENCE) as answer:
            assert answer.status == 200
        (warning,) = warnings(service)
        assert warning["event"].startswith("no TLS: ")
        assert warning["listening_on"] == service.ready["listening_on"]
        shown = banner(service)
        assert f"Listens on {service.ready['listening_on']}: every address" in shown
        assert f"--endpoint-url {service.api_url} " in shown


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        ([], {}),
        (["--host", "0.0.0.0"], {"GREENROOM_TRUSTED_PROXIES": "127.0.0.1"}),
    ],
    ids=["this machine only", "behind a proxy"],
)
def test_no_warning_without_reason(
    tmp_path: Path, options: list[str], variables: dict[str, str]
) -> None:
    """What stays on the machine, or is encrypted by a proxy, warns of nothing."""
    with running(tmp_path / "data", *options, **JSON, **variables) as service:
        assert warnings(service) == []


def test_keys_in_the_environment_decide_where_chat_logs_go(tmp_path: Path) -> None:
    """The banner, the ready file and a warning say that, and by which key; no start is silent."""
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "hidden-test-secret"}
    with running(tmp_path / "data", **JSON, **keys) as service:
        (warning,) = warnings(service)
        assert warning["event"].startswith("chat logs go to AWS, because AWS credentials are in")
        assert warning["credentials"] == "the access key test of the variable AWS_ACCESS_KEY_ID"
        told = "AWS (the access key test of the variable AWS_ACCESS_KEY_ID)"
        assert service.ready["chat_logs"] == told
        text = banner(service)
        assert f"Chat logs  {told}\n" in text
        assert "hidden-test-secret" not in text


@pytest.mark.parametrize("settings", ["*=files", "*=aws", ""])
def test_a_choice_that_somebody_made(tmp_path: Path, settings: str) -> None:
    """What the settings say, or no key is there to decide, is shown without a warning."""
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"} if settings else {}
    variables = {"GREENROOM_CHAT_LOG_DESTINATIONS": settings} if settings else {}
    with running(tmp_path / "data", **JSON, **keys, **variables) as service:
        assert warnings(service) == []
        where = service.ready["chat_logs"]
        files = f"files in {tmp_path}/data/chat-logs"
        assert where == (f"{settings} (chat_log_destinations)" if settings else files)
