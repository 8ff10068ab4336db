"""What a room asks for with each connection."""

from datetime import UTC, datetime

import pytest

from greenroom.client.recovery import Asking
from greenroom.protocol.received import ChatEvent, ChatMessage, ChatUser

TIME = datetime(2026, 12, 1, tzinfo=UTC)


def message(message_id: str, user_id: str = "alice") -> ChatMessage:
    """Return a message."""
    return ChatMessage(message_id, "hi", TIME, ChatUser(user_id))


def event(event_id: str, name: str) -> ChatEvent:
    """Return an event."""
    return ChatEvent(event_id, name, TIME)


def test_who_asks_for_nothing_is_not_changed() -> None:
    """Neither before something is seen nor after; a query of the application's own stays."""
    for url in ("wss://host", "wss://host/?history=5&x=y"):
        asking = Asking(url, events=False, history=0, since=None)
        asking.see(message("Message00001"))
        assert asking.url() == url


def test_each_connection_asks_for_what_is_behind_the_last() -> None:
    """At first for what was wished; then for what is behind what was seen."""
    asking = Asking("wss://host/?x=y", events=True, history=50, since=None)
    assert asking.url() == "wss://host/?x=y&events=on&history=50"
    asking.see(message("Message00001"))
    assert asking.url() == "wss://host/?x=y&events=on&history=50&since=Message00001"
    empty = Asking("wss://host/?", events=True, history=0, since=None)
    assert empty.url() == "wss://host/?events=on"
    begun = Asking("wss://host", events=False, history=0, since="Message00009")
    assert begun.url() == "wss://host?since=Message00009"
    begun.see(event("Event0000001", "poll"))
    assert begun.url() == "wss://host?since=Event0000001"


def test_events_alone_recover_too() -> None:
    """Once there is something that was seen."""
    asking = Asking("wss://host/", events=True, history=0, since=None)
    assert asking.url() == "wss://host/?events=on"
    asking.see(message("Message00001"))
    assert asking.url() == "wss://host/?events=on&since=Message00001"


def test_what_is_no_place_in_the_room_is_passed_over() -> None:
    """The service's answers, and its events but deletions."""
    asking = Asking("wss://host/", events=True, history=0, since="Message00001")
    asking.see(message("Message00002", "greenroom"))
    asking.see(event("Event0000002", "greenroom:VIEWERS"))
    assert asking.url().endswith("since=Message00001")
    for event_id, name in (
        ("Event0000003", "greenroom:DELETE_MESSAGES"),
        ("Event0000004", "aws:DELETE_MESSAGE"),
    ):
        asking.see(event(event_id, name))
        assert asking.url().endswith(f"since={event_id}")


@pytest.mark.parametrize(
    ("url", "history", "since", "problem"),
    [
        ("wss://host", 201, None, "history must be a number from 0 to 200"),
        ("wss://host", -1, None, "history must be a number from 0 to 200"),
        ("wss://host", 0, "no id", "since must be the Id of a message or an event"),
        ("wss://host?x=y&history=", 5, None, "history must be an option, or stand in the URL"),
        ("wss://host?since=x", 5, None, "since must be an option, or stand in the URL"),
    ],
)
def test_what_breaks_a_rule_is_told_at_once(
    url: str, history: int, since: str | None, problem: str
) -> None:
    """By its name and the rule, before there is any connection."""
    with pytest.raises(ValueError, match=problem):
        Asking(url, events=False, history=history, since=since)
