"""The members of the service's own actions: what each may be, to the last of its bounds."""

from typing import Any

import pytest

from greenroom.model.room_settings import LONGEST_SECONDS
from greenroom.protocol.errors import ActionError
from greenroom.protocol.members import REASON_LENGTH, REQUEST_ID_LENGTH, USER_ID_LENGTH, Frame
from greenroom.protocol.own_actions import OWN_BY_NAME, read_own

MEMBERS: dict[str, dict[str, Any]] = {
    "greenroom:SET": {"Settings": {"frozen": True, "slowModeSeconds": None}},
    "greenroom:RESTRICT": {"UserId": "bob", "Kind": "MUTE"},
    "greenroom:LIFT": {"UserId": "bob", "Kind": "MUTE"},
    "greenroom:PIN": {"MessageId": "a" * 12},
    "greenroom:DELETE_USER_MESSAGES": {"UserId": "bob"},
    "greenroom:LIST_USERS": {},
    "greenroom:LIST_MESSAGES": {},
    "greenroom:ANNOUNCE": {"Content": "we begin"},
    "greenroom:UNPIN": {"MessageId": "a" * 12},
    "greenroom:VIEWERS": {},
    "greenroom:HELP": {},
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


@pytest.mark.parametrize(
    ("name", "member", "values", "why"),
    [
        ("greenroom:RESTRICT", "UserId", ("",), "UserId must not be empty"),
        ("greenroom:RESTRICT", "UserId", (None,), "UserId is required"),
        ("greenroom:LIFT", "Kind", ("mute", "", "SLOW"), "Kind must be one of BAN, MUTE"),
        ("greenroom:PIN", "MessageId", ("", "a" * 11, "ä" * 12), "MessageId must be 12 letters"),
        ("greenroom:UNPIN", "MessageId", ("a" * 13,), "MessageId must be 12 letters"),
        ("greenroom:ANNOUNCE", "Style", ("info", "LOUD"), "Style must be one of INFO, SUCCESS"),
        ("greenroom:ANNOUNCE", "Content", (None,), "Content is required"),
        ("greenroom:SET", "Settings", (None, {}, "null", "{}"), "Settings must hold some of"),
        ("greenroom:SET", "Settings", ("{", "{'a': 1}", '{"a": NaN}'), "Settings must be an objec"),
        ("greenroom:SET", "Settings", ([], 1, "[1]"), "Settings must be an object"),
        ("greenroom:SET", "DiscardWaiting", ("yes", "True", 2, []), "DiscardWaiting must be true"),
        (
            "greenroom:LIST_MESSAGES",
            "Limit",
            ("1e3", "x", "²", "-1", "1" * 13, "", True, 1.5, float("inf"), []),
            "Limit must be a number",
        ),
        ("greenroom:LIST_MESSAGES", "Limit", (0, 101, "0", "9" * 12), "Limit must be from 1 to"),
    ],
)
def test_what_a_member_must_not_be(
    name: str, member: str, values: tuple[Any, ...], why: str
) -> None:
    """It is refused with 400, by its name and the rule, and the RequestId."""
    for value in values:
        with pytest.raises(ActionError) as refused:
            read(name, **{"RequestId": "r", member: value})
        assert refused.value.message.startswith(why)
        assert (refused.value.code, refused.value.request_id) == (400, "r")


def test_what_may_be_left_out() -> None:
    """It has its default; what is given is taken, as text as well."""
    assert read("greenroom:ANNOUNCE").style == "INFO"
    assert read("greenroom:ANNOUNCE", Style="WARNING").style == "WARNING"
    assert [read("greenroom:LIST_MESSAGES", Limit=each).limit for each in (None, 1, "100")] == [
        *(50, 1, 100),
    ]
    assert [
        read("greenroom:SET", DiscardWaiting=each).discards
        for each in (None, False, "false", True, "true")
    ] == [False, False, False, True, True]
    as_text = read("greenroom:SET", Settings='{"frozen": true, "shield": null}')
    assert (as_text.settings, as_text.reset) == ({"frozen": True}, ("shield",))


@pytest.mark.parametrize("by_message", [True, False])
def test_an_action_that_there_is_not(by_message: bool) -> None:
    """Those that there are are named, as the frame or the attribute names them."""
    with pytest.raises(ActionError) as refused:
        read_own("greenroom:DANCE", Frame({"requestid": "r"}), by_message=by_message)
    where = "greenroom:action must be one of SET, " if by_message else ""
    assert refused.value.message.startswith(where or "Action must be one of greenroom:SET, gre")
    assert (refused.value.code, refused.value.request_id) == (400, "r")
    made = read_own("greenroom:HELP", Frame({}), by_message=by_message)
    assert made.by_message is by_message


@pytest.mark.parametrize(
    ("name", "members", "result", "said"),
    [
        ("SET", {}, {}, "frozen true, slowModeSeconds as by default"),
        (
            "SET",
            {"Settings": {"paused": None}, "DiscardWaiting": True},
            {},
            "paused as by default, what waited is deleted",
        ),
        ("RESTRICT", {}, {}, "bob: MUTE"),
        ("RESTRICT", {"DurationSeconds": 9}, {}, "bob: MUTE for 9 seconds"),
        ("LIFT", {}, {}, "bob: no MUTE"),
        (
            "LIFT",
            {},
            {"Addresses": 2},
            "bob: no MUTE, but addresses of his that the API restricted: 2",
        ),
        ("PIN", {}, {"Pins": ["a", "b"]}, "pinned, pins: 2"),
        ("UNPIN", {}, {"Pins": []}, "taken down, pins: 0"),
        ("VIEWERS", {}, {"Users": 1, "Connections": 2}, "users: 1, connections: 2"),
        ("DELETE_USER_MESSAGES", {}, {"Count": 3}, "bob: deleted messages: 3"),
        ("ANNOUNCE", {}, {}, "announced"),
        ("LIST_USERS", {}, {"Users": ["ann", "bob"]}, "ann, bob"),
        ("LIST_USERS", {}, {"Users": []}, "nobody"),
        ("LIST_MESSAGES", {}, {"Messages": [1, 2]}, "messages: 2"),
        ("HELP", {}, {"Commands": ["/a", "/b"]}, "/a\n/b"),
    ],
)
def test_what_is_said(
    name: str, members: dict[str, Any], result: dict[str, Any], said: str
) -> None:
    """In words, for who typed it."""
    assert read(f"greenroom:{name}", **members).says(result) == said
