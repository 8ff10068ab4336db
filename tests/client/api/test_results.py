"""What an operation's answer becomes."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from greenroom.client import (
    ChatToken,
    LoggingConfigurationPage,
    MessagesDeleted,
    RestrictedAddress,
    RestrictionAnswer,
    Room,
    RoomPage,
    Tags,
)
from greenroom.client.api.results import result_of

TIME, LATER = "2026-11-30T12:00:00.000Z", "2026-11-30T13:00:00.000Z"
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_times_are_values_or_texts() -> None:
    """As was asked for, in lists as well; what is not set stays so."""
    answer: dict[str, object] = {"arn": "a", "id": "i", "createTime": TIME, "tags": {"k": "v"}}
    room = result_of("GetRoom", answer, convert=True)
    assert isinstance(room, Room)
    assert (room.create_time, room.update_time, room.tags) == (NOON, None, {"k": "v"})
    room = result_of("GetRoom", answer, convert=False)
    assert isinstance(room, Room)
    assert (str(room.create_time), room.update_time, room.tags) == (TIME, None, {"k": "v"})
    listed = {**answer, "loggingConfigurationIdentifiers": ["x"]}
    rooms: dict[str, object] = {"rooms": [listed, {**answer, "id": "j"}]}
    page = result_of("ListRooms", rooms, convert=False)
    assert isinstance(page, RoomPage)
    assert [(each.id, str(each.create_time)) for each in page.rooms] == [("i", TIME), ("j", TIME)]
    assert page.rooms[0].logging_configuration_identifiers == ["x"]
    found: dict[str, object] = {"loggingConfigurations": [answer]}
    several = result_of("ListLoggingConfigurations", found, convert=True)
    assert isinstance(several, LoggingConfigurationPage)
    assert several.logging_configurations[0].create_time == NOON


def test_times_within_structures() -> None:
    """They are texts, too, where that was asked for; all else is as it was."""
    answer: dict[str, object] = {
        "userId": "u",
        "kind": "BAN",
        "scope": "ROOM",
        "by": "b",
        "created": TIME,
        "expires": None,
        "addresses": [{"hash": "h", "expires": TIME}, {"hash": "i", "expires": LATER}],
    }
    found: Any = result_of("BanUser", {"restriction": answer}, convert=False)
    assert isinstance(found, RestrictionAnswer)
    made: Any = found.restriction
    assert (made.user_id, made.created, made.expires, made.reason) == ("u", TIME, None, None)
    assert made.addresses == [RestrictedAddress("h", TIME), RestrictedAddress("i", LATER)]  # type: ignore[arg-type]  # texts
    found = result_of("DeleteUserMessages", {"messageIds": ["a", "b"]}, convert=False)
    assert found == MessagesDeleted(["a", "b"])


def test_tokens() -> None:
    """They are what a chat room takes."""
    answer: dict[str, object] = {
        "token": "t",
        "tokenExpirationTime": TIME,
        "sessionExpirationTime": LATER,
    }
    token = result_of("CreateChatToken", answer, convert=True)
    assert token == ChatToken("t", NOON.replace(hour=13), NOON)
    token = result_of("CreateChatToken", answer, convert=False)
    assert isinstance(token, ChatToken)
    assert (str(token.session_expiration_time), str(token.token_expiration_time)) == (LATER, TIME)


def test_null_is_what_is_not_there() -> None:
    """In lists, maps and structures."""
    assert result_of("ListTagsForResource", {"tags": {"a": "b", "c": None}}, convert=True) == Tags(
        {"a": "b"}
    )
    room = {
        "arn": "a",
        "id": "i",
        "name": None,
        "messageReviewHandler": {"uri": None},
        "tags": {"k": None},
    }
    page = result_of("ListRooms", {"rooms": [room], "nextToken": None}, convert=True)
    assert isinstance(page, RoomPage)
    assert (page.rooms[0].name, page.next_token) == (None, None)
    assert page.rooms[0].message_review_handler is not None
    assert page.rooms[0].message_review_handler.uri is None


def test_operations_without_a_result() -> None:
    """Whatever the answer holds."""
    assert result_of("DeleteRoom", {"more": 1}, convert=True) is None


def test_an_answer_that_is_not_as_the_model_says() -> None:
    """It is refused."""
    with pytest.raises(msgspec.ValidationError, match="arn"):
        result_of("GetRoom", {"id": "i"}, convert=True)
