"""What a started service tells about itself."""

import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from greenroom.entrance import ready
from greenroom.identities.callers import RootKey
from greenroom.settings.load import load

KEY = RootKey("AKIAEXAMPLEEXAMPLE00", "a-secret", "123456789012")


def described(
    given: dict[str, str], hosts: list[str] | None = None, *, secure: bool = False
) -> ready.Ready:
    """Return what a service with those settings tells that listens on port 8470."""
    listening: Any = mock.Mock(hosts=hosts or ["127.0.0.1"], port=8470)
    certificate: Any = mock.Mock(file=Path("/etc/cert.pem")) if secure else None
    environment = {f"GREENROOM_{name.upper()}": value for name, value in given.items()}
    return ready.description(load({}, environment, None), KEY, listening, certificate)


def test_a_service_that_keeps_nothing(tmp_path: Path) -> None:
    """It has no directory and no file of credentials."""
    told = described({"storage": "memory", "data_dir": str(tmp_path), "region": "eu-west-1"})
    assert (told.data_dir, told.credentials_file, told.storage) == (None, None, "")
    assert (told.pid, told.region, told.account) == (os.getpid(), "eu-west-1", KEY.account)
    assert (told.access_key_id, told.secret_access_key) == (KEY.access_key_id, "a-secret")
    assert told.certificate_to_trust is None
    assert told.chat_logs


def test_a_service_that_keeps_something(tmp_path: Path) -> None:
    """It names both, as nobody has to be in its working directory."""
    told = described({"storage": "sqlite", "data_dir": os.path.relpath(tmp_path)})
    assert told.data_dir == str(tmp_path.resolve())
    assert told.credentials_file == str(tmp_path.resolve() / "credentials")
    assert not told.secret_given


def test_a_given_secret(tmp_path: Path) -> None:
    """Who starts the service knows it: it need not be told."""
    given = {"access_key_id": KEY.access_key_id, "secret_access_key": "s" * 40}
    assert described({**given, "data_dir": str(tmp_path)}).secret_given


@pytest.mark.parametrize(("secure", "letter"), [(False, ""), (True, "s")])
@pytest.mark.parametrize(
    ("hosts", "shown", "all_of_them"),
    [
        (["127.0.0.1"], "127.0.0.1", "127.0.0.1:8470"),
        (["0.0.0.0", "::1"], "127.0.0.1", "0.0.0.0:8470, [::1]:8470"),
        (["::"], "[::1]", "[::]:8470"),
    ],
)
def test_urls(
    hosts: list[str], shown: str, all_of_them: str, secure: bool, letter: str, tmp_path: Path
) -> None:
    """They lead to the first address, from this machine; the others are told as they are."""
    told = described({"data_dir": str(tmp_path)}, hosts, secure=secure)
    assert told.api_url == f"http{letter}://{shown}:8470"
    assert told.websocket_url == f"ws{letter}://{shown}:8470/"
    assert told.health_url == f"http{letter}://{shown}:8470/health"
    assert told.listening_on == all_of_them


@pytest.mark.parametrize(
    ("dev_tls", "secure", "told"),
    [("off", True, None), ("on", True, "/etc/cert.pem"), ("on", False, None)],
)
def test_a_certificate_to_trust(
    dev_tls: str, secure: bool, told: str | None, tmp_path: Path
) -> None:
    """Clients need to be told of one that nobody else has signed."""
    given = {"dev_tls": dev_tls, "data_dir": str(tmp_path)}
    assert described(given, secure=secure).certificate_to_trust == told


def test_a_cluster(tmp_path: Path) -> None:
    """The database is named without the password."""
    key = tmp_path / "key"
    key.write_text("x")
    told = described(
        {
            "storage": "postgresql://greenroom:hidden@db/greenroom",
            "bus": "nats://nats",
            "data_dir": str(tmp_path),
            "access_key_id": KEY.access_key_id,
            "secret_access_key": "s" * 40,
            "secrets_key_file": str(key),
        }
    )
    assert "db" in told.storage
    assert "hidden" not in str(told)
