"""What a person is told at the start: addresses that work, and what is not as it should be."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.wire import PATIENCE
from tests.service import Service, running

JSON = {"GREENROOM_LOG_FORMAT": "json"}


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
        banner = service.log.read_text()
        assert f"Listens on {service.ready['listening_on']}: every address" in banner
        assert f"--endpoint-url {service.api_url} " in banner


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
