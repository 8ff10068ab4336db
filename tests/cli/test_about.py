"""`greenroom help` and `version`, and names that are no command.

Covers: greenroom.cli.groups, greenroom.cli.main
"""

import pytest
from click.testing import CliRunner, Result

import greenroom
from greenroom.cli.admin.command import GROUPS
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import COMMANDS, main


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, arguments)


def test_version() -> None:
    """`version` says what `--version` says."""
    asked, option = run("version"), run("--version")
    assert (asked.exit_code, asked.stdout) == (0, f"greenroom {greenroom.__version__}\n")
    assert option.stdout == asked.stdout


@pytest.mark.parametrize(
    "names",
    [(), ("serve",), ("config",), ("admin",), ("admin", "user"), ("admin", "user", "add")],
    ids=" ".join,
)
def test_help(names: tuple[str, ...]) -> None:
    """`help` shows of any command what its own --help shows."""
    asked, option = run("help", *names), run(*names, "--help")
    assert asked.exit_code == ExitCode.OK
    assert [line for line in asked.stdout.splitlines() if not line.startswith("Usage")] == [
        line for line in option.stdout.splitlines() if not line.startswith("Usage")
    ]
    assert f"Usage: main {' '.join(names)}".rstrip() in asked.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_commands(name: str) -> None:
    """Each command of the table is there, and the help lists it."""
    assert f"  {name} " in run("help").stdout
    assert run("help", name).exit_code == ExitCode.OK


@pytest.mark.parametrize(
    "names",
    [*(("admin", name) for name in GROUPS), ("review",), ("room",), ("cluster",)],
    ids=" ".join,
)
def test_groups(names: tuple[str, ...]) -> None:
    """What a command does is not cut off in the list of its group."""
    assert not [line for line in run(*names, "--help").stdout.splitlines()[1:] if "..." in line]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serv"], "has no command 'serv': did you mean serve?"),
        (["help", "serv"], "has no command 'serv': did you mean serve?"),
        (["admin", "usr"], "admin has no command 'usr': did you mean user?"),
        (["help", "admin", "usr"], "admin has no command 'usr': did you mean user?"),
        (["admin", "user", "ad"], "admin user has no command 'ad': did you mean add?"),
        (["room", "make"], "room has no command 'make': there are create, delete, "),
        (["xyz"], f"there are {', '.join(COMMANDS)}"),
        (["admin", "xyz"], f"there are {', '.join(GROUPS)}"),
        (["help", "serve", "x"], "serve has no commands of its own"),
    ],
)
def test_names_that_are_no_command(arguments: list[str], words: str) -> None:
    """They are refused in one line that names what may have been meant."""
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    (line,) = result.stderr.splitlines()
    assert words in line


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["serve", "--prt", "1"],
            "No such option '--prt'. Did you mean '--port'? See greenroom serve",
        ),
        (["serve", "extra"], "Got unexpected extra argument (extra). See greenroom serve"),
        (["admin", "user", "add"], "Missing argument 'NAME'. See greenroom admin user add"),
    ],
)
def test_wrong_options_and_arguments(arguments: list[str], line: str) -> None:
    """One line says what is wrong, and where the options and arguments of that command are."""
    result = CliRunner().invoke(main, arguments, prog_name="greenroom")
    assert (result.exit_code, result.stderr) == (2, f"Error: {line} --help\n")
