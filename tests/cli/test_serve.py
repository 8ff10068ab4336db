"""`greenroom serve`: its refusals and what it announces; the real process is tested in e2e.

Covers: greenroom.cli.streams
"""

import json
import socket
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from greenroom.cli.main import main
from greenroom.cli.serve import _announce
from greenroom.demo.page import Demo
from greenroom.entrance.ready import Ready
from greenroom.process.start_refused import FileUnwritable
from greenroom.settings.load import load
from greenroom.telemetry import logs

SECRET = "the-secret-access-key"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Start where nothing is, and leave the process's logging alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GREENROOM_CONFIG", raising=False)
    monkeypatch.setattr(logs, "configure", lambda *_: None)


def run(*options: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["serve", *options])


def refused(result: Result, code: int, words: str) -> None:
    """Assert that the command ended with the code and one line that has these words."""
    assert (result.exit_code, result.stdout) == (code, "")
    (line,) = result.stderr.splitlines()
    assert words in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "x"], "--port must be a whole number"),
        (["--account", "1"], "--account must be an account id"),
        (["--config", "missing.toml"], "cannot read missing.toml"),
        (["--nothing"], "No such option"),
        (["--port"], "requires an argument"),
        (["extra"], "unexpected extra argument"),
    ],
)
def test_usage(options: list[str], words: str) -> None:
    """A wrong option is refused in one line, with code 2, and nothing is created."""
    refused(run(*options), 2, words)
    assert list(Path.cwd().iterdir()) == []


def test_unknown_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable with a typing error stops the start."""
    monkeypatch.setenv("GREENROOM_PROT", "1")
    refused(run(), 2, "unknown setting GREENROOM_PROT")


def test_address_taken() -> None:
    """A port in use is code 3, before the data directory is touched."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("--port", str(port))
    refused(ended, 3, f"cannot listen on 127.0.0.1 port {port}: ")
    refused(ended, 3, "--port 0 takes a free one")
    assert list(Path.cwd().iterdir()) == []


def test_a_demo_that_others_could_reach() -> None:
    """The page gives tokens to whoever comes: it is refused before anything is opened, code 2."""
    refused(run("--demo", "--port", "0", "--host", "0.0.0.0"), 2, "for this machine alone")
    assert list(Path.cwd().iterdir()) == []


def test_where_the_demo_is(capsys: pytest.CaptureFixture[str]) -> None:
    """The last line that is printed is the page's address."""
    _announce(load({}, {}, None), ready(None), demo=Demo("/chat"))
    assert capsys.readouterr().out.splitlines()[-1] == ("Demo:    http://127.0.0.1:8470/chat/demo/")


@pytest.mark.parametrize("host", ["a..b", "192.0.2.1"])
def test_addresses_that_are_not_ours(host: str) -> None:
    """A host that is no address, or another machine's, is code 3."""
    refused(run("--port", "0", "--host", host), 3, host)


def test_data_directory_that_cannot_be_written() -> None:
    """A data directory that is a file, or below one, is code 5, and the line names the file."""
    Path("data").write_text("")
    for given in ("data", "data/a/b"):
        ended = run("--port", "0", "--data-dir", given)
        refused(ended, 5, "Error: data is not a directory: give one that is, ")
        refused(ended, 5, "with --data-dir or GREENROOM_DATA_DIR")


def test_chat_log_directory_that_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chat logs that could never be written are refused at the start, not at the first record."""
    Path("logs").write_text("")
    monkeypatch.setenv("GREENROOM_CHAT_LOG_DIR", "logs")
    refused(run("--port", "0"), 2, "chat_log_dir logs is not a directory")


def ready(credentials_file: str | None, *, given: bool = False) -> Ready:
    """Return what a started service tells."""
    return Ready(
        pid=1,
        api_url="http://127.0.0.1:8470",
        websocket_url="ws://127.0.0.1:8470/",
        health_url="http://127.0.0.1:8470/health",
        data_dir=None,
        credentials_file=credentials_file,
        access_key_id="AKIAEXAMPLE",
        secret_access_key=SECRET,
        secret_given=given,
        region="us-east-1",
        account="123456789012",
    )


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    ("announced", "on_terminal"),
    [(ready("/d/credentials"), True), (ready(None, given=True), False), (ready(None), True)],
    ids=["in-a-file", "given", "in-memory"],
)
def test_the_banner_shows_the_secret_on_a_terminal_only(
    announced: Ready,
    on_terminal: bool,
    terminal: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where it could be recorded the secret is not printed, nor one that was given."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    _announce(load({}, {}, None), announced)
    out = capsys.readouterr().out
    assert (SECRET in out) is (terminal and on_terminal)
    assert "aws ivschat list-rooms --endpoint-url http://127.0.0.1:8470 --region us-east-1" in out


def test_the_banner_makes_a_chat_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The line finds the service by its directory, which is named unless one is in its place."""
    here = str((Path.cwd() / "greenroom-data").resolve())
    for directory, option in ((here, ""), ("/a b", " --data-dir '/a b'")):
        kept = msgspec.structs.replace(ready(f"{directory}/credentials"), data_dir=directory)
        _announce(load({}, {}, None), kept)
        line = f"\nChat:    greenroom chat lobby --as alice{option}\n"
        assert line in capsys.readouterr().out
    _announce(load({}, {}, None), ready(None))
    assert "Chat: " not in capsys.readouterr().out


def test_the_banner_quotes_paths(capsys: pytest.CaptureFixture[str]) -> None:
    """The command to try can be pasted into a shell, whatever the directory is called."""
    _announce(load({}, {}, None), ready("/d e/it's/credentials"))
    line = capsys.readouterr().out
    assert "AWS_SHARED_CREDENTIALS_FILE='/d e/it'\"'\"'s/credentials' aws " in line


def test_the_banner_says_how_to_stop_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C reaches a service of this terminal only; one in the background is killed by its id."""
    _announce(load({}, {}, None), ready(None))
    assert capsys.readouterr().out.endswith("\nStop it: Ctrl-C\n")
    _announce(load({}, {}, None), ready(None), tell=lambda: None)
    assert capsys.readouterr().out.endswith("\nStop it: kill 1\n")


def test_ready_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The ready file is JSON, for its owner only; one that cannot be written stops the start."""
    path = tmp_path / "ready.json"
    _announce(load({"ready_file": str(path)}, {}, None), ready(None))
    assert json.loads(path.read_text())["secret_access_key"] == SECRET
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileUnwritable, match="cannot write the ready file"):
        _announce(load({"ready_file": str(tmp_path / "no" / "r")}, {}, None), ready(None))
    assert SECRET not in capsys.readouterr().out
