"""What clients receive: MESSAGE, EVENT and ERROR frames as JSON text.

- Members stand in the order in which the real service sends them, attributes sorted by key.
- `RequestId` is "" when the client sent none, a message's or event's `Attributes` are null when
  there are none, `Sender.Attributes` are {}.
- `Id`s never repeat within a room: the official SDKs drop what they have seen.

Sources: Amazon IVS Chat Messaging API Reference ("Message (Subscribe)", "Event (Subscribe)",
"Error messages"), and the frames in AWS's public samples, which `tests/parity` keeps.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

DELETE_MESSAGE = "aws:DELETE_MESSAGE"
"""The event that asks clients to no longer show a message."""

DISCONNECT_USER = "aws:DISCONNECT_USER"
"""The event that says that a user was disconnected from the room."""

WELCOME = "greenroom:WELCOME"
"""The first frame of a connection that asked for the service's own events."""

HISTORY = "greenroom:HISTORY"
"""What follows: how many frames of before, and whether that is all that was missed."""

SETTINGS = "greenroom:SETTINGS"
"""The settings in force in the room, when they changed."""

VIEWERS = "greenroom:VIEWERS"
"""How many are in the room, when that has changed."""

DELETE_MESSAGES = "greenroom:DELETE_MESSAGES"
"""What of a user is no longer to be shown."""

PINS = "greenroom:PINS"
"""The messages that are pinned in the room, when they changed."""

USERS = "greenroom:USERS"
"""Which users have come and gone, in a room with `presence` on."""

YOU = "greenroom:YOU"
"""What a user may not do, or may do again: to him alone."""

MODERATION = "greenroom:MODERATION"
"""What was done to a user: to moderators."""

ROOM_DELETED = "greenroom:ROOM_DELETED"
"""The room is gone: nobody writes there any more, though connections stay."""

DONE = "greenroom:DONE"
"""The answer to one of the service's own actions."""

Attributes = Mapping[str, str]


def encode_message(
    id: str,  # noqa: A002 - the name on the wire
    request_id: str,
    attributes: Attributes | None,
    content: str,
    send_time_ns: int,
    user_id: str,
    sender_attributes: Attributes,
) -> bytes:
    """Return a MESSAGE; the time is nanoseconds since the epoch."""
    sender = _Sender(user_id, sender_attributes)
    return _encode(_Message(id, request_id, attributes, content, send_time(send_time_ns), sender))


def encode_event(
    id: str,  # noqa: A002 - the name on the wire
    request_id: str,
    name: str,
    attributes: Attributes | None,
    send_time_ns: int,
) -> bytes:
    """Return an EVENT; the time is nanoseconds since the epoch."""
    return _encode(_Event(id, request_id, name, attributes, send_time(send_time_ns)))


def encode_error(
    id: str,  # noqa: A002 - the name on the wire
    request_id: str,
    code: int,
    message: str,
) -> bytes:
    """Return an ERROR."""
    return _encode(_Error(id, request_id, code, message))


def delete_message_attributes(message_id: str, reason: str | None) -> dict[str, str]:
    """Return the attributes of an `aws:DELETE_MESSAGE`.

    "MessageID: Deprecated. Use MessageId instead" (Event (Subscribe)); the SDK for JavaScript
    still reads the deprecated one.
    """
    return _with_reason({"MessageID": message_id, "MessageId": message_id}, reason)


def disconnect_user_attributes(user_id: str, reason: str | None) -> dict[str, str]:
    """Return the attributes of an `aws:DISCONNECT_USER`."""
    return _with_reason({"UserId": user_id}, reason)


def with_attribute(frame: bytes, name: str, value: str) -> bytes:
    """Return a MESSAGE that was made here with one attribute more."""
    message = _message.decode(frame)
    return _encode(
        msgspec.structs.replace(message, attributes={**(message.attributes or {}), name: value})
    )


def json_text(value: object) -> str:
    """Return a structure as an attribute's value: the SDKs drop what has other than strings."""
    return _encode(value).decode()


def type_of(frame: bytes) -> str:
    """Return the type of a frame that was made here: MESSAGE, EVENT or ERROR."""
    return _typed.decode(frame).type


def send_time(ns: int) -> str:
    """Return nanoseconds since the epoch as RFC 3339 in UTC, without the fraction's last zeros."""
    seconds, fraction = divmod(ns, 1_000_000_000)
    if not fraction:
        return _second(seconds) + "Z"
    text = f"{_second(seconds)}.{fraction:09d}"
    # Nine of ten have none.
    return f"{text}Z" if fraction % 10 else text.rstrip("0") + "Z"


class _Sender(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    user_id: str
    attributes: Attributes


class _Message(
    msgspec.Struct, frozen=True, gc=False, rename="pascal", tag_field="Type", tag="MESSAGE"
):
    id: str
    request_id: str
    attributes: Attributes | None
    content: str
    send_time: str
    sender: _Sender


class _Event(msgspec.Struct, frozen=True, gc=False, rename="pascal", tag_field="Type", tag="EVENT"):
    id: str
    request_id: str
    event_name: str
    attributes: Attributes | None
    send_time: str


class _Error(msgspec.Struct, frozen=True, gc=False, rename="pascal", tag_field="Type", tag="ERROR"):
    id: str
    request_id: str
    error_code: int
    error_message: str


class _Typed(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """Any of them: what else it has is not looked at."""

    type: str


_encode = msgspec.json.Encoder(order="deterministic").encode
_typed = msgspec.json.Decoder(_Typed)
_message = msgspec.json.Decoder(_Message)


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    """Return a time up to its whole second: most frames fall into the same one."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _with_reason(attributes: dict[str, str], reason: str | None) -> dict[str, str]:
    if reason:
        attributes["Reason"] = reason
    return attributes
