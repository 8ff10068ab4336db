"""The exit codes: one table, for every refusal of every command."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main

KEY = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "x"}


def leaves(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Return every command that does something, by its words; of operations the first ones."""
    if not isinstance(command, click.Group):
        yield context.command_path.partition(" ")[2], command
        return
    names = command.list_commands(context)
    # All operations are made in one way: one of each service, and one without its service.
    for name in names[:5] if context.command_path == "greenroom api" else names[:99]:
        found = command.get_command(context, name)
        assert found is not None
        inner = click.Context(found, parent=context, info_name=name)
        each = list(leaves(found, inner))
        yield from each[:2] if context.command_path == "greenroom api" else each


COMMANDS = dict(leaves(main, click.Context(main, info_name="greenroom")))

ASKING = [
    words
    for words, command in COMMANDS.items()
    if any(each.name == "endpoint_url" for each in command.params)
]
"""Those that speak to a service."""


@pytest.fixture(autouse=True)
def bare(no_aws_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start where nothing is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.json").write_text('{"Version": "2012-10-17", "Statement": []}')


def run(words: str, *arguments: str, **variables: str) -> Result:
    """Run a command."""
    line = [*words.split(), *arguments]
    return CliRunner().invoke(main, line, env=variables, input="", prog_name="greenroom")


MORE = {
    "admin policy attach": ["--user", "ann"],
    "admin policy detach": ["--user", "ann"],
    "room set": ["--name", "x"],
}
"""What a command must be given of its options."""

VALUES = {
    "action": "ivschat:GetRoom",
    "destinationConfiguration": "s3={bucketName=abc}",
    "kind": "user",
    "key_id": "AKIAIOSFODNN7EXAMPLE",
}
"""What is not good for any name."""


def given(words: str) -> list[str]:
    """Return what a command must be given."""
    command, found = COMMANDS[words], [*MORE.get(words, [])]
    for each in command.params:
        value = "policy.json" if isinstance(each.type, click.Path) else "x"
        if (each.name or "").endswith(("Arn", "_arn", "Name", "policy", "policy_arn")):
            value = "arn:aws:iam::123456789012:role/x"
        value = VALUES.get(each.name or "", value)
        if isinstance(each.type, click.Choice):
            value = str(each.type.choices[0])
        if isinstance(each, click.Argument):
            found.append(value)
        elif isinstance(each, click.Option) and (
            each.required or (each.help or "").startswith("Required.")
        ):
            found += [each.opts[0], value]
    return found


def test_each_code_has_a_meaning() -> None:
    """Codes differ and each is explained in one sentence."""
    assert len({int(code) for code in ExitCode}) == len(ExitCode)
    for code in ExitCode:
        assert code.meaning.endswith(".")


@pytest.mark.parametrize("words", [each for each in COMMANDS if each != "test"])
def test_an_option_that_there_is_not(words: str) -> None:
    """It is refused by every command, in one line that says where the options are."""
    result = run(words, "--no-such-option")
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert result.stderr.startswith("Error: No such option")
    assert result.stderr.count("\n") == 1
    assert f"greenroom {words} --help" in result.stderr


@pytest.mark.parametrize("words", ASKING)
def test_a_service_that_does_not_answer(words: str) -> None:
    """Every command that needs one says so, and where it looked."""
    where = "--endpoint-url" if words == "token" else "--url"
    arguments = [*given(words), where, "http://127.0.0.1:1"]
    result = run(words, *arguments, **KEY)
    wanted = ExitCode.UNWELL if words == "doctor" else ExitCode.UNREACHABLE
    assert result.exit_code == wanted, result.output
    assert "cannot reach http://127.0.0.1:1" in result.output


@pytest.mark.parametrize("words", [each for each in ASKING if each not in ("doctor", "health")])
def test_no_key(words: str) -> None:
    """Every command that signs says where it looked for a key."""
    where = "--endpoint-url" if words == "token" else "--url"
    result = run(words, *given(words), where, "http://127.0.0.1:1")
    assert result.exit_code == ExitCode.USAGE
    assert "no access key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in result.stderr
