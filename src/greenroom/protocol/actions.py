"""What clients send: decode an action and check everything that does not depend on the room.

- Keys match in any case, and of two spellings the later one counts; keys that no action has are
  ignored; keys inside `Attributes` are kept as they are. (AWS's own sample applications send both
  `Action` and `action`.)
- A member that is null counts as absent. An empty `Reason` counts as none.
- A refusal names the member and the rule, and carries the RequestId if one could be read.

Members and limits: Amazon IVS Chat Messaging API Reference ("SendMessage (Publish)" and the other
two) and the shapes of the ivschat API Reference for the same operations over HTTP.
"""

import json
import re
from collections.abc import Callable
from typing import Annotated, ClassVar, NoReturn

import msgspec
from msgspec import Meta

from greenroom.model.chat_token import Capability
from greenroom.model.message import attributes_problem
from greenroom.protocol.errors import MESSAGE_TOO_LONG, ActionError, ErrorCode

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
):
    """Send a message to the room. How long it may be, the room says: see `content_problem`."""

    capability: ClassVar[Capability] = Capability.SEND_MESSAGE

    content: str
    attributes: dict[str, str] | None = None
    request_id: _RequestId = ""


class DeleteMessage(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename="pascal",
    tag_field="Action",
    tag="DELETE_MESSAGE",
    forbid_unknown_fields=True,
):
    """Ask the room's clients to no longer show a message."""

    capability: ClassVar[Capability] = Capability.DELETE_MESSAGE

    id: Annotated[str, Meta(pattern=_ID)]
    reason: _Reason | None = None
    request_id: _RequestId = ""


class DisconnectUser(
    msgspec.Struct,
    frozen=True,
    gc=False,
    rename="pascal",
    tag_field="Action",
    tag="DISCONNECT_USER",
    forbid_unknown_fields=True,
):
    """Disconnect all of a user's connections to the room."""

    capability: ClassVar[Capability] = Capability.DISCONNECT_USER

    user_id: Annotated[str, Meta(min_length=1, max_length=USER_ID_LENGTH)]
    reason: _Reason | None = None
    request_id: _RequestId = ""


Action = SendMessage | DeleteMessage | DisconnectUser


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


def content_problem(content: str, maximum: int) -> str | None:
    """Return the error's text for content of more code points than the room allows, or None."""
    return MESSAGE_TOO_LONG if len(content) > maximum else None


_DECODER: msgspec.json.Decoder[Action] = msgspec.json.Decoder(Action)


def _decode_leniently(text: bytes) -> Action:
    members = _members(text)
    frame = _Frame(members)
    request_id = frame.optional_text("RequestId", REQUEST_ID_LENGTH) or ""
    name = frame.required_text("Action")
    build = _BUILDERS.get(name)
    if build is None:
        frame.refuse(f"Action must be one of {', '.join(_BUILDERS)}")
    return build(frame, request_id)


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
            parse_int=_number,
            parse_float=_number,
            parse_constant=_not_json,
        )
    except (ValueError, RecursionError):
        raise ActionError(ErrorCode.BAD_REQUEST, "The frame is not valid JSON") from None
    if not isinstance(value, dict):
        raise ActionError(ErrorCode.BAD_REQUEST, "The frame must be a JSON object")
    return {key.lower(): member for key, member in outermost}


def _number(_: str) -> int:
    """Stand for any number: no member is one, and a long one would take long to convert."""
    return 0


def _not_json(_: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python's parser would take."""
    raise ValueError


class _Frame:
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


def _send_message(frame: _Frame, request_id: str) -> Action:
    return SendMessage(frame.required_text("Content"), frame.attributes(), request_id)


def _delete_message(frame: _Frame, request_id: str) -> Action:
    message_id = frame.required_text("Id")
    if re.match(_ID, message_id) is None:
        frame.refuse("Id must be 12 letters or digits")
    return DeleteMessage(message_id, frame.reason(), request_id)


def _disconnect_user(frame: _Frame, request_id: str) -> Action:
    user_id = frame.required_text("UserId", USER_ID_LENGTH)
    if not user_id:
        frame.refuse("UserId must not be empty")
    return DisconnectUser(user_id, frame.reason(), request_id)


_BUILDERS: dict[str, Callable[[_Frame, str], Action]] = {
    "SEND_MESSAGE": _send_message,
    "DELETE_MESSAGE": _delete_message,
    "DISCONNECT_USER": _disconnect_user,
}
