"""What clients send: decode an action and check everything that does not depend on the room.

- Keys match in any case, and of two spellings the later one counts; keys that no action has are
  ignored; keys inside `Attributes` are kept as they are. (AWS's own sample applications send both
  `Action` and `action`.)
- A member that is null counts as absent. An empty `Reason` counts as none.
- A refusal names the member and the rule, and carries the RequestId if one could be read.
- A class here is all that is known of an action but who performs it (`messaging.actions`): its
  members, and in class variables what metrics and the audit log call it (`operation`, the name of
  the same operation over HTTP), the capability that a token needs, the quota that it counts
  against, and which members the audit log keeps under which name; none: it writes no line.

Members and limits: Amazon IVS Chat Messaging API Reference ("SendMessage (Publish)" and the other
two) and the shapes of the ivschat API Reference for the same operations over HTTP.
"""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, get_args

import msgspec
from msgspec import Meta

from greenroom.model.chat_token import Capability
from greenroom.model.message import attributes_problem
from greenroom.model.token_attributes import PREFIX
from greenroom.protocol.errors import ActionError, ErrorCode
from greenroom.protocol.members import (
    REASON_LENGTH,
    REQUEST_ID_LENGTH,
    USER_ID_LENGTH,
    Frame,
    members_of,
)
from greenroom.protocol.own_actions import OwnAction, read_own

ASKED = f"{PREFIX}action"
"""The attribute of a message that asks for one of our actions: official SDKs send no others."""

REPLY_TO = f"{PREFIX}reply-to"
"""The attribute of a reply: the Id of the message that it replies to."""

CLIENTS_OWN = frozenset({REPLY_TO})
"""Other attributes of ours that clients may set."""

_ID = r"^[a-zA-Z0-9]{12}\Z"
_RequestId = Annotated[str, Meta(max_length=REQUEST_ID_LENGTH)]
_Reason = Annotated[str, Meta(min_length=1, max_length=REASON_LENGTH)]


class SendMessage(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename="pascal",
    tag_field="Action",
    tag="SEND_MESSAGE",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """Send a message to the room. How long it may be, the room says."""

    operation: ClassVar[str] = "SendMessage"
    capability: ClassVar[Capability] = Capability.SEND_MESSAGE
    quota: ClassVar[str] = "send_message_rate"
    audited: ClassVar[Mapping[str, str]] = {}

    content: str
    attributes: dict[str, str] | None = None
    request_id: _RequestId = ""

    @classmethod
    def read(cls, frame: Frame, request_id: str) -> "SendMessage":
        """Read the members leniently; raises ActionError for the first that is wrong."""
        return cls(frame.required_text("Content"), frame.attributes(), request_id)


class DeleteMessage(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename="pascal",
    tag_field="Action",
    tag="DELETE_MESSAGE",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """Ask the room's clients to no longer show a message."""

    operation: ClassVar[str] = "DeleteMessage"
    capability: ClassVar[Capability] = Capability.DELETE_MESSAGE
    quota: ClassVar[str] = "delete_message_rate"
    audited: ClassVar[Mapping[str, str]] = {"id": "id"}

    id: Annotated[str, Meta(pattern=_ID)]
    reason: _Reason | None = None
    request_id: _RequestId = ""

    @classmethod
    def read(cls, frame: Frame, request_id: str) -> "DeleteMessage":
        """Read the members leniently; raises ActionError for the first that is wrong."""
        message_id = frame.required_text("Id")
        if re.match(_ID, message_id) is None:
            frame.refuse("Id must be 12 letters or digits")
        return cls(message_id, frame.reason(), request_id)


class DisconnectUser(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename="pascal",
    tag_field="Action",
    tag="DISCONNECT_USER",
    forbid_unknown_fields=True,
    omit_defaults=True,
):
    """Disconnect all of a user's connections to the room."""

    operation: ClassVar[str] = "DisconnectUser"
    capability: ClassVar[Capability] = Capability.DISCONNECT_USER
    quota: ClassVar[str] = "disconnect_user_rate"
    audited: ClassVar[Mapping[str, str]] = {"userId": "user_id"}

    user_id: Annotated[str, Meta(min_length=1, max_length=USER_ID_LENGTH)]
    reason: _Reason | None = None
    request_id: _RequestId = ""

    @classmethod
    def read(cls, frame: Frame, request_id: str) -> "DisconnectUser":
        """Read the members leniently; raises ActionError for the first that is wrong."""
        user_id = frame.required_text("UserId", USER_ID_LENGTH)
        if not user_id:
            frame.refuse("UserId must not be empty")
        return cls(user_id, frame.reason(), request_id)


Action = SendMessage | DeleteMessage | DisconnectUser

ACTIONS: tuple[type[Action], ...] = get_args(Action)

BY_NAME: Mapping[str, type[Action]] = {str(each.__struct_config__.tag): each for each in ACTIONS}
"""Actions by the name that a frame's `Action` gives."""

OPERATIONS = (*(each.operation for each in ACTIONS), "SendEvent")
"""What a room's connections get something from; nobody but the API's caller sends events."""


def encode(action: Action) -> str:
    """Return an action as a client sends it: without the members that it does not use."""
    return _encode(action).decode()


def decode(text: bytes) -> Action | OwnAction:
    """Decode one frame's text.

    Raises:
        ActionError: 400 malformed, 413 a member is too large.
    """
    try:
        action = _DECODER.decode(text)
    except (ValueError, RecursionError):
        action = None
    if action is None:
        # Not exactly as the SDKs send it: read it leniently, or find out what is wrong.
        return _decode_leniently(text)
    if isinstance(action, SendMessage) and action.attributes:
        problem = attributes_problem(action.attributes)
        if problem is not None:
            raise ActionError(
                ErrorCode.PAYLOAD_TOO_LARGE, f"Attributes: {problem}", action.request_id
            )
        return _with_own_attributes(action)
    return action


_DECODER: msgspec.json.Decoder[Action] = msgspec.json.Decoder(Action)
_encode = msgspec.json.Encoder().encode


def _with_own_attributes(message: SendMessage) -> SendMessage | OwnAction:
    """Return a message without attributes that only the service may set.

    Where it asks for one of our actions, return that instead.
    """
    attributes = message.attributes or {}
    # Most have none, and are told so at once.
    if PREFIX not in "".join(attributes) or not any(key.startswith(PREFIX) for key in attributes):
        return message
    asked = attributes.get(ASKED)
    if asked is not None:
        members = {key.lower(): value for key, value in attributes.items()}
        members["requestid"] = message.request_id
        return read_own(PREFIX + asked.removeprefix(PREFIX), Frame(members), by_message=True)
    kept = {
        key: value
        for key, value in attributes.items()
        if key in CLIENTS_OWN or not key.startswith(PREFIX)
    }
    return SendMessage(message.content, kept or None, message.request_id)


def _decode_leniently(text: bytes) -> Action | OwnAction:
    frame = Frame(members_of(text))
    request_id = frame.request_id()
    name = frame.required_text("Action")
    if name.startswith(PREFIX):
        return read_own(name, frame)
    kind = BY_NAME.get(name)
    if kind is None:
        frame.refuse(f"Action must be one of {', '.join(BY_NAME)}")
    action = kind.read(frame, request_id)
    return _with_own_attributes(action) if isinstance(action, SendMessage) else action
