"""What a room's own actions ask for, and what their answers become, without a service.

Covers: greenroom.client.room_actions
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from greenroom.client import Occupancy
from greenroom.client.room_actions import Restricted, RoomActions

TIME = "2026-11-29T12:00:00Z"
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
MESSAGE = {"Type": "MESSAGE", "Id": "m", "Content": "hi", "SendTime": TIME}
MUTED: dict[str, object] = {"UserId": "bob", "Kind": "MUTE"}


class Asked(RoomActions):
    """Notes what is asked for, and gives the answers of the test."""

    def __init__(self, *answers: dict[str, object]) -> None:
        self.asked: list[tuple[str, dict[str, object]]] = []
        self._answers = list(answers)

    async def act(
        self, action: str, members: Mapping[str, object] | None = None
    ) -> dict[str, object]:
        given = {name: value for name, value in (members or {}).items() if value is not None}
        self.asked.append((action, given))
        return self._answers.pop(0)


async def test_settings() -> None:
    """Under the service's names; what is to be reset is null, what is not said is left out."""
    asked = Asked({"Settings": {"slowModeSeconds": 30}}, {"Settings": {}})
    changed = await asked.set_settings({"slow_mode_seconds": 30, "frozen": None})
    assert changed.slow_mode_seconds == 30
    await asked.set_settings({"paused": False}, expires_in_seconds=60, discard_waiting=True)
    assert asked.asked == [
        ("SET", {"Settings": {"slowModeSeconds": 30, "frozen": None}}),
        (
            "SET",
            {"Settings": {"paused": False}, "ExpiresInSeconds": 60, "DiscardWaiting": True},
        ),
    ]


async def test_restrictions() -> None:
    """For a time or for ever, of which an answer says the end as "" or not at all."""
    asked = Asked({**MUTED, "Until": TIME}, {**MUTED, "Until": ""}, MUTED)
    muted = await asked.restrict(
        "bob", "MUTE", duration_seconds=5, reason="spam", delete_messages_since_seconds=60
    )
    assert muted == Restricted("bob", "MUTE", NOON)
    assert await asked.restrict("bob", "MUTE") == Restricted("bob", "MUTE", None)
    assert await asked.lift("bob", "MUTE") == Restricted("bob", "MUTE", None)
    said = {"DurationSeconds": 5, "Reason": "spam", "DeleteMessagesSinceSeconds": 60}
    assert asked.asked == [
        ("RESTRICT", {**MUTED, **said}),
        ("RESTRICT", MUTED),
        ("LIFT", MUTED),
    ]


async def test_messages() -> None:
    """They are deleted, announced, pinned, and listed with whether there are earlier ones."""
    page: dict[str, object] = {"Messages": [{**MESSAGE, "Sender": {"UserId": "bob"}}], "More": True}
    ids: dict[str, object] = {"MessageIds": ["m"], "Pins": ["m", "n"], "Id": "a"}
    asked = Asked(ids, ids, ids, ids, ids, page, page)
    assert await asked.delete_user_messages("bob", since_seconds=60, reason="spam") == ("m",)
    assert await asked.announce("hi", "WARNING") == "a"
    assert await asked.announce("hi") == "a"
    assert await asked.pin("m", duration_seconds=5) == ("m", "n")
    assert await asked.unpin("m") == ("m", "n")
    (found,), more = await asked.list_messages(before="n", limit=1)
    assert (found.id, found.content, found.sender.user_id, more) == ("m", "hi", "bob", True)
    await asked.list_messages()
    assert asked.asked == [
        ("DELETE_USER_MESSAGES", {"UserId": "bob", "SinceSeconds": 60, "Reason": "spam"}),
        ("ANNOUNCE", {"Content": "hi", "Style": "WARNING"}),
        ("ANNOUNCE", {"Content": "hi", "Style": "INFO"}),
        ("PIN", {"MessageId": "m", "DurationSeconds": 5}),
        ("UNPIN", {"MessageId": "m"}),
        ("LIST_MESSAGES", {"Before": "n", "Limit": 1}),
        ("LIST_MESSAGES", {}),
    ]


async def test_who_is_there() -> None:
    """How many, and the ids of all pages."""
    asked = Asked(
        {"Connections": 3, "Users": 2},
        {"Users": ["a", "b"], "NextToken": "next"},
        {"Users": ["c"], "NextToken": ""},
    )
    assert await asked.viewers() == Occupancy(3, 2)
    assert [user async for user in asked.users()] == ["a", "b", "c"]
    assert asked.asked == [
        ("VIEWERS", {}),
        ("LIST_USERS", {}),
        ("LIST_USERS", {"NextToken": "next"}),
    ]


@pytest.mark.parametrize("answer", [{}, {"Pins": None}, {"Pins": "m"}])
async def test_an_answer_of_another_form(answer: Any) -> None:
    """It is no result."""
    with pytest.raises(msgspec.ValidationError):
        await Asked(answer).pin("m")
