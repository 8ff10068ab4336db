"""Profiles of AWS's shared files, as AWS's own tools have them."""

from pathlib import Path

import click
import pytest
from botocore.exceptions import ClientError
from botocore.session import Session

from greenroom.cli.access import CommandRefused, find_keys_of_profile
from greenroom.cli.profiles import Profile, read_profile
from greenroom.cli.reaching import find_endpoint
from greenroom.settings.load import load

FILES = """
[profile stage]
endpoint_url = http://stage.example:8470
region = eu-west-1
aws_access_key_id = AKIASTAGE
aws_secret_access_key = secret-of-stage

[profile apart]
services = apart
endpoint_url = http://other.example
credential_process = /bin/false

[services apart]
ivschat =
  endpoint_url = http://chat.example

[profile bare]
region = eu-west-1
"""


@pytest.fixture(autouse=True)
def files(no_aws_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have AWS's configuration file."""
    (tmp_path / "config").write_text(FILES)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def test_a_profile_says_where_and_with_which_key() -> None:
    """It names the endpoint, the region and the key; and where the key was found."""
    found = read_profile("stage")
    assert (found.endpoint_url, found.region) == ("http://stage.example:8470", "eu-west-1")
    assert found.key is not None
    assert found.key.shown == "AKIASTAGE of the profile stage"
    assert found.key.secret == "secret-of-stage"


def test_a_profile_without_credentials_asks_nobody_for_some() -> None:
    """Neither the machine's role is asked for, nor is a profile missed that the files lack."""
    assert read_profile("bare") == Profile("bare", region="eu-west-1")
    assert read_profile("nobody") == Profile("nobody")


def test_credentials_that_cannot_be_had() -> None:
    """The one line says which profile, and why."""
    with pytest.raises(CommandRefused, match=r"the profile apart cannot be used: .*process"):
        read_profile("apart")


def test_the_order_of_endpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile goes before AWS_ENDPOINT_URL, and an option before a profile."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://variable.example")
    profile = Profile("x", "http://profile.example")
    settings = load({}, {"GREENROOM_DATA_DIR": str(tmp_path)}, None)
    found = find_endpoint(None, settings, profile)
    assert found.shown == "http://profile.example of the profile x"
    assert find_endpoint("http://option.example", settings, profile).host == "option.example"
    assert find_endpoint(None, settings, Profile("x")).host == "variable.example"
    given = load({"data_dir": str(tmp_path)}, {}, None)
    assert find_endpoint(None, given, profile).host == "127.0.0.1"
    with pytest.raises(click.UsageError, match="endpoint_url of the profile x must be http"):
        find_endpoint(None, settings, Profile("x", "ftp://x"))


def test_profiles_of_the_data_directory(tmp_path: Path) -> None:
    """They count beside AWS's; where neither has the profile, both are named."""
    settings = load({"data_dir": str(tmp_path)}, {}, None)
    with pytest.raises(CommandRefused, match=r"under the profile ann: .*credentials: No such file"):
        find_keys_of_profile("ann", None, settings).some()
    (tmp_path / "credentials").write_text(
        "[ann]\naws_access_key_id = ANN\naws_secret_access_key = s\n"
    )
    (key,) = find_keys_of_profile("ann", None, settings).some()
    assert key.shown == f"ANN of {tmp_path}/credentials [ann]"
    stage = read_profile("stage").key
    found = find_keys_of_profile("ann", stage, settings).keys
    assert [each.access_key_id for each in found] == ["AKIASTAGE", "ANN"]


def test_a_role_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What AWS answers is in the one line."""

    def refused(_self: Session) -> None:
        raise ClientError({"Error": {"Code": "Denied", "Message": "no such role"}}, "AssumeRole")

    monkeypatch.setattr(Session, "get_credentials", refused)
    with pytest.raises(CommandRefused, match=r"the profile stage cannot be used: .*no such role"):
        read_profile("stage")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """The one line says so."""
    (tmp_path / "config").write_text("[profile stage\n")
    with pytest.raises(CommandRefused, match="the profile stage cannot be used: Unable to parse"):
        read_profile("stage")
