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

import json
import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, NoReturn, get_args

import msgspec
from msgspec import Meta

from greenroom.model.chat_token import Capability
from greenroom.model.message import attributes_problem
from greenroom.protocol.errors import ActionError, ErrorCode

REQUEST_ID_LENGTH = 256
"""Characters of a RequestId; AWS states no limit."""

REASON_LENGTH = 256
"""Characters of a Reason (API Reference, Reason)."""

USER_ID_LENGTH = 128
"""Characters of a UserId (API Reference, UserID)."""

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
    def read(cls, frame: "Frame", request_id: str) -> "SendMessage":
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
    def read(cls, frame: "Frame", request_id: str) -> "DeleteMessage":
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
    def read(cls, frame: "Frame", request_id: str) -> "DisconnectUser":
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


def decode(text: bytes) -> Action:
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
    return action


_DECODER: msgspec.json.Decoder[Action] = msgspec.json.Decoder(Action)
_encode = msgspec.json.Encoder().encode


def _decode_leniently(text: bytes) -> Action:
    members = _members(text)
    frame = Frame(members)
    request_id = frame.optional_text("RequestId", REQUEST_ID_LENGTH) or ""
    name = frame.required_text("Action")
    action = BY_NAME.get(name)
    if action is None:
        frame.refuse(f"Action must be one of {', '.join(BY_NAME)}")
    return action.read(frame, request_id)


def _members(text: bytes) -> dict[str, object]:
    """Return the object's members under lower-case keys, in which the last spelling won."""
    outermost: list[tuple[str, object]] = []

    def keep(pairs: list[tuple[str, object]]) -> dict[str, object]:
        outermost[:] = pairs
        return dict(pairs)

    try:
        value = json.loads(
            text.decode(),
            object_pairs_hook=keep,
            parse_int=float,  # no member is a number, and a long one would take long to convert
            parse_constant=_not_json,
        )
    except (ValueError, RecursionError):
        raise ActionError(ErrorCode.BAD_REQUEST, "The frame is not valid JSON") from None
    if not isinstance(value, dict):
        raise ActionError(ErrorCode.BAD_REQUEST, "The frame must be a JSON object")
    return {key.lower(): member for key, member in outermost}


def _not_json(_: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python's parser would take."""
    raise ValueError


class Frame:
    """The members of one frame, read one by one; the first that is wrong is refused."""

    def __init__(self, members: dict[str, object]) -> None:
        self._members = members
        request_id = members.get("requestid")
        self._echo = request_id if isinstance(request_id, str) and _sound(request_id) else ""

    def refuse(self, why: str, code: ErrorCode = ErrorCode.BAD_REQUEST) -> NoReturn:
        raise ActionError(code, why, self._echo)

    def optional_text(self, name: str, maximum: int | None = None) -> str | None:
        value = self._members.get(name.lower())
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(f"{name} must be a string")
        if not _sound(value):
            self.refuse(f"{name} must not hold half of a surrogate pair")
        if maximum is not None and len(value) > maximum:
            self.refuse(f"{name}: at most {maximum} characters", ErrorCode.PAYLOAD_TOO_LARGE)
        return value

    def required_text(self, name: str, maximum: int | None = None) -> str:
        value = self.optional_text(name, maximum)
        if value is None:
            self.refuse(f"{name} is required")
        return value

    def reason(self) -> str | None:
        return self.optional_text("Reason", REASON_LENGTH) or None

    def attributes(self) -> dict[str, str] | None:
        value = self._members.get("attributes")
        if value is None:
            return None
        if not isinstance(value, dict):
            self.refuse("Attributes must be an object")
        attributes: dict[str, str] = {}
        for key, each in value.items():
            if not isinstance(each, str):
                self.refuse("Attributes: every value must be a string")
            if not _sound(key) or not _sound(each):
                self.refuse("Attributes must not hold half of a surrogate pair")
            attributes[key] = each
        problem = attributes_problem(attributes)
        if problem is not None:
            self.refuse(f"Attributes: {problem}", ErrorCode.PAYLOAD_TOO_LARGE)
        return attributes


def _sound(text: str) -> bool:
    """Return whether the text can be UTF-8: JSON escapes can spell half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
