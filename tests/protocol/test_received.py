"""What clients read is what servers write."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol import actions, events, received
from greenroom.protocol.actions import Action, DeleteMessage, DisconnectUser, SendMessage

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ATTRIBUTES = st.dictionaries(TEXTS, TEXTS, max_size=3)
TIMES = st.integers(0, 4_000_000_000 * 1_000_000_000)


def near(time: datetime, ns: int) -> bool:
    """Return whether a time is the nanoseconds' to the microsecond."""
    return abs((time - datetime.fromtimestamp(0, UTC)).total_seconds() - ns / 1e9) < 1e-5


@given(TEXTS, TEXTS, ATTRIBUTES | st.none(), TEXTS, TIMES, TEXTS, ATTRIBUTES)
def test_messages(
    id: str,  # noqa: A002 - the name on the wire
    request_id: str,
    attributes: dict[str, str] | None,
    content: str,
    time_ns: int,
    user_id: str,
    sender: dict[str, str],
) -> None:
    """Every member comes back."""
    frame = events.encode_message(id, request_id, attributes, content, time_ns, user_id, sender)
    read = received.decode(frame)
    assert isinstance(read, received.ChatMessage)
    assert (read.id, read.request_id, read.attributes) == (id, request_id, attributes)
    assert (read.content, read.sender.user_id, read.sender.attributes) == (content, user_id, sender)
    assert near(read.send_time, time_ns)


@given(TEXTS, TEXTS, TEXTS, ATTRIBUTES | st.none(), TIMES)
def test_events(
    id: str,  # noqa: A002 - the name on the wire
    request_id: str,
    name: str,
    attributes: dict[str, str] | None,
    time_ns: int,
) -> None:
    """Every member comes back."""
    read = received.decode(events.encode_event(id, request_id, name, attributes, time_ns))
    assert isinstance(read, received.ChatEvent)
    assert (read.id, read.request_id, read.event_name) == (id, request_id, name)
    assert read.attributes == attributes
    assert near(read.send_time, time_ns)


@given(TEXTS, TEXTS, st.integers(0, 999), TEXTS)
def test_errors(
    id: str,  # noqa: A002 - the name on the wire
    request_id: str,
    code: int,
    text: str,
) -> None:
    """Every member comes back."""
    read = received.decode(events.encode_error(id, request_id, code, text))
    assert read == received.ErrorFrame(id, code, text, request_id)


@pytest.mark.parametrize("frame", ["", "7", "[]", "{}", '{"Type":"POLL"}', '{"Type":"MESSAGE"}'])
def test_what_is_no_frame_of_the_service(frame: str) -> None:
    """It is refused by one kind of error, whatever it is."""
    with pytest.raises(msgspec.DecodeError):
        received.decode(frame)


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (SendMessage("hi"), '{"Action":"SEND_MESSAGE","Content":"hi"}'),
        (
            SendMessage("hi", {"k": "v"}, "r"),
            '{"Action":"SEND_MESSAGE","Content":"hi","Attributes":{"k":"v"},"RequestId":"r"}',
        ),
        (DeleteMessage("abcdefghijkl"), '{"Action":"DELETE_MESSAGE","Id":"abcdefghijkl"}'),
        (
            DisconnectUser("bob", "why", "r"),
            '{"Action":"DISCONNECT_USER","UserId":"bob","Reason":"why","RequestId":"r"}',
        ),
    ],
)
def test_actions_are_written_as_clients_do(action: Action, text: str) -> None:
    """Without what they do not use; and they are read as they were meant."""
    assert actions.encode(action) == text
    assert actions.decode(text.encode()) == action
