"""What `greenroom admin` does without a service.

Covers: greenroom.cli.admin.account, greenroom.cli.admin.keys, greenroom.cli.admin.options,
    greenroom.cli.admin.policies, greenroom.cli.admin.roles, greenroom.cli.admin.simulate,
    greenroom.cli.admin.token_keys, greenroom.cli.admin.users, greenroom.cli.admin.whoami,
    greenroom.cli.api, greenroom.cli.iam_client
"""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from greenroom.cli.admin.command import GROUPS, admin
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main

VALID = """
{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ivschat:GetRoom","Resource":"*"}}
"""


@pytest.mark.parametrize("name", GROUPS)
def test_groups(name: str) -> None:
    """Each group of the table has its module, and says in one line what it is for."""
    command = admin.get_command(click.Context(admin), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str()


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (VALID, ExitCode.OK, "valid"),
        (VALID.replace('"Allow"', '"Permit"'), ExitCode.USAGE, "Effect"),
        ("{", ExitCode.USAGE, "policy.json"),
    ],
)
def test_policy_check(tmp_path: Path, text: str, code: ExitCode, words: str) -> None:
    """A document is checked without a service, and the place of the fault is named."""
    file = tmp_path / "policy.json"
    file.write_text(text)
    result = CliRunner().invoke(main, ["admin", "policy", "check", str(file)])
    assert result.exit_code == code
    assert words in result.output
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("action", "code", "words"),
    [
        ("ivschat:CreateRom", ExitCode.USAGE, "did you mean ivschat:CreateRoom?"),
        ("ivschat:Create*", ExitCode.OK, "valid"),
        ("s3:GetObject", ExitCode.OK, "Note: "),
    ],
)
def test_policy_check_knows_actions(
    tmp_path: Path, action: str, code: ExitCode, words: str
) -> None:
    """A misspelt action is refused, and one of another service noted."""
    file = tmp_path / "policy.json"
    file.write_text(VALID.replace("ivschat:GetRoom", action))
    result = CliRunner().invoke(main, ["admin", "policy", "check", str(file)])
    assert result.exit_code == code
    assert words in result.output


def test_trust_policies_are_others(tmp_path: Path) -> None:
    """A policy for users is no trust policy."""
    file = tmp_path / "policy.json"
    file.write_text(VALID)
    result = CliRunner().invoke(main, ["admin", "policy", "check", "--trust", str(file)])
    assert result.exit_code == ExitCode.USAGE


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not text is refused as such."""
    file = tmp_path / "policy.json"
    file.write_bytes(b"\xff")
    result = CliRunner().invoke(main, ["admin", "policy", "check", str(file)])
    assert result.exit_code == ExitCode.USAGE
    assert "not UTF-8" in result.output


def test_other_commands_do_not_pay_for_it() -> None:
    """`--version` imports neither the commands of `admin` nor botocore."""
    code = (
        "import sys; from greenroom.cli.main import main\n"
        "main(['--version'], standalone_mode=False)\n"
        "names = ('botocore', 'greenroom.cli.admin.command')\n"
        "sys.exit(any(name.startswith(names) for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "http://127.0.0.1:1"),
        ({"GREENROOM_DEV_TLS": "on"}, "https://127.0.0.1:1"),
    ],
)
def test_the_service_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str
) -> None:
    """Where nothing else is said, the service is where its settings have it listen, with TLS."""
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}
    where = {"GREENROOM_PORT": "1", "GREENROOM_DATA_DIR": str(tmp_path)}
    for name, value in (keys | where | variables).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    result = CliRunner().invoke(main, ["admin", "whoami"])
    assert result.exit_code == ExitCode.UNREACHABLE
    assert f"cannot reach {url}" in result.output
