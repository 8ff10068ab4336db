"""Greenroom's own events, as values."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from greenroom.client import (
    ChatEvent,
    DeleteMessagesEvent,
    HistoryEvent,
    ModerationEvent,
    PinsEvent,
    SettingsEvent,
    UsersEvent,
    ViewersEvent,
    WelcomeEvent,
    YouEvent,
)
from greenroom.client.own_events import OWN_EVENTS, Occupancy, own_event
from greenroom.protocol import events

TIME = datetime(2026, 12, 1, 12, tzinfo=UTC)
TEXT = "2026-12-01T12:00:00Z"
MESSAGE = (
    '{"Type":"MESSAGE","Id":"Message00001","RequestId":"","Attributes":{"Until":""},"Content":"hi",'
    f'"SendTime":"{TEXT}","Sender":{{"UserId":"bob","Attributes":{{}}}}}}'
)


def event(name: str, attributes: Mapping[str, str] | None = None) -> ChatEvent:
    """Return an event of the service's, as the client reads it."""
    told = ChatEvent("Event0000001", f"greenroom:{name}", TIME, "", dict(attributes or {}))
    return own_event(told)


def test_all_are_known() -> None:
    """Each that the service sends, by its name."""
    names = {each for each in vars(events).values() if str(each).startswith("greenroom:")}
    assert OWN_EVENTS.keys() == names


def test_roles() -> None:
    """To whom they are, and to moderators, as lists; another event of him has none."""
    you = event("YOU", {"Roles": '["vip","mod"]'})
    assert isinstance(you, YouEvent)
    assert (you.roles, you.restriction) == (("vip", "mod"), "")
    item = '{"Operation":"UpdateUser","UserId":"bob","Kind":"ROLES","Roles":[],"By":"root"}'
    told = event("MODERATION", {"Item": item})
    assert isinstance(told, ModerationEvent)
    assert (told.item.kind, told.item.roles) == ("ROLES", ())
    other = event("YOU", {"Restriction": "MUTE"})
    assert isinstance(other, YouEvent)
    assert other.roles is None


def test_the_first_event() -> None:
    """Who somebody is, what holds, and what is pinned."""
    pin = f'[{{"Message":{MESSAGE},"By":"user:ann","Until":""}}]'
    found = event(
        "WELCOME",
        {
            "Version": "2026-12-01",
            "ServerTime": TEXT,
            "You": '{"UserId":"eve","Capabilities":["SEND_MESSAGE"],"Roles":["vip"]}',
            "Viewers": '{"Connections":3,"Users":2}',
            "Settings": '{"frozen":true,"writers":["vip"],"comesLater":1}',
            "Expires": f'{{"frozen":"{TEXT}"}}',
            "Pins": pin,
        },
    )
    assert isinstance(found, WelcomeEvent)
    assert (found.id, found.event_name, found.server_time) == (
        "Event0000001",
        "greenroom:WELCOME",
        TIME,
    )
    assert (found.you.user_id, found.you.roles) == ("eve", ("vip",))
    assert found.viewers == Occupancy(3, 2)
    assert (found.settings.frozen, found.settings.writers) == (True, ("vip",))
    assert found.expires == {"frozen": TIME}
    (pinned,) = found.pins
    assert (pinned.message.content, pinned.by, pinned.until) == ("hi", "user:ann", None)
    assert found.attributes is not None
    assert found.attributes["Pins"] == pin


def test_numbers_and_switches() -> None:
    """Attributes are texts, members what they mean."""
    history = event("HISTORY", {"Recovered": "false", "Count": "12", "More": "true"})
    assert isinstance(history, HistoryEvent)
    assert (history.recovered, history.count, history.more) == (False, 12, True)
    first = event("HISTORY", {"Count": "0", "More": "false"})
    assert isinstance(first, HistoryEvent)
    assert first.recovered is None
    viewers = event("VIEWERS", {"Connections": "1000", "Users": "999"})
    assert isinstance(viewers, ViewersEvent)
    assert (viewers.connections, viewers.users) == (1000, 999)
    users = event(
        "USERS", {"Joined": '["a","b"]', "Left": "[]", "Suspended": "false", "Reset": "true"}
    )
    assert isinstance(users, UsersEvent)
    assert (users.joined, users.left, users.suspended, users.reset) == (("a", "b"), (), False, True)


def test_what_was_done() -> None:
    """To a user, to his messages, to the room."""
    deleted = event("DELETE_MESSAGES", {"UserId": "bob", "MessageIds": '["Message00001"]'})
    assert isinstance(deleted, DeleteMessagesEvent)
    assert (deleted.user_id, deleted.message_ids, deleted.reason) == (
        "bob",
        ("Message00001",),
        None,
    )
    changed = event("SETTINGS", {"Settings": '{"emojiOnly":true}'})
    assert isinstance(changed, SettingsEvent)
    assert changed.settings.emoji_only
    pins = event("PINS", {"Pins": f'[{{"Message":{MESSAGE},"By":"x","Until":"{TEXT}"}}]'})
    assert isinstance(pins, PinsEvent)
    assert pins.pins[0].until == TIME
    assert pins.pins[0].message.attributes == {"Until": ""}
    item = {"Operation": "MuteUser", "UserId": "bob", "Kind": "MUTE", "By": "user:ann"}
    done = event("MODERATION", {"Item": json.dumps({**item, "Reason": "", "Until": ""})})
    assert isinstance(done, ModerationEvent)
    assert (done.item.operation, done.item.until) == ("MuteUser", None)


def test_what_somebody_is_told_of_himself() -> None:
    """A restriction, its end, and how long slow mode lasts."""
    muted = event("YOU", {"Restriction": "MUTE", "Until": TEXT, "Reason": "spam"})
    assert isinstance(muted, YouEvent)
    assert (muted.restriction, muted.until, muted.reason) == ("MUTE", TIME, "spam")
    free = event("YOU", {"Restriction": "", "Lifted": "MUTE", "Until": ""})
    assert isinstance(free, YouEvent)
    assert (free.restriction, free.lifted, free.until) == ("", "MUTE", None)
    slow = event("YOU", {"RetryAfter": "7"})
    assert isinstance(slow, YouEvent)
    assert slow.retry_after == 7


def test_what_is_of_another_form_stays_what_it_was() -> None:
    """As a newer service may send it; and so do all that are not the service's."""
    for each in (event("VIEWERS", {"Connections": "many"}), event("PINS", {"Pins": "{"})):
        assert type(each) is ChatEvent
    poll = ChatEvent("Event0000001", "poll", TIME)
    assert own_event(poll) is poll
