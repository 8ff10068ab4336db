"""`greenroom config`: every setting, its value and its origin."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from greenroom.cli.main import main
from greenroom.settings import SETTINGS


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a known environment."""
    monkeypatch.setenv("GREENROOM_ACCESS_KEY_ID", "A" * 16)
    monkeypatch.setenv("GREENROOM_SECRET_ACCESS_KEY", "hide-me-hide-me-hide")
    monkeypatch.delenv("GREENROOM_CONFIG", raising=False)


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


def test_refuses(tmp_path: Path) -> None:
    """What serve would refuse is refused here, in one line on standard error, with code 2."""
    result = CliRunner().invoke(main, ["config", "--config", str(tmp_path / "missing")])
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
