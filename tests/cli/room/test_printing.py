"""What strangers wrote is printed without obeying it.

Covers: greenroom.cli.escaping
"""

import json
from datetime import UTC, datetime

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.cli.escaping import printable
from greenroom.cli.room.printing import json_of, line_of
from greenroom.client import (
    ChatEvent,
    ChatMessage,
    ChatUser,
    DeleteMessageEvent,
    DisconnectUserEvent,
)

TIME = datetime(2026, 11, 29, 12, 0, 0, 123456, UTC)


def message(content: str, user: str = "alice") -> ChatMessage:
    """Return a message."""
    return ChatMessage("id", content, TIME, ChatUser(user, {"color": "red"}), "r", {"k": "v"})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("hello, wörld 🎉", "hello, wörld 🎉"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\u202eevil\u2028", r"\u202eevil\u2028"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, shown: str) -> None:
    """Control and format characters, ends of lines, half characters; all else is as it was."""
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_a_line_is_one_line_of_its_own_colors(text: str) -> None:
    """Whatever it holds, no line ends within it, and no sequence in it is another's."""
    line = line_of(message(text, text))
    assert line.splitlines() == [line]
    assert "\x1b" not in click.unstyle(line)
    line.encode()


@given(st.text(st.characters()))
def test_a_line_of_json_is_one_line(text: str) -> None:
    """In ASCII, and nothing of what was said is lost."""
    line = json_of(message(text), "arn")
    assert line.isascii()
    assert line.splitlines() == [line]
    assert json.loads(line)["content"] == text


@pytest.mark.parametrize(
    ("entity", "words", "members"),
    [
        (message("hi"), "alice: hi", {"type": "MESSAGE", "content": "hi"}),
        (
            ChatEvent("id", "poll", TIME, "r", {"k": "v"}),
            '* event poll {"k": "v"}',
            {"type": "EVENT", "eventName": "poll"},
        ),
        (
            DeleteMessageEvent("id", "m", "why", TIME, "r", {"k": "v"}),
            "* message m was deleted: why",
            {"type": "DELETE_MESSAGE", "messageId": "m", "reason": "why"},
        ),
        (
            DisconnectUserEvent("id", "bob", None, TIME, "r", {"k": "v"}),
            "* bob was disconnected",
            {"type": "DISCONNECT_USER", "userId": "bob", "reason": None},
        ),
    ],
)
def test_every_kind_has_its_line(
    entity: ChatMessage | ChatEvent | DeleteMessageEvent | DisconnectUserEvent,
    words: str,
    members: dict[str, object],
) -> None:
    """For people, and for scripts with the names that the wire has."""
    assert click.unstyle(line_of(entity)).endswith(words)
    said = json.loads(json_of(entity, "arn"))
    assert members.items() <= said.items()
    assert said["room"] == "arn"
    assert said["sendTime"] == "2026-11-29T12:00:00.123456+00:00"
    assert (said["id"], said["requestId"], said["attributes"]) == ("id", "r", {"k": "v"})
