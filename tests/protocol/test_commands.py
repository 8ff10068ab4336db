"""What a typed command means: the words to one of our actions, or to the usage."""

from collections.abc import Mapping

import msgspec
import pytest

from greenroom.model.message import STYLES
from greenroom.model.restriction import Kind
from greenroom.model.room_settings import BY_NAME, LONGEST_SECONDS
from greenroom.protocol.actions import SendMessage
from greenroom.protocol.commands import COMMANDS, is_command, names_user, read
from greenroom.protocol.errors import ActionError
from greenroom.protocol.members import REASON_LENGTH, USER_ID_LENGTH
from greenroom.protocol.own_actions import (
    Announce,
    CountViewers,
    DeleteUserMessages,
    Help,
    Lift,
    OwnAction,
    PinMessage,
    Restrict,
    SetSettings,
    UnpinMessage,
)

ID = "Message00001"
LONGEST_PAUSE = BY_NAME["paused"].longest
TYPED = {"request_id": "r", "by_message": True}


def typed(content: str) -> SendMessage:
    """Return a message that somebody typed."""
    return SendMessage(content, {"name": "Ann"}, "r")


def restrict(kind: Kind, seconds: int = 0, reason: str = "") -> OwnAction:
    """Return what restricts bob."""
    made = {"user_id": "bob", "kind": kind, "seconds": seconds, "reason": reason}
    return msgspec.convert({**made, **TYPED}, Restrict)


def lift(kind: Kind) -> OwnAction:
    """Return what restricts bob no longer."""
    return Lift(user_id="bob", kind=kind, request_id="r", by_message=True)


def setting(
    values: Mapping[str, object], *reset: str, seconds: int = 0, discards: bool = False
) -> OwnAction:
    """Return what changes a room's settings."""
    made = {"settings": values, "reset": reset, "seconds": seconds, "discards": discards}
    return msgspec.convert({**made, **TYPED}, SetSettings)


MEANT: dict[str, OwnAction] = {
    "/timeout bob 10m spam  and more": restrict(Kind.MUTE, 600, "spam and more"),
    "/TimeOut @bob 90": restrict(Kind.MUTE, 90),
    f"/timeout bob 365d {'x' * REASON_LENGTH}": restrict(
        Kind.MUTE, LONGEST_SECONDS, "x" * REASON_LENGTH
    ),
    f"/timeout bob 2h {'x' * (REASON_LENGTH + 1)}": restrict(Kind.MUTE, 7_200, "x" * REASON_LENGTH),
    "/mute bob": restrict(Kind.MUTE),
    "/mute b": msgspec.structs.replace(restrict(Kind.MUTE), user_id="b"),
    "/mute bob 10m": restrict(Kind.MUTE, 0, "10m"),
    "/ban bob get out": restrict(Kind.BAN, 0, "get out"),
    "/shadow bob": restrict(Kind.SHADOW),
    "/monitor bob": restrict(Kind.MONITOR),
    "/unmute @bob": lift(Kind.MUTE),
    "/unban bob": lift(Kind.BAN),
    "/unshadow bob": lift(Kind.SHADOW),
    "/unmonitor bob": lift(Kind.MONITOR),
    "/slow 30s": setting({"slowModeSeconds": 30}),
    "/slow 0": setting({"slowModeSeconds": 0}),
    "/slow off": setting({}, "slowModeSeconds"),
    "/delay 10": setting({"delaySeconds": 10}),
    "/delay off": setting({}, "delaySeconds"),
    "/pause": setting({"paused": True}),
    "/pause 1m": setting({"paused": True}, seconds=60),
    f"/pause {LONGEST_PAUSE}": setting({"paused": True}, seconds=LONGEST_PAUSE),
    "/resume": setting({}, "paused"),
    "/resume discard": setting({}, "paused", discards=True),
    "/freeze": setting({"frozen": True}),
    "/freeze on": setting({"frozen": True}),
    "/freeze off": setting({}, "frozen"),
    "/subscribers": setting({"writers": ("subscriber",)}),
    "/subscribers off": setting({}, "writers"),
    "/emoji": setting({"emojiOnly": True}),
    "/shield on": setting({"shield": True}),
    "/viewers": CountViewers(request_id="r", by_message=True),
    "/announce we  begin": Announce(
        content="we begin", style=STYLES[0], request_id="r", by_message=True
    ),
    "/clear @bob": DeleteUserMessages(user_id="bob", request_id="r", by_message=True),
    f"/pin {ID}": PinMessage(message_id=ID, seconds=0, request_id="r", by_message=True),
    f"/pin {ID} 10m": PinMessage(message_id=ID, seconds=600, request_id="r", by_message=True),
    f"/unpin {ID}": UnpinMessage(message_id=ID, request_id="r", by_message=True),
    "/help": Help(request_id="r", by_message=True),
    "/help me": Help(request_id="r", by_message=True),
    "/": Help(request_id="r", by_message=True),
}


@pytest.mark.parametrize("content", MEANT)
def test_what_a_command_means(content: str) -> None:
    """Exactly one of our actions, which is answered to who typed it."""
    assert is_command(typed(content))
    assert read(typed(content)) == MEANT[content]


def test_every_command_is_meant_here() -> None:
    """None is left out of the table above."""
    assert {each[1:].split(" ")[0].lower() or "help" for each in MEANT} == COMMANDS.keys()


@pytest.mark.parametrize(
    "content",
    [
        *("/timeout", "/timeout bob", "/timeout bob 0", "/timeout bob soon", "/timeout bob -1"),
        *(f"/timeout bob {LONGEST_SECONDS + 1}", "/timeout bob 123456789", "/timeout bob 1w"),
        *("/mute", "/mute @", f"/ban {'u' * (USER_ID_LENGTH + 1)}", "/unban", "/unban bob eve"),
        *("/slow", "/slow 1 2", "/slow soon", "/slow on", "/slow 2h", "/delay 1d", "/delay"),
        *(
            "/pause 0",
            "/pause 1 2",
            "/pause soon",
            f"/pause {LONGEST_PAUSE + 1}",
            "/resume now",
            "/resume a b",
        ),
        *("/freeze now", "/freeze on off", "/viewers all", "/announce", "/clear", "/clear a b"),
        *("/pin", "/pin short", f"/pin {ID} 0", f"/pin {ID} soon", f"/pin {ID} 1 2"),
        *("/unpin", "/unpin short", f"/unpin {ID} 1"),
    ],
)
def test_what_means_nothing(content: str) -> None:
    """It is answered with the command's usage."""
    name = content[1:].split(maxsplit=1)[0]
    with pytest.raises(ActionError) as wrong:
        read(typed(content))
    usage = f"Usage: /{name} {COMMANDS[name].usage}".rstrip()
    error = wrong.value
    assert (error.code, error.message, error.request_id) == (400, usage, "r")


def test_what_is_no_command() -> None:
    """Two slashes begin a message with one; an unknown name is told which there are."""
    message = read(typed("//ban bob"))
    assert message == SendMessage("/ban bob", {"name": "Ann"}, "r")
    assert not is_command(typed("ban /bob"))
    assert not is_command(typed(""))
    with pytest.raises(ActionError, match=r"^Commands: /timeout /mute .* /help$") as wrong:
        read(typed("/dance"))
    assert (wrong.value.code, wrong.value.request_id) == (400, "r")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("/mute @Bob spam", "Bob"),
        ("/UNMUTE Bob", "Bob"),
        ("/clear Bob", "Bob"),
        *((other, "") for other in ("/mute", "/", "/dance Bob", "/announce Bob", f"/pin {ID}")),
    ],
)
def test_which_word_names_a_user(content: str, word: str) -> None:
    """The first of a command for users; whom it means is found out, and goes before the word."""
    assert names_user(typed(content)) == word
    if word and content.startswith("/clear"):
        found = read(typed(content), lambda word: f"id of {word}")
        assert isinstance(found, DeleteUserMessages)
        assert found.user_id == "id of Bob"
