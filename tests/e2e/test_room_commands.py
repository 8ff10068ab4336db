"""What a person does in rooms from the command line, against the real process.

Covers: greenroom.cli.room.acting, greenroom.cli.room.being, greenroom.cli.room.chat,
greenroom.cli.room.command, greenroom.cli.room.say, greenroom.cli.room.screen,
greenroom.cli.room.service, greenroom.cli.room.tail
"""

import fcntl
import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from click.testing import CliRunner, Result

from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main
from tests.running.said import until
from tests.running.service import Service, environment, running

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service."""
    with running(tmp_path_factory.mktemp("rooms") / "data") as started:
        yield started


@pytest.fixture
def command(service: Service, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return what calls a command with the service's own data directory."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GREENROOM_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GREENROOM_DATA_DIR", str(service.ready["data_dir"]))
    return lambda *arguments: CliRunner().invoke(main, list(arguments))


def said(result: Result) -> str:
    """Return what a command printed; it must have succeeded."""
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


class Beside:
    """A command that runs beside the test, in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]", out: Path, err: Path) -> None:
        self.process = process
        self._out, self._err = out, err

    def printed(self, words: str = "") -> list[str]:
        """Wait until the words were printed; return the lines on standard output."""
        until(lambda: words in self._out.read_text() + self._err.read_text(), words)
        return self._out.read_text().splitlines()

    def type(self, line: str) -> None:
        """Type a line."""
        keyboard: IO[str] | None = self.process.stdin
        assert keyboard is not None
        keyboard.write(line + "\n")
        keyboard.flush()

    def end(self) -> int:
        """End the input; return the exit code."""
        keyboard: IO[str] | None = self.process.stdin
        assert keyboard is not None
        keyboard.close()
        return self.process.wait(30)


@contextmanager
def beside(service: Service, tmp_path: Path, name: str, *arguments: str) -> Iterator[Beside]:
    """Run a command for the length of a `with` block."""
    out, err = tmp_path / f"{name}.out", tmp_path / f"{name}.err"
    with out.open("w") as output, err.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "greenroom", *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=errors,
            text=True,
            env=environment(
                GREENROOM_DATA_DIR=str(service.ready["data_dir"]), PYTHONUNBUFFERED="1"
            ),
        )
    try:
        yield Beside(process, out, err)
    finally:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def test_rooms_are_made_seen_changed_and_deleted(command: Command) -> None:
    """By name, id and ARN; what is printed is for people, and JSON for scripts."""
    arn = said(command("room", "create", "stage", "--rate", "20", "--tag", "team=red"))
    room_id = arn.rpartition("/")[2]
    assert f"stage  {room_id}" in said(command("rooms"))
    listed = json.loads(said(command("rooms", "--json")))
    assert [each["arn"] for each in listed if each["name"] == "stage"] == [arn]
    assert {(each["users"], each["connections"]) for each in listed} == {(0, 0)}
    for name in ("stage", room_id, arn):
        shown = json.loads(said(command("room", "show", name, "--json")))
        assert shown["arn"] == arn
        assert shown["maximumMessageRatePerSecond"] == 20
        assert shown["tags"] == {"team": "red"}
    changed = said(command("room", "set", "stage", "--length", "100", "--name", "scene"))
    assert "characters a message  100" in changed
    assert "messages a second     20" in changed
    assert command("room", "show", "stage").exit_code == ExitCode.REFUSED
    assert said(command("room", "delete", "scene")) == f"deleted {arn}"
    assert command("room", "show", room_id).exit_code == ExitCode.REFUSED


def test_a_review_handler_is_set_and_shown(command: Command) -> None:
    """A handler with its fallback."""
    uri = "arn:aws:lambda:us-east-1:123456789012:function:review"
    asked = ("--review", uri, "--fallback", "DENY")
    made = command("room", "create", "reviewed", *asked)
    assert made.exit_code == ExitCode.REFUSED
    assert "uri failed to satisfy the constraints: invalid lambda permission" in made.output


def test_a_name_that_several_rooms_have_is_told(command: Command) -> None:
    """With the ids of which one is to be taken."""
    made = [command("room", "create", "twin") for _ in range(2)]
    ids = [said(each).rpartition("/")[2] for each in made]
    assert [each.stderr for each in made] == [
        "",
        "Note: another room is called twin, too: say by its id which one you mean\n",
    ]
    result = command("token", "twin", "--as", "alice")
    assert result.exit_code == ExitCode.REFUSED
    assert result.output.startswith("Error: 2 rooms are called twin: name one by its id: ")
    assert all(each in result.output for each in ids)
    assert said(command("token", ids[0], "--as", "alice"))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("token", "nowhere", "--as", "x"), ExitCode.REFUSED, "greenroom room create nowhere"),
        (("say", "nowhere", "hi", "--as", "x"), ExitCode.REFUSED, "no room is called nowhere"),
        (("tail", "nowhere"), ExitCode.REFUSED, "no room is called nowhere"),
        (("kick", "nowhere", "x"), ExitCode.REFUSED, "no room is called nowhere"),
        (("say", "nowhere", "hi"), ExitCode.USAGE, "--as"),
        (("token", "x", "--as", "x", "--can", "FLY"), ExitCode.USAGE, "SEND_MESSAGE"),
        (("room", "set", "x"), ExitCode.USAGE, "say what to change"),
        (("room", "create", "x", "--rate", "0"), ExitCode.REFUSED, "maximumMessageRatePerSecond"),
        (("event", "x", "e", "--attribute", "novalue"), ExitCode.USAGE, "NAME=VALUE"),
        (("rooms", "--endpoint-url", "http://127.0.0.1:1"), ExitCode.UNREACHABLE, "cannot reach"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    command: Command, arguments: tuple[str, ...], code: ExitCode, words: str
) -> None:
    """It says what is wrong, and the code is the documented one."""
    result = command(*arguments)
    assert result.exit_code == code, result.output
    assert words in result.output
    assert result.output.count("\n") == 1


def test_tokens_are_for_pasting(command: Command, service: Service) -> None:
    """The token alone, a line for a browser's console, or everything as JSON."""
    said(command("room", "create", "tokens"))
    plain = said(command("token", "tokens", "--as", "alice", "--can", "SEND_MESSAGE"))
    assert "\n" not in plain
    line = said(command("token", "tokens", "--as", "alice", "--url"))
    assert line.startswith(f'new WebSocket("{service.websocket_url}')
    asked = ("--minutes", "5", "--attribute", "color=red", "--json")
    everything = json.loads(said(command("token", "tokens", "--as", "alice", *asked)))
    assert set(everything) == {"token", "tokenExpirationTime", "sessionExpirationTime"}


def test_what_happens_in_a_room_is_followed(
    command: Command, service: Service, tmp_path: Path
) -> None:
    """Messages, events, deletions and kicks, in order, one line of JSON each; then it is enough."""
    arn = said(command("room", "create", "followed"))
    with beside(service, tmp_path, "tail", "tail", "followed", "--json", "--count", "4") as tail:
        tail.printed("watching followed")
        message_id = said(
            command("say", "followed", "hi \x1b[31m", "--as", "al", "--attribute", "k=v")
        )
        event_id = said(command("event", "followed", "poll", "--attribute", "q=?"))
        said(command("delete-message", "followed", message_id, "--reason", "why"))
        assert said(command("kick", "followed", "bob")) == "disconnected bob"
        assert tail.end() == 0
        lines = [json.loads(line) for line in tail.printed()]
    assert [each["type"] for each in lines] == [
        "MESSAGE",
        "EVENT",
        "DELETE_MESSAGE",
        "DISCONNECT_USER",
    ]
    assert lines[0]["content"] == "hi \x1b[31m"
    assert (lines[0]["id"], lines[0]["attributes"]) == (message_id, {"k": "v"})
    assert (lines[1]["id"], lines[1]["attributes"]) == (event_id, {"q": "?"})
    assert (lines[2]["messageId"], lines[2]["reason"]) == (message_id, "why")
    assert lines[3]["userId"] == "bob"
    assert {each["room"] for each in lines} == {arn}


def test_several_rooms_are_followed_at_once(
    command: Command, service: Service, tmp_path: Path
) -> None:
    """Each line says which one it is of; output to a pipe has no colors."""
    for name in ("left", "right"):
        said(command("room", "create", name))
    with beside(service, tmp_path, "tail", "tail", "left", "right", "--count", "2") as tail:
        tail.printed("watching left")
        tail.printed("watching right")
        said(command("say", "left", "one", "--as", "alice"))
        tail.printed("one")
        said(command("say", "right", "two", "--as", "bob"))
        assert tail.end() == 0
        assert "nclosed" not in (tmp_path / "tail.err").read_text()
        first, second = tail.printed()
    assert first.startswith("left ")
    assert first.endswith(" alice: one")
    assert second.endswith(" bob: two")
    assert "\x1b" not in first + second


def test_what_the_service_refuses_to_send_is_told(command: Command) -> None:
    """With the code and the text that a client gets."""
    said(command("room", "create", "short", "--length", "3"))
    result = command("say", "short", "too long", "--as", "alice")
    assert result.exit_code == ExitCode.REFUSED
    assert result.output == "Error: 413: Message exceeds maximum length\n"


def test_two_people_chat(command: Command, service: Service, tmp_path: Path) -> None:
    """In a room that nobody made before; each sees what the other types, and what is not done."""
    with (
        beside(service, tmp_path, "alice", "chat", "parlour", "--as", "alice") as alice,
        beside(service, tmp_path, "bob", "chat", "parlour", "--as", "bob", "--moderator") as bob,
    ):
        for person in (alice, bob):
            person.printed("you are in parlour")
        rooms = json.loads(said(command("rooms", "--json")))
        assert len([each for each in rooms if each["name"] == "parlour"]) == 1
        alice.type("hello bob")
        assert any(line.endswith("alice: hello bob") for line in bob.printed("hello bob"))
        bob.type("//not a command")
        alice.printed("bob: /not a command")
        alice.type("/kick bob")
        alice.printed("-- /kick is for moderators")
        alice.type("/dance")
        alice.printed("-- there is no command /dance; /help shows those there are")
        alice.type("/help")
        alice.printed("-- /ids  show the ids")
        bob.type("/help")
        bob.printed("-- /delete ID [REASON]  take a message back")
        bob.type("/kick alice loud")
        alice.printed("the connection ended: serverDisconnect")
        assert alice.process.wait(30) == 0
        assert bob.end() == 0


def test_a_moderator_types_the_commands_of_the_room(
    command: Command, service: Service, tmp_path: Path
) -> None:
    """Those that are not the chat's own go to the room, where it has them; nobody else sees one."""
    with (
        beside(service, tmp_path, "erin", "chat", "den", "--as", "erin") as erin,
        beside(service, tmp_path, "judge", "chat", "den", "--as", "judge", "--moderator") as judge,
    ):
        for person in (erin, judge):
            person.printed("you are in den")
        judge.type("/help")
        judge.printed("-- in this room:")
        judge.printed("-- /timeout USER 10m [REASON]\n-- /mute")
        judge.type("/timeout erin 10m spam")
        judge.printed("-- erin: MUTE for 600 seconds")
        erin.printed("-- you are restricted: MUTE until")
        erin.type("hello")
        erin.printed("-- not done: 403")
        judge.type("/announce We begin")
        erin.printed("We begin")
        judge.type("/slow soon")
        judge.printed("-- not done: 400: Usage: /slow 30s | off")
        judge.type("/slow 30s")
        erin.printed("-- the room now has slowModeSeconds 30")
        judge.type("//slow is what I typed")
        heard = said_by("judge", erin.printed("/slow is"))
        assert heard == ["We begin", "/slow is what I typed"]
        arn = json.loads(said(command("room", "show", "den", "--json")))["arn"]
        settings = ("--room-identifier", arn, "--settings", "commands=false")
        said(command("api", "update-room-settings", *settings))
        judge.printed("-- the room now has commands false")
        judge.type("/freeze")
        judge.printed("-- there is no command /freeze; /help shows")
        judge.type("/help")
        judge.printed("-- the room has no commands: its setting `commands` is off")
        judge.type("//over")
        assert said_by("judge", erin.printed("/over"))[2:] == ["/over"]


def said_by(user: str, lines: list[str]) -> list[str]:
    """Return what somebody said, as a chat printed it."""
    return [line.partition(f"{user}: ")[2] for line in lines if f" {user}: " in line]


def test_what_is_no_text_is_not_said(service: Service, tmp_path: Path) -> None:
    """It is told, and what comes before and after it is said."""
    with beside(service, tmp_path, "carol", "chat", "bytes", "--as", "carol") as carol:
        carol.printed("you are in bytes")
        keyboard = carol.process.stdin
        assert keyboard is not None
        os.write(keyboard.fileno(), b"before\n\xff\nafter\n")
        printed = carol.printed("carol: after")
        assert [line.rpartition(": ")[2] for line in printed] == ["before", "after"]
        carol.printed("-- not said: a line that is not UTF-8")
        assert carol.end() == 0


def test_a_service_that_is_gone_for_good(tmp_path: Path) -> None:
    """Is one line, and the documented code."""
    with (
        running(tmp_path / "data") as gone,
        beside(gone, tmp_path, "dave", "chat", "parlour", "--as", "dave") as dave,
    ):
        dave.printed("you are in parlour")
        gone.process.kill()
        assert dave.process.wait(60) == ExitCode.UNREACHABLE
        dave.printed("Error: the connection is lost for good: ")


@pytest.mark.parametrize("leaving", [b"/quit\n", b"\x03", b"\x04"], ids=["quit", "C-c", "C-d"])
def test_chatting_in_a_terminal(service: Service, leaving: bytes) -> None:
    """There is a prompt, what comes stands above what is typed; the terminal is left as it was."""
    screen, keyboard = pty.openpty()
    before = termios.tcgetattr(keyboard)
    process = subprocess.Popen(
        [sys.executable, "-m", "greenroom", "chat", "terminal", "--as", "alice"],
        stdin=keyboard,
        stdout=keyboard,
        stderr=keyboard,
        env=_environment(service),
        start_new_session=True,
        preexec_fn=_own_terminal,  # noqa: PLW1509 - no thread of this process holds a lock then
    )
    seen = ""

    def shows(words: str) -> bool:
        nonlocal seen
        seen += os.read(screen, 4096).decode(errors="replace")
        return words in seen

    try:
        until(lambda: shows("you are in terminal"), "the greeting")
        os.write(screen, b"hello\n")
        until(lambda: shows("alice\x1b[0m: hello"), "the message")
        until(lambda: seen.endswith("> ") or shows("> "), "the prompt")
        assert termios.tcgetattr(keyboard) != before
        os.write(screen, leaving)
        assert process.wait(30) == 0
        assert termios.tcgetattr(keyboard) == before
    finally:
        process.kill()
        process.wait()
        os.close(screen)
        os.close(keyboard)


def _own_terminal() -> None:
    """Make standard input the terminal whose Ctrl-C reaches this process."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_help_names_every_command(command: Command) -> None:
    """A stranger finds the verbs."""
    text: Any = said(command("--help"))
    for verb in ("chat", "tail", "say", "token", "rooms", "room", "event", "kick"):
        assert f"\n  {verb} " in text


def _environment(service: Service) -> dict[str, str]:
    directory = str(service.ready["data_dir"])
    return environment(GREENROOM_DATA_DIR=directory, PYTHONUNBUFFERED="1", TERM="xterm")
