"""Probes of the real process: what they say while something is not as it should be."""

import json
import os
import sqlite3
import ssl
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from greenroom.entrance import dev_certificate
from greenroom.entrance.health import FRESH_SECONDS
from greenroom.storage.sqlite.database_file import DATABASE
from tests.e2e.test_chat_log_full_disk import fill_disk, free_disk
from tests.running.said import assert_no_faults, samples, until
from tests.running.service import Service, running
from tests.running.wire import PATIENCE


def probe(service: Service, path: str = "/health/ready") -> tuple[int, dict[str, Any]]:
    """Return the status and the body of an answer."""
    # As probes do, which look at no certificate.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(
            service.api_url + path, timeout=PATIENCE, context=context
        ) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_full_disk(tmp_path: Path) -> None:
    """While no write can be kept the service is not ready, and says why; it lives all the time."""
    with running(tmp_path / "data") as service:
        assert probe(service)[0] == 200
        fill_disk(service)
        until(lambda: probe(service)[0] == 503, "it is not ready")
        assert list(probe(service)[1]["failing"]) == ["store"]
        status, body = probe(service, "/health")
        assert (status, body["status"], list(body["failing"])) == (200, "failing", ["store"])
        assert probe(service, "/health/live")[0] == 200
        free_disk(service)
        until(lambda: probe(service)[0] == 200, "it is ready again")
        assert_no_faults(service)


def test_a_database_that_somebody_holds(tmp_path: Path) -> None:
    """A probe is answered within a second, whatever the store waits for."""
    with running(tmp_path / "data") as service:
        holder = sqlite3.connect(tmp_path / "data" / DATABASE, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        status, body = probe(service)
        assert (status, list(body["failing"])) == (503, ["store"])
        # Half a second, and what a busy machine makes of it; SQLite itself waits for five.
        assert time.monotonic() - began < 4
        holder.execute("ROLLBACK")
        holder.close()
        until(lambda: probe(service)[0] == 200, "it is ready again")


def test_a_stranger_who_probes_writes_nothing(tmp_path: Path) -> None:
    """Of a crowd of probes the disk hears now and then only."""
    with running(tmp_path / "data") as service:
        began, before = time.monotonic(), samples(service)["greenroom_store_commits_total"]
        for _ in range(100):
            assert probe(service)[0] == 200
        commits = samples(service)["greenroom_store_commits_total"] - before
        assert 1 <= commits <= 1 + (time.monotonic() - began) / FRESH_SECONDS


def test_a_service_that_keeps_nothing(tmp_path: Path) -> None:
    """In memory there is always place."""
    with running(tmp_path / "data", GREENROOM_STORAGE="memory") as service:
        assert probe(service) == probe(service, "/health")
        assert probe(service)[0] == 200


@pytest.mark.parametrize("valid", [True, False])
def test_an_expired_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, valid: bool
) -> None:
    """What clients refuse is not ready, and the part is named."""
    monkeypatch.setattr(dev_certificate, "LIFETIME", timedelta(seconds=60 if valid else -1))
    files = dev_certificate.dev_certificate(tmp_path, "localhost")
    ends = x509.load_pem_x509_certificate(files[0].read_bytes()).not_valid_after_utc
    assert (ends > datetime.now(UTC)) is valid
    settings = {
        "GREENROOM_TLS_CERTIFICATE_FILE": str(files[0]),
        "GREENROOM_TLS_KEY_FILE": str(files[1]),
    }
    with running(tmp_path / "data", **settings) as service:
        status, body = probe(service, "/health/ready")
        assert status == (200 if valid else 503)
        assert list(body.get("failing", {})) == ([] if valid else ["certificate"])
        assert probe(service, "/health/live")[0] == 200


def test_too_little_memory(tmp_path: Path) -> None:
    """A process that is larger than it may be takes no viewers, and names the part."""
    ballast = 'ballast = b"x" * 90_000_000\n\ndef review(event):\n    return {}\n'
    (tmp_path / "heavy_handlers.py").write_text(ballast)
    settings = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        "GREENROOM_REVIEW_HANDLERS": "*=python:heavy_handlers:review",
        "GREENROOM_MEMORY_BYTES": str(64 * 1024 * 1024),
    }
    with running(tmp_path / "data", **settings) as service:
        until(lambda: probe(service)[0] == 503, "it is not ready")
        assert list(probe(service)[1]["failing"]) == ["memory"]
        assert probe(service, "/health/live")[0] == 200
