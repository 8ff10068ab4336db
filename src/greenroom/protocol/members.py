"""The members of one frame, read one by one: what is wrong with them is refused by name and rule.

Keys match in any case, and of two spellings the later one counts.
"""

import json
import re
from collections.abc import Mapping
from typing import NoReturn

from greenroom.model.message import attributes_problem
from greenroom.protocol.errors import ActionError, ErrorCode

REQUEST_ID_LENGTH = 256
"""Characters of a RequestId; AWS states no limit."""

USER_ID_LENGTH = 128
"""Characters of a UserId (API Reference, UserID)."""

REASON_LENGTH = 256
"""Characters of a Reason (API Reference, Reason)."""


def members_of(text: bytes) -> dict[str, object]:
    """Return the object's members under lower-case keys, in which the last spelling won.

    Raises:
        ActionError: 400 it is no object.
    """
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


def is_message_id(text: str) -> bool:
    """Return whether a text can be the Id of a message or an event."""
    return _ID.fullmatch(text) is not None


_ID = re.compile("[a-zA-Z0-9]{12}")


class Frame:
    """The members of one frame, read one by one; the first that is wrong is refused."""

    def __init__(self, members: Mapping[str, object]) -> None:
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

    def number(self, name: str, least: int, most: int) -> int | None:
        """Return a number, which may be spelt as text: so values of attributes are."""
        value = self._members.get(name.lower())
        if value is None:
            return None
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DIGITS:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
            self.refuse(f"{name} must be a number")
        if not least <= value <= most:
            self.refuse(f"{name} must be from {least} to {most}")
        return int(value)

    def switch(self, name: str) -> bool:
        """Return whether something is asked for, true or false, which may be spelt as text."""
        value = self._members.get(name.lower())
        if value not in (None, True, False, "true", "false"):
            self.refuse(f"{name} must be true or false")
        return value in (True, "true")

    def mapping(self, name: str) -> dict[str, object] | None:
        """Return an object, which may be spelt as JSON text."""
        value = self._members.get(name.lower())
        if isinstance(value, str):
            try:
                value = json.loads(value, parse_constant=_not_json)
            except (ValueError, RecursionError):
                self.refuse(f"{name} must be an object, or one as JSON text")
        if value is None:
            return None
        if not isinstance(value, dict):
            self.refuse(f"{name} must be an object")
        if not all(map(_sound, value)):
            self.refuse(f"{name} must not hold half of a surrogate pair")
        return value

    def request_id(self) -> str:
        return self.optional_text("RequestId", REQUEST_ID_LENGTH) or ""

    def message_id(self) -> str:
        """Return the Id of a message."""
        message_id = self.required_text("MessageId")
        if not is_message_id(message_id):
            self.refuse("MessageId must be 12 letters or digits")
        return message_id

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


_DIGITS = 12
