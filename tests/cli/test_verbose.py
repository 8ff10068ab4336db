"""What `--verbose` adds, and what a fault is without it."""

import click
import pytest
from click.testing import CliRunner, Result

from greenroom.cli import main as commands
from greenroom.cli.exit_codes import ExitCode

KEY = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "never-shown"}


def run(*arguments: str) -> Result:
    """Run a command with a key, where no service is."""
    given = [*arguments, "--url", "http://127.0.0.1:1"]
    return CliRunner().invoke(commands.main, given, env=KEY)


def test_where_an_error_comes_from() -> None:
    """Without it there is one line; with it the cause stands above that line, and no secret."""
    plain = run("rooms")
    assert plain.exit_code == ExitCode.UNREACHABLE
    assert plain.stderr.startswith("Error: cannot reach http://127.0.0.1:1: ")
    assert plain.stderr.count("\n") == 1
    told = run("rooms", "--verbose")
    assert told.stderr.endswith(plain.stderr)
    assert "ConnectionRefusedError" in told.stderr
    assert "-- http://127.0.0.1:1; access key AKIA of the variable" in told.stderr
    assert "never-shown" not in told.stderr
    assert run("rooms").stderr == plain.stderr


@pytest.mark.parametrize("command", ["rooms", "room show", "admin user list", "backup"])
def test_every_command_has_it(command: str) -> None:
    """Also those of groups."""
    names = [*command.split(), "--help"]
    assert "--verbose" in CliRunner().invoke(commands.main, names).stdout


def test_options_of_another_program() -> None:
    """`greenroom test` passes its command's options on, and so takes none of that name away."""
    context = click.Context(commands.main)
    command = commands.main.get_command(context, "test")
    assert command is not None
    assert "verbose" not in {option.name for option in command.params}


def test_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one line that names the place, and not what it is about; with the option, all of it."""

    @click.command("version")
    def faulty() -> None:
        raise KeyError("what somebody wrote")

    monkeypatch.setattr("greenroom.cli.about.show_version", faulty)
    plain = CliRunner().invoke(commands.main, ["version"])
    assert plain.exit_code == ExitCode.FAILED
    assert "a fault of Greenroom's own, KeyError in " in plain.stderr
    assert "what somebody wrote" not in plain.output
    told = CliRunner().invoke(commands.main, ["version", "--verbose"])
    assert isinstance(told.exception, KeyError)
