"""The service's own actions, `greenroom:…`: a class says all that is known of one but who does it.

- They are sent as any action, `{"Action":"greenroom:SET",…}`, and answered by an EVENT
  `greenroom:DONE`. From official SDKs, which send no other actions than IVS Chat's, comes a message
  with the attribute `greenroom:action`, whose members are its other attributes: numbers, and
  structures as JSON, as text. It is answered by a MESSAGE to that connection alone.
- `operation` is what metrics and the audit log call it: the same operation over HTTP. `capability`
  is what a token needs, None nothing. `audited` is what the audit log keeps, under which name.
"""

from collections.abc import Mapping
from typing import ClassVar, Self

import msgspec

from greenroom.model.chat_token import Capability
from greenroom.model.message import STYLES
from greenroom.model.restriction import OPERATIONS, RESTRICTIONS, Kind
from greenroom.model.room_settings import (
    BY_NAME,
    LONGEST_SECONDS,
    SettingsWrong,
    Value,
    checked,
    time_errors,
    unknown,
)
from greenroom.model.token_attributes import PREFIX
from greenroom.protocol.members import USER_ID_LENGTH, Frame, is_message_id

MODERATION_RATE = "moderation_rate"
"""The quota of what moderators and hosts do."""

LISTED, MOST_LISTED = 50, 100
"""Messages that one answer lists, and those that may be asked for."""


class OwnAction(msgspec.Struct, frozen=True, kw_only=True):
    """What all of them have."""

    name: ClassVar[str]
    operation: ClassVar[str]
    capability: ClassVar[Capability | None] = Capability.MODERATE
    quota: ClassVar[str] = MODERATION_RATE
    audited: ClassVar[Mapping[str, str]] = {}
    costs: ClassVar[int] = 1
    """What one takes of the connection's rate: more where an answer is long."""

    request_id: str
    by_message: bool
    """Whether a message's attributes asked for it."""

    @classmethod
    def read(cls, frame: Frame, *, by_message: bool) -> Self:
        """Read the members; raises ActionError for the first that is wrong."""
        raise NotImplementedError

    @property
    def event(self) -> str:
        """Return what the audit log calls it."""
        return self.operation

    @property
    def said(self) -> str:
        """Return what an answer by a message says to people: never nothing, for it is shown."""
        raise NotImplementedError

    def says(self, _result: Mapping[str, object]) -> str:
        """Return the same of what came of it."""
        return self.said


class SetSettings(OwnAction, frozen=True, kw_only=True):
    """Set settings of the room, for a time or until they are set again; reset those that are null.

    Over HTTP: UpdateRoomSettings.
    """

    name: ClassVar[str] = "greenroom:SET"
    operation: ClassVar[str] = "UpdateRoomSettings"
    audited: ClassVar[Mapping[str, str]] = {
        "settings": "settings",
        "reset": "reset",
        "expiresInSeconds": "seconds",
        "discardWaiting": "discards",
    }

    settings: dict[str, Value]
    reset: tuple[str, ...]
    seconds: int
    discards: bool = False
    """Whether messages that wait until now are deleted, before the settings change."""

    @classmethod
    def read(cls, frame: Frame, *, by_message: bool) -> Self:
        given = frame.mapping("Settings")
        if not given:
            frame.refuse(f"Settings must hold some of {', '.join(BY_NAME)}")
        try:
            settings = checked({k: v for k, v in given.items() if v is not None}, "Settings")
        except SettingsWrong as wrong:
            frame.refuse(str(wrong))
        reset = tuple(name for name, value in given.items() if value is None)
        for error in unknown(reset, "Settings"):
            frame.refuse(f"{error.name} {error.message}")
        seconds = frame.number("ExpiresInSeconds", 1, LONGEST_SECONDS) or 0
        for error in time_errors(settings, seconds, "ExpiresInSeconds"):
            frame.refuse(f"{error.name} {error.message}")
        return cls(
            settings=settings,
            reset=reset,
            seconds=seconds,
            discards=frame.switch("DiscardWaiting"),
            request_id=frame.request_id(),
            by_message=by_message,
        )

    @property
    def said(self) -> str:
        values = [f"{name} {BY_NAME[name].text(each)}" for name, each in self.settings.items()]
        values += [f"{name} as by default" for name in self.reset]
        return ", ".join([*values, *(["what waited is deleted"] if self.discards else [])])


class Restrict(OwnAction, frozen=True, kw_only=True):
    """Restrict a user in the room: BAN, MUTE, SHADOW, HOLD or MONITOR."""

    name: ClassVar[str] = "greenroom:RESTRICT"
    operation: ClassVar[str] = ", ".join(OPERATIONS.values())
    audited: ClassVar[Mapping[str, str]] = {
        "userId": "user_id",
        "kind": "kind",
        "durationSeconds": "seconds",
        "deleteMessagesSinceSeconds": "delete_since",
    }

    user_id: str
    kind: Kind
    seconds: int
    reason: str
    delete_since: int = 0

    @classmethod
    def read(cls, frame: Frame, *, by_message: bool) -> Self:
        return cls(
            user_id=_user_id(frame),
            kind=_kind(frame),
            seconds=frame.number("DurationSeconds", 1, LONGEST_SECONDS) or 0,
            reason=frame.reason() or "",
            delete_since=frame.number("DeleteMessagesSinceSeconds", 1, LONGEST_SECONDS) or 0,
            request_id=frame.request_id(),
            by_message=by_message,
        )

    @property
    def event(self) -> str:
        return OPERATIONS[self.kind]

    @property
    def said(self) -> str:
        time = f" for {self.seconds} seconds" if self.seconds else ""
        return f"{self.user_id}: {self.kind}{time}"


class Lift(OwnAction, frozen=True, kw_only=True):
    """End a restriction of a user in the room."""

    name: ClassVar[str] = "greenroom:LIFT"
    operation: ClassVar[str] = "LiftRestriction"
    audited: ClassVar[Mapping[str, str]] = {"userId": "user_id", "kind": "kind"}

    user_id: str
    kind: Kind

    @classmethod
    def read(cls, frame: Frame, *, by_message: bool) -> Self:
        return cls(
            user_id=_user_id(frame),
            kind=_kind(frame),
            request_id=frame.request_id(),
            by_message=by_message,
        )

    @property
    def said(self) -> str:
        return f"{self.user_id}: no {self.kind}"

    def says(self, result: Mapping[str, object]) -> str:
        held = result.get("Addresses")
        left = f", but addresses of his that the API restricted: {held}" if held else ""
        return self.said + left


class PinMessage(OwnAction, frozen=True, kw_only=True):
    """Pin a message that the room has in its history, for a time or until it is taken down."""

    name: ClassVar[str] = "greenroom:PIN"
    operation: ClassVar[str] = "PinMessage"
    capability: ClassVar[Capability | None] = Capability.HOST
    audited: ClassVar[Mapping[str, str]] = {
        "messageId": "message_id",
        "durationSeconds": "seconds",
    }

    message_id: str
    seconds: int = 0

    @classmethod
    def read(cls, frame: Frame, *, by_message: bool) -> Self:
        return cls(
            message_id=frame.message_id(),
            seconds=frame.number("DurationSeconds", 1, LONGEST_SECONDS) or 0,
            request_id=frame.request_id(),
            by_message=by_message,
        )

    def says(self, result: Mapping[str, object]) -> str:
        return f"pinned, pins: {_number(result['Pins'])}"


class UnpinMessage(OwnAction, frozen=True, kw_only=True):
    """Take a pin down."""

    name: ClassVar[str] = "greenroom:UNPIN"
    operation: ClassVar[str] = "UnpinMessage"
    capability: ClassVar[Capability | None] = Capability.HOST
    audited: ClassVar[Mapping[str, str]] = {"messageId": "message_id"}

    message_id: str

    @classmethod
    def read(cls, frame: Frame, *, by_message: bool) -> Self:
        return cls(
            message_id=frame.message_id(),
            request_id=frame.request_id(),
            by_message=by_message,
        )

    def says(self, result: Mapping[str, object]) -> str:
        return f"taken down, pins: {_number(result['Pins'])}"


class CountViewers(OwnAction, frozen=True, kw_only=True):
    """Say how many are in the room."""

    name: ClassVar[str] = "greenroom:VIEWERS"
    operation: ClassVar[str] = "GetRoomState"
    capability: ClassVar[Capability | None] = None

    @classmethod
    def read(cls, frame: Frame, *, by_message: bool) -> Self:
        return cls(request_id=frame.request_id(), by_message=by_message)

    def says(self, result: Mapping[str, object]) -> str:
        return f"users: {result['Users']}, connections: {result['Connections']}"


class DeleteUserMessages(OwnAction, frozen=True, kw_only=True):
    """Delete what a user wrote lately, of what the room has in its history."""

    name: ClassVar[str] = "greenroom:DELETE_USER_MESSAGES"
    operation: ClassVar[str] = "DeleteUserMessages"
    audited: ClassVar[Mapping[str, str]] = {"userId": "user_id", "sinceSeconds": "since"}

    user_id: str
    since: int = 0
    reason: str = ""

    @classmethod
    def read(cls, frame: Frame, *, by_message: bool) -> Self:
        return cls(
            user_id=_user_id(frame),
            since=frame.number("SinceSeconds", 1, LONGEST_SECONDS) or 0,
            reason=frame.reason() or "",
            request_id=frame.request_id(),
            by_message=by_message,
        )

    def says(self, result: Mapping[str, object]) -> str:
        return f"{self.user_id}: deleted messages: {result['Count']}"


class Announce(OwnAction, frozen=True, kw_only=True):
    """Send an announcement: INFO, SUCCESS or WARNING; every client shows it as a message."""

    name: ClassVar[str] = "greenroom:ANNOUNCE"
    operation: ClassVar[str] = "SendMessage"
    capability: ClassVar[Capability | None] = Capability.HOST
    audited: ClassVar[Mapping[str, str]] = {"announcement": "style"}

    content: str
    style: str

    @classmethod
    def read(cls, frame: Frame, *, by_message: bool) -> Self:
        style = frame.optional_text("Style") or STYLES[0]
        if style not in STYLES:
            frame.refuse(f"Style must be one of {', '.join(STYLES)}")
        return cls(
            content=frame.required_text("Content"),
            style=style,
            request_id=frame.request_id(),
            by_message=by_message,
        )

    @property
    def said(self) -> str:
        return "announced"


class ListUsers(OwnAction, frozen=True, kw_only=True):
    """Say which users are in the room; in one with `presence` on everybody may ask."""

    name: ClassVar[str] = "greenroom:LIST_USERS"
    operation: ClassVar[str] = "ListUsers"
    capability: ClassVar[Capability | None] = None

    after: str

    @classmethod
    def read(cls, frame: Frame, *, by_message: bool) -> Self:
        return cls(
            after=frame.optional_text("NextToken", USER_ID_LENGTH) or "",
            request_id=frame.request_id(),
            by_message=by_message,
        )

    def says(self, result: Mapping[str, object]) -> str:
        return _words(result["Users"], ", ") or "nobody"


class ListMessages(OwnAction, frozen=True, kw_only=True):
    """List messages that the room keeps, the oldest first: the newest, or those before one."""

    name: ClassVar[str] = "greenroom:LIST_MESSAGES"
    operation: ClassVar[str] = "ListMessages"
    capability: ClassVar[Capability | None] = None
    costs: ClassVar[int] = 3

    before: str
    limit: int

    @classmethod
    def read(cls, frame: Frame, *, by_message: bool) -> Self:
        before = frame.optional_text("Before") or ""
        if before and not is_message_id(before):
            frame.refuse("Before must be 12 letters or digits")
        return cls(
            before=before,
            limit=frame.number("Limit", 1, MOST_LISTED) or LISTED,
            request_id=frame.request_id(),
            by_message=by_message,
        )

    def says(self, result: Mapping[str, object]) -> str:
        messages = result["Messages"]
        return f"messages: {len(messages)}" if isinstance(messages, list) else ""


class Help(OwnAction, frozen=True, kw_only=True):
    """Say which commands there are; moderators type `/help`."""

    name: ClassVar[str] = "greenroom:HELP"
    operation: ClassVar[str] = "none"

    @classmethod
    def read(cls, frame: Frame, *, by_message: bool) -> Self:
        return cls(request_id=frame.request_id(), by_message=by_message)

    def says(self, result: Mapping[str, object]) -> str:
        return _words(result["Commands"], "\n")


def _number(listed: object) -> int:
    return len(listed) if isinstance(listed, list) else 0


def _words(listed: object, between: str) -> str:
    return between.join(listed) if isinstance(listed, list) else ""


def _user_id(frame: Frame) -> str:
    user_id = frame.required_text("UserId", USER_ID_LENGTH)
    if not user_id:
        frame.refuse("UserId must not be empty")
    return user_id


def _kind(frame: Frame) -> Kind:
    kind = frame.required_text("Kind")
    if kind not in RESTRICTIONS:
        frame.refuse(f"Kind must be one of {', '.join(RESTRICTIONS)}")
    return Kind(kind)


OWN_ACTIONS: tuple[type[OwnAction], ...] = (
    SetSettings,
    Restrict,
    Lift,
    DeleteUserMessages,
    Announce,
    PinMessage,
    UnpinMessage,
    CountViewers,
    ListUsers,
    ListMessages,
    Help,
)

OWN_BY_NAME: Mapping[str, type[OwnAction]] = {each.name: each for each in OWN_ACTIONS}
"""By the name that a frame's `Action` gives."""


def read_own(name: str, frame: Frame, *, by_message: bool = False) -> OwnAction:
    """Read one of our actions; `by_message` says that a message's attributes ask for it.

    Raises:
        ActionError: 400 with what is wrong.
    """
    kind = OWN_BY_NAME.get(name)
    if kind is None:
        where, prefix = (f"{PREFIX}action", "") if by_message else ("Action", PREFIX)
        names = ", ".join(prefix + each.removeprefix(PREFIX) for each in OWN_BY_NAME)
        frame.refuse(f"{where} must be one of {names}")
    return kind.read(frame, by_message=by_message)
