"""What a chat room takes and gives: tokens, requests, events and errors.

Names and members are those of the Chat Client Messaging SDK for JavaScript, in snake case.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from uuid import uuid4

import msgspec

from greenroom.protocol.received import ChatEvent


class ConnectionState(StrEnum):
    """Where a room's connection stands."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"


class DisconnectReason(StrEnum):
    """Why a room is disconnected for good."""

    CLIENT_DISCONNECT = "clientDisconnect"
    SERVER_DISCONNECT = "serverDisconnect"
    """The server closed: the session is over, or a moderator ended it."""
    SOCKET_ERROR = "socketError"
    """No connection came about, with as many attempts as there may be."""
    FETCH_TOKEN_ERROR = "fetchTokenError"  # noqa: S105 - a reason, no secret
    """The token provider failed, with as many attempts as there may be."""


class ChatToken(msgspec.Struct, frozen=True):
    """What CreateChatToken returns. `repr` does not show the token: it opens a connection."""

    token: str
    session_expiration_time: datetime | None = None
    token_expiration_time: datetime | None = None

    def __repr__(self) -> str:
        return f"ChatToken(session_expiration_time={self.session_expiration_time})"

    @classmethod
    def of(cls, value: object) -> "ChatToken":
        """Return the token that a provider gave: such a token, its text, or an answer's members.

        Members may be named as in the answer of CreateChatToken, times be texts in ISO 8601.

        Raises:
            TypeError: it is none of them.
        """
        if isinstance(value, ChatToken):
            return value
        if isinstance(value, str):
            return cls(value)
        if isinstance(value, Mapping):
            token = value.get("token")
            if isinstance(token, str):
                session = _time(value.get("sessionExpirationTime"), "sessionExpirationTime")
                return cls(
                    token, session, _time(value.get("tokenExpirationTime"), "tokenExpirationTime")
                )
        raise TypeError(
            "a token provider returns a ChatToken, a text, or what CreateChatToken answers"
        )

    def ends(self) -> datetime | None:
        """Return when the connection should have been replaced, if that is known."""
        return self.session_expiration_time or self.token_expiration_time


def _time(value: object, name: str) -> datetime | None:
    if value is None or isinstance(value, datetime):
        time = value
    elif isinstance(value, str):
        time = datetime.fromisoformat(value)
    else:
        raise TypeError(f"{name} must be a datetime or a text in ISO 8601")
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def _request_id() -> str:
    return str(uuid4())


class SendMessageRequest(msgspec.Struct, frozen=True):
    """Send a message to the room."""

    content: str
    attributes: dict[str, str] | None = None
    request_id: str = msgspec.field(default_factory=_request_id)


class DeleteMessageRequest(msgspec.Struct, frozen=True):
    """Ask the room's clients to no longer show a message."""

    id: str
    reason: str | None = None
    request_id: str = msgspec.field(default_factory=_request_id)


class DisconnectUserRequest(msgspec.Struct, frozen=True):
    """Disconnect all of a user's connections to the room."""

    user_id: str
    reason: str | None = None
    request_id: str = msgspec.field(default_factory=_request_id)


class DeleteMessageEvent(msgspec.Struct, frozen=True):
    """A message is to be shown no longer."""

    id: str
    message_id: str
    reason: str | None
    send_time: datetime
    request_id: str | None
    attributes: dict[str, str]

    @classmethod
    def of(cls, event: ChatEvent) -> "DeleteMessageEvent | None":
        """Return what the event says, None when it does not say which message."""
        said = event.attributes or {}
        message_id = said.get("MessageId") or said.get("MessageID")
        if message_id is None:
            return None
        reason = said.get("Reason")
        return cls(event.id, message_id, reason, event.send_time, event.request_id, said)


class DisconnectUserEvent(msgspec.Struct, frozen=True):
    """A user was disconnected from the room."""

    id: str
    user_id: str
    reason: str | None
    send_time: datetime
    request_id: str | None
    attributes: dict[str, str]

    @classmethod
    def of(cls, event: ChatEvent) -> "DisconnectUserEvent | None":
        """Return what the event says, None when it does not say which user."""
        said = event.attributes or {}
        user_id = said.get("UserId")
        if user_id is None:
            return None
        reason = said.get("Reason")
        return cls(event.id, user_id, reason, event.send_time, event.request_id, said)


class ChatError(Exception):
    """The service refused a request; codes are those of the Messaging API (400, 401, 403 …)."""

    def __init__(
        self,
        error_code: int,
        error_message: str,
        request_id: str = "",
        id: str = "",  # noqa: A002 - the name on the wire
    ) -> None:
        super().__init__(f"{error_code}: {error_message}")
        self.error_code = error_code
        self.error_message = error_message
        self.request_id = request_id
        self.id = id


class RequestTimeout(TimeoutError):
    """No answer came in time: whether the request was carried out is not known."""


class ChatDisconnected(ConnectionError):
    """There is no connection, or it broke before the answer came: the outcome is not known."""

    def __init__(self, reason: DisconnectReason | None, message: str) -> None:
        super().__init__(message)
        self.reason = reason
