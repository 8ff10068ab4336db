"""What a chat says of the service's own events, and what it keeps of them."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from greenroom.cli.room.own_events import OwnEvents
from greenroom.client import ChatEvent
from greenroom.protocol import events
from greenroom.protocol.events import json_text

TIME = datetime(2026, 11, 29, 12, 0, 0, 0, UTC)
SETTINGS = {"frozen": False, "commands": True}
PINS = json_text(
    [
        {
            "Message": {"Content": "hi", "Sender": {"UserId": "bob"}},
            "By": "user:ann",
            "Until": "then",
        },
        {"Message": {"Content": "yo", "Sender": {"UserId": "eve"}}, "By": "key", "Until": ""},
    ]
)
BAN = {"Operation": "BanUser", "UserId": "bob", "Kind": "BAN", "By": "user:mod"}


def event(name: str, attributes: Mapping[str, str] | None = None) -> ChatEvent:
    """Return an event."""
    return ChatEvent("id", name, TIME, "", dict(attributes or {}))


def settings(name: str, **values: object) -> ChatEvent:
    """Return an event that tells settings."""
    return event(name, {"Settings": json_text({**SETTINGS, **values})})


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (settings(events.WELCOME), ""),
        (settings(events.WELCOME, frozen=True), "this room has frozen true"),
        (settings(events.SETTINGS, writers=["vip", "mod"]), "the room now has writers vip mod"),
        (settings(events.SETTINGS, slowModeSeconds=5, ofNextYear=1), "the room now has slow"),
        (event(events.YOU, {"Restriction": "MUTE"}), "you are restricted: MUTE"),
        (
            event(events.YOU, {"Restriction": "BAN", "Until": "then", "Reason": "spam"}),
            "you are restricted: BAN until then: spam",
        ),
        (event(events.YOU, {"Restriction": "", "Lifted": "MUTE"}), "you are free of MUTE again"),
        (event(events.MODERATION, {"Item": json_text(BAN)}), "mod did BanUser to bob"),
        (
            event(events.MODERATION, {"Item": json_text({**BAN, "By": "user:me"})}),
            "",
        ),
        (
            event(events.MODERATION, {"Item": json_text({**BAN, "Until": "t", "Reason": "r"})}),
            "mod did BanUser to bob until t: r",
        ),
        (event(events.VIEWERS, {"Connections": "2", "Users": "1"}), ""),
        (event(events.MODERATION), ""),
        (event(events.PINS, {"Pins": PINS}), "pinned by ann until then: bob: hi; pinned by key"),
        (event(events.PINS, {"Pins": "[]"}), "nothing is pinned any more"),
        (event(events.PINS, {"Pins": "[1]"}), ""),
        (
            event(events.WELCOME, {"Settings": json_text({"frozen": True}), "Pins": PINS}),
            "this room has frozen true; pinned by ann until then: bob: hi; pinned by key: eve: yo",
        ),
        (event(events.DELETE_MESSAGES, {"UserId": "bob", "MessageIds": '["a"]'}), "a message of"),
        (
            event(
                events.DELETE_MESSAGES,
                {"UserId": "bob", "MessageIds": '["a", "b"]', "Reason": "spam"},
            ),
            "2 messages of bob were deleted: spam",
        ),
        (event(events.HISTORY, {"Count": "2", "More": "true"}), "what was said before:"),
        (event(events.HISTORY, {"Count": "0", "More": "false"}), ""),
        (event(events.HISTORY, {"Count": "2", "Recovered": "true"}), "what was said meanwhile:"),
        (event(events.HISTORY, {"Count": "0", "Recovered": "true"}), ""),
        (event(events.HISTORY, {"Count": "9", "Recovered": "false"}), "some of what was said"),
        (event(events.ROOM_DELETED), "the room was deleted: nobody writes here any more"),
        (event(events.SETTINGS, {"Settings": "[]"}), ""),
    ],
)
def test_what_is_said(told: ChatEvent, said: str) -> None:
    """In words; nothing of what is as by default, was done by oneself, or is not understood."""
    own = OwnEvents("me")
    assert own.takes(told)
    assert own.said(told).startswith(said)
    assert bool(own.said(told)) <= bool(said)


def test_only_what_has_changed_is_told() -> None:
    """And that a setting is off again is a change, too."""
    own = OwnEvents("me")
    assert own.said(settings(events.WELCOME, writers=["vip"])) == "this room has writers vip"
    assert own.said(settings(events.SETTINGS, writers=["vip"])) == ""
    assert own.said(settings(events.SETTINGS)) == "the room now has writers none"


def test_other_events_are_the_applications() -> None:
    """They are left to whoever shows events."""
    assert not OwnEvents("me").takes(event("poll", {"question": "Encore?"}))


def test_whether_a_room_has_commands() -> None:
    """Is known from the first event on; where none comes, it has none."""
    own = OwnEvents("me")
    assert asyncio.run(own.commands(0)) is False
    own.said(settings(events.WELCOME))
    assert asyncio.run(own.commands(0)) is True
    own.said(settings(events.SETTINGS, commands=False))
    assert asyncio.run(own.commands(0)) is False
