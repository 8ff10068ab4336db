"""The examples of the first minute, as a person runs them: also too late, or without a service."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.running.service import Service, environment

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
MODULES = ROOT / "tests" / "interop" / "node_modules"
PATIENCE = 60

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return what runs an example by its name, beside the modules that it imports."""
    (tmp_path / "node_modules").symlink_to(MODULES)

    def ran(
        name: str, *arguments: str, patience: int = PATIENCE, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        shutil.copy(EXAMPLES / name, tmp_path)
        program = sys.executable if name.endswith(".py") else "node"
        return subprocess.run(
            [program, name, *arguments],
            cwd=tmp_path,
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=patience,
            check=False,
        )

    return ran


def made(run: Run, service: Service, tmp_path: Path) -> str:
    """Make a room and its tokens; return the file's name."""
    ended = run(
        "room.py",
        AWS_ENDPOINT_URL_IVSCHAT=service.api_url,
        AWS_SHARED_CREDENTIALS_FILE=service.ready["credentials_file"],
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    (tmp_path / "room.json").write_text(ended.stdout)
    return "room.json"


def test_the_sdk_says_hello(run: Run, service: Service, tmp_path: Path) -> None:
    """With a fresh token the message comes back."""
    ended = run("chat.mjs", made(run, service, tmp_path), "alice", "hello")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("alice: hello\ndelivered as ")


@pytest.mark.parametrize("example", ["chat.mjs", "chat.py"])
def test_a_token_that_was_used(run: Run, service: Service, tmp_path: Path, example: str) -> None:
    """One line says why, in the service's words, and no trace is printed."""
    file = made(run, service, tmp_path)
    assert run("chat.mjs", file, "alice", "hello").returncode == 0
    text = ["again"] if example == "chat.mjs" else []
    ended = run(example, file, "alice", *text)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "refused with 409: The chat token was used before; each is good once\n"


def test_a_message_that_is_refused(run: Run, service: Service, tmp_path: Path) -> None:
    """What the service says of a message is shown, too."""
    ended = run("chat.mjs", made(run, service, tmp_path), "alice", "x" * 600)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr == "Message exceeds maximum length\n"


def test_before_the_first_start(run: Run) -> None:
    """Where no service has ever run there is no key yet."""
    ended = run("room.py")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "The config profile (greenroom) could not be found\n"


@pytest.mark.parametrize(
    ("example", "words"),
    [("room.py", "Could not connect"), ("chat.py", "onnect"), ("chat.mjs", "ECONNREFUSED")],
)
def test_without_a_service(run: Run, tmp_path: Path, example: str, words: str) -> None:
    """Where nothing listens one line says so."""
    details = {"url": "ws://127.0.0.1:1/", "room": "arn", "alice": "token"}
    (tmp_path / "room.json").write_text(json.dumps(details))
    keys = tmp_path / "credentials"
    keys.write_text("[greenroom]\naws_access_key_id = k\naws_secret_access_key = s\n")
    arguments = {"room.py": [], "chat.py": ["alice"], "chat.mjs": ["alice", "hello"]}[example]
    ended = run(
        example,
        *(["room.json", *arguments] if arguments else []),
        AWS_ENDPOINT_URL_IVSCHAT="http://127.0.0.1:1",
        AWS_SHARED_CREDENTIALS_FILE=str(keys),
        AWS_MAX_ATTEMPTS="1",
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert len(ended.stderr.splitlines()) == 1
    assert words in ended.stderr
