"""Which service a command speaks to; with real services in e2e."""

import stat
from pathlib import Path

import click
import pytest

from greenroom.cli.reaching import find_endpoint
from greenroom.process import address_file
from greenroom.process.address_file import Address
from greenroom.settings.load import load
from greenroom.settings.values import Settings

HERE = "http://127.0.0.1:4000"
VARIABLE = "http://127.0.0.1:5000"
OPTION = "http://127.0.0.1:6000"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a known environment."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


def settings_of(directory: Path, *, option: bool = False, **variables: str) -> Settings:
    """Return settings with a data directory, which an option named, or a variable."""
    if option:
        return load({"data_dir": str(directory)}, variables, None)
    return load({}, {"GREENROOM_DATA_DIR": str(directory), **variables}, None)


def test_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option goes before what is written in the directory that an option named, and so on."""
    assert find_endpoint(None, settings_of(tmp_path)).url == "http://127.0.0.1:8470"
    address_file.write(tmp_path, Address(HERE))
    assert find_endpoint(None, settings_of(tmp_path)).url == HERE
    told = settings_of(tmp_path, GREENROOM_PORT="9000", GREENROOM_HOST="0.0.0.0")
    assert find_endpoint(None, told).url == "http://127.0.0.1:9000"
    monkeypatch.setenv("AWS_ENDPOINT_URL", VARIABLE)
    assert find_endpoint(None, told).url == VARIABLE
    assert find_endpoint(None, settings_of(tmp_path, option=True)).url == HERE
    assert find_endpoint(OPTION, settings_of(tmp_path, option=True)).url == OPTION
    # A directory where nothing ran yet, as an option: the settings, and not AWS's variable.
    assert find_endpoint(None, settings_of(tmp_path / "new", option=True)).port == 8470


def test_what_an_endpoint_says_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was found is said, unless somebody gave it just now."""
    address_file.write(tmp_path, Address(HERE))
    shown = find_endpoint(None, settings_of(tmp_path)).shown
    assert shown == f"{HERE} of {tmp_path}/address.json"
    assert find_endpoint(OPTION, settings_of(tmp_path)).shown == OPTION
    monkeypatch.setenv("AWS_ENDPOINT_URL", VARIABLE)
    found = find_endpoint(None, settings_of(tmp_path))
    assert found.shown == f"{VARIABLE} of the variable AWS_ENDPOINT_URL"


@pytest.mark.parametrize("url", ["ftp://x", "http://"])
def test_urls_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """They are refused, by the name of the option or the variable."""
    with pytest.raises(click.UsageError, match=r"^--url must be"):
        find_endpoint(url, settings_of(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(click.UsageError, match=r"^AWS_ENDPOINT_URL must be"):
        find_endpoint(None, settings_of(tmp_path))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"api_url": 1}', '{"api_url": "ftp://x"}'])
def test_an_address_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    """Then the settings say where the service is."""
    (tmp_path / address_file.NAME).write_text(text)
    assert find_endpoint(None, settings_of(tmp_path, option=True)).port == 8470


def test_the_certificate_to_trust(tmp_path: Path) -> None:
    """A certificate that is signed by itself is trusted by who read it in the directory."""
    address_file.write(tmp_path, Address("https://127.0.0.1:1", str(tmp_path / "gone.pem")))
    endpoint = find_endpoint(None, settings_of(tmp_path))
    assert endpoint.trusted == tmp_path / "gone.pem"
    # One that is gone is nobody's: the connection will say what is not trusted.
    assert endpoint.tls() is not None


def test_the_file_is_private_and_no_reason_to_fail(tmp_path: Path) -> None:
    """It is for its owner only; a directory that takes nothing gets none."""
    address_file.write(tmp_path, Address(HERE))
    file = tmp_path / address_file.NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    address_file.write(tmp_path / "missing", Address(HERE))
    assert address_file.read(tmp_path / "missing") is None
