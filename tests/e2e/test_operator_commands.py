"""What an operator looks with, at the real process: `health`, `doctor`, `review tail`, `cheat`.

Covers: greenroom.cli.doctor.command, greenroom.cli.review.command
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from greenroom.cli.cheat import EXAMPLES
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main
from greenroom.cli.room.service import complete_rooms
from greenroom.cli.room.tail import tail
from tests.running.said import until
from tests.running.service import Service, environment, running

HANDLER = """
def review(event):
    if "rude" in event["Content"]:
        return {"ReviewResult": "DENY", "Attributes": {"Reason": "rude"}}
    return {"ReviewResult": "ALLOW", "Content": event["Content"].upper()}
"""

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service with a review handler that believes a proxy on this machine."""
    directory = tmp_path_factory.mktemp("operator")
    (directory / "handlers.py").write_text(HANDLER)
    with running(
        directory / "data",
        PYTHONPATH=str(directory),
        GREENROOM_REVIEW_HANDLERS="*=python:handlers:review",
        GREENROOM_QUOTAS="message_review_milliseconds=20000",
        GREENROOM_TRUSTED_PROXIES="127.0.0.0/8",
    ) as started:
        yield started


@pytest.fixture
def command(service: Service, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return what calls a command with the service's own data directory."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GREENROOM_")):
            monkeypatch.delenv(name)
    directory = str(service.ready["data_dir"])
    return lambda *words: CliRunner().invoke(main, [*words, "--data-dir", directory])


def test_health(command: Command, service: Service) -> None:
    """One line for people, the service's own words for scripts, and a code."""
    well = command("health")
    assert well.exit_code == ExitCode.OK
    assert well.stdout.startswith(f"ok: {service.api_url.partition(':')[0]}://127.0.0.1:")
    assert json.loads(command("health", "--json").stdout)["status"] == "ok"
    gone = CliRunner().invoke(main, ["health", "--url", "http://127.0.0.1:1"])
    assert (gone.exit_code, gone.stdout) == (ExitCode.UNREACHABLE, "")


def test_doctor(command: Command, service: Service) -> None:
    """Every part is looked at, nothing is a fault, and what can be better has its remedy."""
    result = command("doctor", "--json")
    found = {each["part"]: each for each in json.loads(result.stdout)}
    assert result.exit_code == ExitCode.OK, result.stdout
    assert {"clock", "disk", "permissions", "limits", "io_uring", "aws"} <= found.keys()
    assert {"data_dir", "address", "secrets_key", "service", "clocks", "websocket"} <= found.keys()
    assert all(each["remedy"] for each in found.values() if each["level"] == "note")
    assert found["service"]["said"].startswith(service.api_url)
    # The setting is the service's; the command need not know it.
    assert found["proxies"]["said"].startswith("127.0.0.1 is believed about its clients' address")
    shown = command("doctor").stdout
    assert "ok     service" in shown
    assert shown.rstrip().endswith(("notes.", "note."))


def test_a_fault_has_its_remedy_and_its_code(command: Command, tmp_path: Path) -> None:
    """A directory that no service can use, an address nobody answers at."""
    (tmp_path / "greenroom.db").write_text("something else")
    result = CliRunner().invoke(main, ["doctor", "--data-dir", str(tmp_path)])
    assert result.exit_code == ExitCode.UNWELL
    assert "FAULT  data_dir" in result.stdout
    assert "→ " in result.stdout
    result = CliRunner().invoke(main, ["doctor", "--url", "http://127.0.0.1:1"])
    assert result.exit_code == ExitCode.UNWELL
    assert "FAULT  service" in result.stdout
    assert "disk" not in result.stdout


def test_whose_the_address_is(service: Service, tmp_path: Path) -> None:
    """Of an address that another process has, the finding says what is there."""
    scheme, _, port = service.api_url.split(":")
    found = {"http": "version", "https": "which serves over TLS"}[scheme]
    assert f"{port} is in use by another Greenroom, {found}" in _address(port, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        answering = threading.Thread(target=_answer_once, args=(other,))
        answering.start()
        said = _address(str(other.getsockname()[1]), tmp_path)
        answering.join()
    assert "in use by an HTTP server that is not Greenroom" in said


def _address(port: str, directory: Path) -> str:
    """Return what the doctor says of a port."""
    words = ["doctor", "--json", "--data-dir", str(directory)]
    result = CliRunner().invoke(main, words, env={"GREENROOM_PORT": port})
    found = {each["part"]: each for each in json.loads(result.stdout)}
    assert found["address"]["level"] == "FAULT"
    said: str = found["address"]["said"]
    return said


def _answer_once(listening: socket.socket) -> None:
    with listening.accept()[0] as connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")


def test_where_no_service_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who asks for the health of one is told how one is found, unless he has said where."""
    monkeypatch.setenv("GREENROOM_PORT", "1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    gone = CliRunner().invoke(main, ["health", "--data-dir", str(tmp_path)])
    hint = "--data-dir or --url says where one is; greenroom serve starts one"
    assert gone.stderr.rstrip().endswith(f"Connection refused; {hint}")


def test_reviews_are_followed(command: Command, service: Service, tmp_path: Path) -> None:
    """Who, what came of it, and how long it took; what was said only if that is asked for."""
    client = service.boto3()
    handler = "arn:aws:lambda:us-east-1:123456789012:function:review"
    room = client.create_room(name="reviewed", messageReviewHandler={"uri": handler})
    arguments = ["review", "tail", "reviewed", "--count", "2", "--data-dir"]
    program = [sys.executable, "-m", "greenroom", *arguments, str(service.ready["data_dir"])]
    errors = tmp_path / "errors"
    with errors.open("w") as written:
        process = subprocess.Popen(
            [*program, "--content"], stdout=subprocess.PIPE, stderr=written, text=True,
            env=environment(),
        )  # fmt: skip
    try:
        until(lambda: "watching reviews" in errors.read_text(), "the command watches")
        assert command("say", "reviewed", "hello", "--as", "ann").exit_code == 0
        refused = command("say", "reviewed", "rude \x1b[2J", "--as", "bob")
        assert refused.exit_code == ExitCode.REFUSED
        shown, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    allowed, said_, answered, denied, said_too, reason = shown.splitlines()
    assert " ann: ALLOW, edited in " in allowed
    assert f"({handler})" in allowed
    assert (said_, answered) == ("    said      hello", "    answered  HELLO")
    assert " bob: DENY in " in denied
    assert (said_too, reason) == ("    said      rude \\x1b[2J", "    reason    rude")
    plain = command("review", "tail", "--json", "--count", "2")
    lines = [json.loads(line) for line in plain.stdout.splitlines()]
    assert [each["verdict"] for each in lines] == ["ALLOW", "DENY"]
    assert {each["roomArn"] for each in lines} == {room["arn"]}
    assert "hello" not in plain.stdout
    assert "rude" not in plain.stdout
    audit = (Path(str(service.ready["data_dir"])) / "audit.log").read_text()
    assert audit.count('"RevealReviews"') == 1
    assert '"ListReviews"' not in audit


def test_names_of_rooms_are_completed(command: Command, service: Service) -> None:
    """A shell that asks what may follow is told the rooms of the service that the line names."""
    for name in ("green", "greenhouse", "red"):
        assert command("room", "create", name).exit_code == ExitCode.OK
    context = tail.make_context("tail", [], resilient_parsing=True)
    context.params["data_dir"] = str(service.ready["data_dir"])
    found = complete_rooms(context, tail.params[0], "gr")
    assert [each.value for each in found] == ["green", "greenhouse"]


def test_examples_work(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_aws_credentials: None
) -> None:
    """Each line of `greenroom cheat` does what it says, one after another."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GREENROOM_DATA_DIR", str(service.ready["data_dir"]))
    for example in [each for group in EXAMPLES.values() for each in group]:
        words = shlex.split(example.line)[1:]
        if words[0] == "serve":
            # What it takes is looked at; a service runs here already.
            assert CliRunner().invoke(main, ["config", *words[1:]]).exit_code == ExitCode.OK
        elif example.stays:
            _stays(words, example.stays, tmp_path)
        else:
            result = CliRunner().invoke(main, words, input="")
            assert result.exit_code == ExitCode.OK, (example.line, result.output)


def _stays(words: list[str], shown: str, tmp_path: Path) -> None:
    """Run a command until it has shown something; Ctrl-C ends it well."""
    errors = tmp_path / "stays"
    with errors.open("w") as written:
        variables = {"GREENROOM_DATA_DIR": os.environ["GREENROOM_DATA_DIR"]}
        process = subprocess.Popen(
            [sys.executable, "-m", "greenroom", *words], stdout=subprocess.DEVNULL, stderr=written,
            env=environment(**variables),
        )  # fmt: skip
    try:
        until(lambda: shown in errors.read_text(), shown)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, errors.read_text()
    finally:
        process.kill()
        process.wait()
