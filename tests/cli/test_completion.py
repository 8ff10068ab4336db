"""Completion by real shells: bash everywhere, zsh and fish where they are installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from greenroom.cli.completion import SHELLS, VARIABLE
from greenroom.cli.main import COMMANDS, main

BASH = """
source greenroom.bash
complete_line() {
    COMP_WORDS=($1 "$2"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
    _greenroom_completion greenroom; echo "${COMPREPLY[*]}"
}
complete_line "greenroom room" s
complete_line "greenroom api create-room" --maximum-message-l
"""

SECONDS = 30
"""What a shell may take; what is not completed is waited for without end."""

WANTED = ["set show", "--maximum-message-length"]

FISH = """
source greenroom.fish
complete -C "greenroom api list-log"
"""

ZSH = r"""
zmodload zsh/zpty
zpty -b shell zsh -f -i
zpty -w shell 'autoload -U compinit; compinit -u -D; source greenroom.zsh; print rea""dy'
until [[ $said == *ready* ]]; do zpty -rt shell part && said+=$part; sleep 0.05; done
zpty -n -w shell $'greenroom api list-log\t'
until [[ $said == *-configurations* ]]; do zpty -rt shell part && said+=$part; sleep 0.05; done
print found
"""
"""A terminal of its own: what is typed there is completed."""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with the scripts, and with the command on the path."""
    for shell in SHELLS:
        written = CliRunner().invoke(main, ["completion", shell]).stdout
        (tmp_path / f"greenroom.{shell}").write_text(written)
    return tmp_path


def run(place: Path, shell: str, script: str) -> str:
    """Run a script in a shell that finds the command; return what it prints."""
    program = shutil.which(shell)
    if program is None and os.environ.get("CI") == "true":
        pytest.fail(f"needs {shell}")
    if program is None:
        pytest.skip(f"needs {shell}")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {"PATH": path, "HOME": str(place), "TERM": "dumb", "XDG_CONFIG_HOME": str(place)}
    done = subprocess.run(
        [program, "-c", script],
        cwd=place,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.stderr == ""
    return done.stdout


def test_bash(place: Path) -> None:
    """Commands, those of groups, operations, their options and values; no service is no error."""
    assert run(place, "bash", BASH).splitlines() == WANTED


def test_fish(place: Path) -> None:
    """The same."""
    assert run(place, "fish", FISH).split() == ["list-logging-configurations"]


def test_zsh(place: Path) -> None:
    """The same, in a terminal."""
    assert "found" in run(place, "zsh", ZSH)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("greenroom ", sorted(COMMANDS)),
        ("greenroom do", ["doctor"]),
        ("greenroom api list-log", ["list-logging-configurations"]),
        ("greenroom api ivschat list-log", ["list-logging-configurations"]),
        ("greenroom token lobby --can S", ["SEND_MESSAGE"]),
        ("greenroom tail --url http://127.0.0.1:1 x", []),
        ("greenroom xyz d", ["delete-message", "doctor"]),
        ("greenroom room xyz s", ["set", "show"]),
        ("greenroom api xyz list-log", ["list-logging-configurations"]),
    ],
)
def test_what_follows(line: str, wanted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands, operations, values; of no service and of wrong names nothing is told."""
    monkeypatch.setenv(VARIABLE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    shown = CliRunner().invoke(main, prog_name="greenroom", complete_var=VARIABLE)
    assert [each.removeprefix("plain,") for each in shown.stdout.split()] == wanted
    assert shown.stderr == ""
