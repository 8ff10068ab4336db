"""Error codes, close codes and the names of every way in which a connection ends: the tables.

Codes and descriptions: Amazon IVS Chat Messaging API Reference, "Error messages". Close codes:
RFC 6455 section 7.4. The official SDKs take every clean close for final and connect again with a
new token after an unclean one.
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum

import msgspec


class ErrorCode(IntEnum):
    """The `ErrorCode` of an ERROR frame."""

    BAD_REQUEST = 400
    UNAUTHORIZED = 401
    FORBIDDEN = 403
    NOT_FOUND = 404
    NOT_ACCEPTABLE = 406
    PAYLOAD_TOO_LARGE = 413
    TOO_MANY_REQUESTS = 429
    INTERNAL_SERVER_ERROR = 500


DESCRIPTIONS: dict[ErrorCode, str] = {
    ErrorCode.BAD_REQUEST: "The request is malformed or invalid.",
    ErrorCode.UNAUTHORIZED: "The connection has expired or the chat token is missing.",
    ErrorCode.FORBIDDEN: (
        "The connection's capabilities do not permit this action, or the account is blocked from"
        " using chat because the account is pending verification."
    ),
    ErrorCode.NOT_FOUND: "The room cannot be found (does not exist).",
    ErrorCode.NOT_ACCEPTABLE: "The request was rejected during message review.",
    ErrorCode.PAYLOAD_TOO_LARGE: "The request contains fields that are too large.",
    ErrorCode.TOO_MANY_REQUESTS: "The application has exceeded rate limits.",
    ErrorCode.INTERNAL_SERVER_ERROR: "This is returned for a general error.",
}
"""What each code means, in AWS's words."""

TLS_ONLY = "This port speaks TLS: use https:// or wss:// in place of http:// or ws://"
"""Who sends a request in clear to a port with a certificate is told this."""

RATE_LIMIT_EXCEEDED = "rate limit exceeded"
"""The text of every 429. AWS's sample applications compare it as a whole."""

MESSAGE_TOO_LONG = "Message exceeds maximum length"
"""The text when Content is longer than the room allows. AWS's samples compare it as a whole."""

SESSION_EXPIRED = "The session has expired"
"""The text of a 401. Clients of the real service look for the word "expired"."""


class ActionError(Exception):
    """An action was refused: everything that its ERROR frame says.

    `id` is the identifier that the service had already given to the operation, if it had; the
    frame's `Id` is a new one otherwise. `you` are attributes of an event that explains it, before
    it, to who asked for events.
    """

    def __init__(
        self,
        code: int,
        message: str,
        request_id: str = "",
        id: str | None = None,  # noqa: A002 - the name on the wire
        you: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.you = you
        self.code = code
        self.message = message
        self.request_id = request_id
        self.id = id


class CloseCode(IntEnum):
    """The status codes that this server puts into close frames."""

    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_TEXT = 1007
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011


class DisconnectReason(StrEnum):
    """Every way in which a connection ends, as logs and metrics name it."""

    KICKED = "kicked"
    EXPIRED = "expired"
    REVOKED = "revoked"
    PROTOCOL_ERROR = "protocol_error"
    UNSUPPORTED_DATA = "unsupported_data"
    INVALID_TEXT = "invalid_text"
    MESSAGE_TOO_BIG = "message_too_big"
    INTERNAL_ERROR = "internal_error"
    PEER_CLOSED = "peer_closed"
    PEER_LOST = "peer_lost"
    SILENT_PEER = "silent_peer"
    SLOW_READER = "slow_reader"
    DRAIN = "drain"


class CloseReason(msgspec.Struct, frozen=True):
    """How the server ends a connection.

    `code` is the close frame's, None where no frame is sent: a drop, after which SDKs connect
    again. `text` is the frame's reason, "" where it depends on the case; `meaning` says when.
    """

    code: CloseCode | None
    meaning: str
    text: str = ""


CLOSE_REASONS: dict[DisconnectReason, CloseReason] = {
    DisconnectReason.KICKED: CloseReason(
        CloseCode.NORMAL, "a moderator disconnected the user; the text is the moderator's reason"
    ),
    DisconnectReason.EXPIRED: CloseReason(
        CloseCode.NORMAL, "the session is over; the text is the ERROR frame that went before"
    ),
    DisconnectReason.REVOKED: CloseReason(
        CloseCode.NORMAL, "the key of the chat token was killed; the text is as for `expired`"
    ),
    DisconnectReason.PROTOCOL_ERROR: CloseReason(
        CloseCode.PROTOCOL_ERROR, "the peer broke RFC 6455; the text says how"
    ),
    DisconnectReason.UNSUPPORTED_DATA: CloseReason(
        CloseCode.UNSUPPORTED_DATA, "the peer sent a binary message", "only text is accepted"
    ),
    DisconnectReason.INVALID_TEXT: CloseReason(
        CloseCode.INVALID_TEXT, "the peer sent text that is not UTF-8; the text says where"
    ),
    DisconnectReason.MESSAGE_TOO_BIG: CloseReason(
        CloseCode.MESSAGE_TOO_BIG, "the peer sent too large a message; the text is the limit"
    ),
    DisconnectReason.INTERNAL_ERROR: CloseReason(
        CloseCode.INTERNAL_ERROR, "something failed on our side", "internal error"
    ),
    DisconnectReason.PEER_CLOSED: CloseReason(
        CloseCode.NORMAL, "the peer closed; the code answers with the peer's own, if it gave one"
    ),
    DisconnectReason.PEER_LOST: CloseReason(None, "the connection broke"),
    DisconnectReason.SILENT_PEER: CloseReason(None, "the peer left pings unanswered"),
    DisconnectReason.SLOW_READER: CloseReason(None, "the peer let its queue pass the bound"),
    DisconnectReason.DRAIN: CloseReason(None, "the server stops"),
}
"""The close frame of each ending, or that there is none."""

_FAULTS = {
    CloseCode.PROTOCOL_ERROR: DisconnectReason.PROTOCOL_ERROR,
    CloseCode.UNSUPPORTED_DATA: DisconnectReason.UNSUPPORTED_DATA,
    CloseCode.INVALID_TEXT: DisconnectReason.INVALID_TEXT,
    CloseCode.MESSAGE_TOO_BIG: DisconnectReason.MESSAGE_TOO_BIG,
}


def fault_reason(code: CloseCode) -> DisconnectReason:
    """Return the name of the ending that a peer's protocol fault leads to."""
    return _FAULTS[code]
