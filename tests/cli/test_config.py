"""`greenroom config`: every setting, its value and its origin."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from greenroom.cli.main import main
from greenroom.settings.table import SETTINGS


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a known environment."""
    monkeypatch.setenv("GREENROOM_ACCESS_KEY_ID", "A" * 16)
    monkeypatch.setenv("GREENROOM_SECRET_ACCESS_KEY", "hide-me-hide-me-hide")
    monkeypatch.delenv("GREENROOM_CONFIG", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/credentials")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere/config")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_lists_every_setting(tmp_path: Path) -> None:
    """One line per setting, with its origin; the secret is hidden."""
    file = tmp_path / "g.toml"
    file.write_text("port = 1\n")
    result = CliRunner().invoke(main, ["config", "--config", str(file)])
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [setting.name for setting in SETTINGS]
    assert "hide-me" not in result.output
    (port,) = [line for line in lines if line.startswith("port ")]
    assert port.split() == ["port", "1", "file", str(file)]


def test_explains() -> None:
    """With --explain each setting's meaning and variable are shown."""
    result = CliRunner().invoke(main, ["config", "--explain"])
    for setting in SETTINGS:
        assert f"{setting.meaning} ({setting.variable})" in result.stdout


def rows() -> dict[str, str]:
    """Return each setting's value and origin, in one text."""
    lines = CliRunner().invoke(main, ["config"]).stdout.splitlines()
    return {line.split()[0]: " ".join(line.split()[1:]) for line in lines}


def test_what_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and endpoints for AWS change what nobody set for Greenroom: that is shown, too."""
    shown = rows()
    files = "auto: files in greenroom-data/chat-logs default"
    assert shown["chat_log_destinations"] == files
    assert shown["review_handlers"] == "lambda default; no AWS credentials at hand"
    assert shown["lambda_endpoint"] == "- default"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-a-test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")
    shown = rows()
    key = "default; the access key test of the variable AWS_ACCESS_KEY_ID"
    assert shown["chat_log_destinations"] == f"auto: AWS {key}"
    assert shown["review_handlers"] == f"lambda {key}"
    for name in ("s3", "logs", "firehose", "lambda", "cloudwatch"):
        assert shown[f"{name}_endpoint"] == "http://localhost:4566 variable AWS_ENDPOINT_URL"
    assert "secret-of-a-test" not in str(shown)


def test_the_services_own_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It decides nothing but what an emulator does, whose endpoint is named."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A" * 16)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hide-me-hide-me-hide")
    shown = rows()
    assert shown["chat_log_destinations"].startswith("auto: files in")
    assert shown["review_handlers"] == "lambda default; no AWS credentials at hand"
    monkeypatch.setenv("GREENROOM_LAMBDA_ENDPOINT", "http://localhost:4566")
    assert rows()["review_handlers"].endswith("of the variable AWS_ACCESS_KEY_ID")


def test_refuses(tmp_path: Path) -> None:
    """What serve would refuse is refused here, in one line on standard error, with code 2."""
    result = CliRunner().invoke(main, ["config", "--config", str(tmp_path / "missing")])
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
