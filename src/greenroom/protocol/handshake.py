"""The upgrade: from a client's request to its chat token, and the two answers to it.

The token is the only subprotocol that a client offers, and the one that is accepted ("Connecting
to a room", Amazon IVS Chat Messaging API Reference). The header is read in linear time, and
nothing of it is answered with before it is known to be a token of RFC 7230.

A request for a WebSocket is one that asks for the upgrade, or has a header that only such have: the
first is lost where a proxy does not pass on what is about the connection, and that must not look
like a fault of the token.
"""

import binascii
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from hashlib import sha1

import msgspec

from greenroom.protocol.events import encode_error

MAXIMUM_TOKEN_LENGTH = 4096
"""Bytes of a chat token, as a header's value."""

Header = tuple[bytes, bytes]
Headers = Iterable[Header]
_Given = Mapping[bytes, Sequence[bytes]]


class HandshakeRefused(Exception):
    """The connection is refused before the upgrade: what the HTTP answer says.

    `reason` is the refusal's own name, for logs and metrics; `room` the ARN, where a token whose
    seal was verified names it.
    """

    room = ""

    def __init__(
        self,
        reason: str,
        status: int,
        name: str,
        message: str,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.name = name
        self.message = message
        self.headers = tuple(headers)


class Refusal(Enum):
    """Why connections are refused: status, `x-amzn-ErrorType`, `ErrorMessage`, more headers."""

    METHOD = (400, "ValidationException", "The WebSocket handshake is a GET request")
    KEY = (400, "ValidationException", "Sec-WebSocket-Key must be 16 bytes in base64, given once")
    TOKEN_COUNT = (
        400,
        "ValidationException",
        "Sec-WebSocket-Protocol must hold the chat token and nothing else",
    )
    TOKEN_MALFORMED = (400, "ValidationException", "The chat token is malformed")
    QUERY = (400, "ValidationException", "The URL's query cannot be taken")
    TOKEN_MISSING = (401, "UnauthorizedException", "The chat token is missing")
    TOKEN_FOREIGN = (403, "AccessDeniedException", "The chat token was not issued by this service")
    BANNED = (403, "AccessDeniedException", "The user is banned from the room")
    ORIGIN = (403, "AccessDeniedException", "The page's origin may not connect")
    ROOM_GONE = (404, "ResourceNotFoundException", "The room of the chat token does not exist")
    TOKEN_USED = (409, "ConflictException", "The chat token was used before; each is good once")
    TOKEN_EXPIRED = (410, "ExpiredTokenException", "The chat token has expired")
    UPGRADE = (
        426,
        "UpgradeRequiredException",
        "A WebSocket needs 'Upgrade: websocket' and 'Connection: Upgrade': proxies must pass both",
        (("Upgrade", "websocket"),),
    )
    VERSION = (
        426,
        "UpgradeRequiredException",
        "Sec-WebSocket-Version must be 13",
        (("Sec-WebSocket-Version", "13"),),
    )
    TOO_MANY_CONNECTIONS = (429, "ThrottlingException", "There are too many connections")
    ADDRESS_FULL = (
        429,
        "ThrottlingException",
        "There are too many connections from this address, or too many new ones",
    )
    ROOM_FULL = (429, "ThrottlingException", "There are too many connections in the room")
    USER_FULL = (429, "ThrottlingException", "There are too many connections of this user")
    INTERNAL = (500, "InternalServerException", "Internal server error")
    NODE_FULL = (503, "ServiceUnavailableException", "The service has too many connections")
    MEMORY_FULL = (
        503,
        "ServiceUnavailableException",
        "The service has no memory for more connections",
    )
    UNAVAILABLE = (503, "ServiceUnavailableException", "The service cannot take connections now")

    def error(self, more: str = "") -> HandshakeRefused:
        """Return the exception to raise; `more` ends its message."""
        status, name, message, *headers = self.value
        return HandshakeRefused(self.name.lower(), status, name, message + more, *headers)


class Upgrade(msgspec.Struct, frozen=True):
    """What an acceptable upgrade request brought: the client's key and its chat token."""

    key: bytes
    token: str


def asks_for_websocket(headers: Headers) -> bool:
    """Return whether a request asks for the upgrade to a WebSocket; header names are lower-case."""
    return not _missing(_given(headers))


def is_for_websocket(headers: Headers) -> bool:
    """Return whether a request has what only one for a WebSocket has."""
    return not _WEBSOCKET.isdisjoint([name for name, _ in headers])


def parse_upgrade(method: bytes, headers: Headers) -> Upgrade:
    """Read a request for a WebSocket; header names are lower-case.

    Raises:
        HandshakeRefused: see `Refusal`: METHOD, UPGRADE, VERSION, KEY and the first three of the
            token.
    """
    given = _given(headers)
    keys, versions = given.get(_KEY, ()), given.get(_VERSION, ())
    if method != b"GET":
        raise Refusal.METHOD.error()
    if missing := _missing(given):
        raise Refusal.UPGRADE.error(f". Missing: {', '.join(missing)}")
    if len(versions) != 1 or versions[0].strip(_BLANK) != b"13":
        raise Refusal.VERSION.error()
    if len(keys) != 1 or not _is_key(key := keys[0].strip(_BLANK)):
        raise Refusal.KEY.error()
    return Upgrade(key, _token(given.get(_PROTOCOL, ())))


def accept_response(upgrade: Upgrade) -> bytes:
    """Return the 101 answer, which accepts the token as the subprotocol."""
    digest = sha1(upgrade.key + _GUID, usedforsecurity=False).digest()
    token = upgrade.token.encode("ascii")
    return b"%b%b\r\nSec-WebSocket-Protocol: %b\r\n\r\n" % (_ACCEPT, b64encode(digest), token)


def refusal_response(refused: HandshakeRefused, error_id: str, date: bytes | None = None) -> bytes:
    """Return the HTTP answer to a refused upgrade, its body shaped as an ERROR frame.

    `error_id` is the body's `Id`; `date` is the value of the Date header.
    """
    body = encode_error(error_id, "", refused.status, refused.message)
    lines = [
        f"HTTP/1.1 {refused.status} {_PHRASES.get(refused.status, '')}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"x-amzn-ErrorType: {refused.name}",
        *(f"{name}: {value}" for name, value in refused.headers),
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if date is not None:
        lines.append(f"Date: {date.decode('ascii')}")
    return "\r\n".join((*lines, "", "")).encode("ascii") + body


_ACCEPT = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: "
)
_KEY = b"sec-websocket-key"
_VERSION = b"sec-websocket-version"
_PROTOCOL = b"sec-websocket-protocol"
_WEBSOCKET = frozenset({_KEY, _VERSION, _PROTOCOL})
_ASKING = {b"upgrade": b"websocket", b"connection": b"upgrade"}
"""The headers that ask for the upgrade, and the word that must be in each."""

_LOOKED_AT = _WEBSOCKET | _ASKING.keys()

_BLANK = b" \t"
_KEY_BYTES = 16
_KEY_LENGTH = 24
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_TOKEN_CHARACTERS = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""RFC 7230 section 3.2.6: what clients can put into the header."""

_PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    410: "Gone",
    426: "Upgrade Required",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def _given(headers: Headers) -> _Given:
    """Return the values of the headers that are looked at, by name."""
    given: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _LOOKED_AT:
            if name in given:
                given[name].append(value)
            else:
                given[name] = [value]
    return given


def _missing(given: _Given) -> list[str]:
    """Return what of the headers that ask for the upgrade is not there."""
    return [
        f"{name.decode().title()}: {word.decode()}"
        for name, word in _ASKING.items()
        if not _says(given.get(name, ()), word)
    ]


def _says(values: Sequence[bytes], word: bytes) -> bool:
    # Most say the one word and nothing else: these are looked at without being split.
    for value in values:  # noqa: SIM110 - `any` costs as much again
        if word == value.lower() or word in _words(value):
            return True
    return False


def _words(value: bytes) -> list[bytes]:
    return [each.strip(_BLANK) for each in value.lower().split(b",")]


def _is_key(text: bytes) -> bool:
    if len(text) != _KEY_LENGTH:
        return False
    try:
        return len(binascii.a2b_base64(text, strict_mode=True)) == _KEY_BYTES
    except binascii.Error:
        return False


def _token(protocols: Sequence[bytes]) -> str:
    """Return the one subprotocol offered."""
    values = [value for protocol in protocols if (value := protocol.strip(_BLANK))]
    if not values:
        raise Refusal.TOKEN_MISSING.error()
    if len(values) > 1 or b"," in values[0]:
        raise Refusal.TOKEN_COUNT.error()
    if len(values[0]) > MAXIMUM_TOKEN_LENGTH or values[0].translate(None, _TOKEN_CHARACTERS):
        raise Refusal.TOKEN_MALFORMED.error()
    return values[0].decode("ascii")
