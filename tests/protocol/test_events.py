"""Frames are byte for byte what the real service sent."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol import events

FIXTURES = json.loads((Path(__file__).parents[1] / "parity/messaging_frames.json").read_text())
CAPTURED = [each for each in FIXTURES if each["captured"]]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
attributes = st.dictionaries(text, text, max_size=5)


def nanoseconds(send_time: str) -> int:
    """Return the time of a frame, read without the code under test."""
    whole, _, fraction = send_time.removesuffix("Z").partition(".")
    seconds = (datetime.fromisoformat(whole + "+00:00") - datetime(1970, 1, 1, tzinfo=UTC)) // (
        timedelta(seconds=1)
    )
    return seconds * 10**9 + int(fraction.ljust(9, "0"))


def encode(frame: dict[str, object]) -> bytes:
    """Return a message or event, encoded from its parts."""
    value = json.loads(json.dumps(frame))
    time = nanoseconds(value["SendTime"])
    if value["Type"] == "EVENT":
        return events.encode_event(
            value["Id"], value["RequestId"], value["EventName"], value["Attributes"], time
        )
    return events.encode_message(
        value["Id"],
        value["RequestId"],
        value["Attributes"],
        value["Content"],
        time,
        value["Sender"]["UserId"],
        value["Sender"]["Attributes"],
    )


@pytest.mark.parametrize("fixture", CAPTURED, ids=lambda fixture: fixture["source"][:40])
def test_captured_frames(fixture: dict[str, str]) -> None:
    """From the parts of a captured frame comes the frame: members, order, formats."""
    assert encode(json.loads(fixture["frame"])).decode() == fixture["frame"]


def test_error_order() -> None:
    """An ERROR begins like the other frames: Type, Id, RequestId."""
    assert events.encode_error("IG5mcmlvdGlv", "r", 400, "no") == (
        b'{"Type":"ERROR","Id":"IG5mcmlvdGlv","RequestId":"r","ErrorCode":400,"ErrorMessage":"no"}'
    )


def test_nothing_given() -> None:
    """Without attributes a message has null and its sender {}; the request id is always there."""
    frame = json.loads(events.encode_message("i", "", None, "", 0, "u", {}))
    assert frame["Attributes"] is None
    assert frame["Sender"] == {"UserId": "u", "Attributes": {}}
    assert frame["RequestId"] == ""
    assert json.loads(events.encode_event("i", "", "n", None, 0))["Attributes"] is None


def test_attributes_are_sorted() -> None:
    """Attributes stand in the order of their keys, whatever order they came in."""
    given_order = {"b": "1", "a": "2", "B": "3"}
    frame = events.encode_message("i", "", given_order, "", 0, "u", given_order)
    assert frame.count(b'{"B":"3","a":"2","b":"1"}') == 2
    assert b'{"B":"3","a":"2","b":"1"}' in events.encode_event("i", "", "n", given_order, 0)


def test_delete_message_attributes() -> None:
    """A deletion names the message in both spellings, and the reason only if there is one."""
    assert events.delete_message_attributes("M2YcHkgffEvU", "spam") == {
        "MessageID": "M2YcHkgffEvU",
        "MessageId": "M2YcHkgffEvU",
        "Reason": "spam",
    }
    assert "Reason" not in events.delete_message_attributes("M2YcHkgffEvU", None)
    assert "Reason" not in events.delete_message_attributes("M2YcHkgffEvU", "")


def test_disconnect_user_attributes() -> None:
    """A disconnection names the user, and the reason only if there is one."""
    assert events.disconnect_user_attributes("u", "rude") == {"UserId": "u", "Reason": "rude"}
    assert events.disconnect_user_attributes("u", None) == {"UserId": "u"}


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (10**9, "1970-01-01T00:00:01Z"),
        (10**9 - 1, "1970-01-01T00:00:00.999999999Z"),
        (1_755_150_520_415_514_370, "2025-08-14T05:48:40.41551437Z"),
        (1_755_150_520_500_000_000, "2025-08-14T05:48:40.5Z"),
        (1_709_164_800_000_000_010, "2024-02-29T00:00:00.00000001Z"),
        (253_402_300_799_999_999_999, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_send_time(time: int, expected: str) -> None:
    """Times are RFC 3339 with nanoseconds, the last zeros and a bare point left out."""
    assert events.send_time(time) == expected


@given(st.integers(0, 253_402_300_799_999_999_999))
def test_send_time_is_exact(time: int) -> None:
    """Every time, read back by other means, is the same nanosecond; no zero stands last."""
    shown = events.send_time(time)
    assert nanoseconds(shown) == time
    assert "." not in shown or shown[-2] != "0"


@pytest.mark.parametrize(
    ("before", "after"), [(None, {"k": "v"}), ({"a": "b", "k": "w"}, {"a": "b", "k": "v"})]
)
def test_one_attribute_more(before: dict[str, str] | None, after: dict[str, str]) -> None:
    """All else of a MESSAGE is as it was."""

    def message(attributes: dict[str, str] | None) -> bytes:
        return events.encode_message("id", "7", attributes, "hi", 1, "user", {})

    assert events.with_attribute(message(before), "k", "v") == message(after)


@given(text, text, attributes | st.none(), text, text, attributes)
def test_whatever_is_sent_arrives(
    id_: str,
    request_id: str,
    message_attributes: dict[str, str] | None,
    content: str,
    user_id: str,
    sender_attributes: dict[str, str],
) -> None:
    """Any text comes through: quotes, controls, other planes."""
    frame = json.loads(
        events.encode_message(
            id_, request_id, message_attributes, content, 0, user_id, sender_attributes
        )
    )
    assert frame == {
        "Type": "MESSAGE",
        "Id": id_,
        "RequestId": request_id,
        "Attributes": message_attributes,
        "Content": content,
        "SendTime": "1970-01-01T00:00:00Z",
        "Sender": {"UserId": user_id, "Attributes": sender_attributes},
    }


@pytest.mark.parametrize(
    ("frame", "type_"),
    [
        (events.encode_message("id", "", {"Type": "EVENT"}, "hi", 1, "user", {}), "MESSAGE"),
        (events.encode_event("id", "", "name", {"Type": "ERROR"}, 1), "EVENT"),
        (events.encode_error("id", "", 400, "why"), "ERROR"),
    ],
    ids=lambda each: each if isinstance(each, str) else "frame",
)
def test_a_frame_says_its_type(frame: bytes, type_: str) -> None:
    """The type of a frame can be read again, whatever its attributes hold."""
    assert events.type_of(frame) == type_
