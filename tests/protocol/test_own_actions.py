"""The members of the service's own actions: what each may be, to the last of its bounds."""

from typing import Any

import pytest

from greenroom.model.room_settings import LONGEST_SECONDS
from greenroom.protocol.errors import ActionError
from greenroom.protocol.members import REASON_LENGTH, REQUEST_ID_LENGTH, USER_ID_LENGTH, Frame
from greenroom.protocol.own_actions import OWN_BY_NAME, CountViewers, ListUsers

MEMBERS: dict[str, dict[str, Any]] = {
    "greenroom:SET": {"Settings": {"frozen": True, "slowModeSeconds": None}},
    "greenroom:RESTRICT": {"UserId": "bob", "Kind": "MUTE"},
    "greenroom:LIFT": {"UserId": "bob", "Kind": "MUTE"},
    "greenroom:PIN": {"MessageId": "a" * 12},
    "greenroom:DELETE_USER_MESSAGES": {"UserId": "bob"},
    "greenroom:LIST_USERS": {},
    "greenroom:LIST_MESSAGES": {},
}


def read(name: str, **members: Any) -> Any:
    """Return an action of those members, beside what it needs."""
    given = {**MEMBERS[name], **members}
    frame = Frame({each.lower(): value for each, value in given.items()})
    return OWN_BY_NAME[name].read(frame, by_message=False)


@pytest.mark.parametrize(
    ("name", "member", "attribute"),
    [
        ("greenroom:SET", "ExpiresInSeconds", "seconds"),
        ("greenroom:RESTRICT", "DurationSeconds", "seconds"),
        ("greenroom:RESTRICT", "DeleteMessagesSinceSeconds", "delete_since"),
        ("greenroom:PIN", "DurationSeconds", "seconds"),
        ("greenroom:DELETE_USER_MESSAGES", "SinceSeconds", "since"),
    ],
)
def test_seconds(name: str, member: str, attribute: str) -> None:
    """From one to a year; where nothing is said, 0: for ever, or all."""
    assert getattr(read(name), attribute) == 0
    for seconds in (1, LONGEST_SECONDS, str(LONGEST_SECONDS), 1.0):
        assert getattr(read(name, **{member: seconds}), attribute) == int(seconds)
    for seconds in (0, LONGEST_SECONDS + 1, -1, "0"):
        with pytest.raises(ActionError, match=f"{member} must be from 1 to 31536000"):
            read(name, **{member: seconds})


@pytest.mark.parametrize(
    ("name", "member", "attribute", "longest"),
    [
        ("greenroom:RESTRICT", "UserId", "user_id", USER_ID_LENGTH),
        ("greenroom:RESTRICT", "Reason", "reason", REASON_LENGTH),
        ("greenroom:LIFT", "UserId", "user_id", USER_ID_LENGTH),
        ("greenroom:DELETE_USER_MESSAGES", "Reason", "reason", REASON_LENGTH),
        ("greenroom:LIST_USERS", "NextToken", "after", USER_ID_LENGTH),
        ("greenroom:LIST_USERS", "RequestId", "request_id", REQUEST_ID_LENGTH),
    ],
)
def test_texts(name: str, member: str, attribute: str, longest: int) -> None:
    """As long as they may be, and not a character longer: 413 with the RequestId."""
    assert getattr(read(name, **{member: "x" * longest}), attribute) == "x" * longest
    with pytest.raises(ActionError, match=f"{member}: at most {longest} characters") as refused:
        read(name, **{"RequestId": "r", member: "x" * (longest + 1)})
    assert refused.value.code == 413


def test_messages_before_one() -> None:
    """It is named by an id, as messages have them; without one they are the newest."""
    assert read("greenroom:LIST_MESSAGES").before == ""
    assert read("greenroom:LIST_MESSAGES", Before="a" * 12).before == "a" * 12
    for before in ("a" * 11, "a" * 13, "a" * 11 + "-"):
        with pytest.raises(ActionError, match="Before must be 12 letters or digits"):
            read("greenroom:LIST_MESSAGES", Before=before)


def test_what_is_said() -> None:
    """In words, for who typed it."""
    assert read("greenroom:SET").said == "frozen true, slowModeSeconds as by default"
    assert read("greenroom:LIFT").said == "bob: no MUTE"
    viewers = CountViewers(request_id="", by_message=True)
    assert viewers.says({"Users": 1, "Connections": 2}) == "users: 1, connections: 2"
    users = ListUsers(after="", request_id="", by_message=True)
    assert users.says({"Users": ["ann", "bob"]}) == "ann, bob"
