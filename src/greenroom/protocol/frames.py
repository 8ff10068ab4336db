"""RFC 6455 frames of a server: encode its own, decode a client's. No extension is ever agreed.

- A decoder holds nothing while no frame or message is open (`idle`), so it can be let go.
- What it holds is bounded: `max_message` bytes, one header and one control frame, in two
  bytearrays, however small the reads and the fragments are.
- A declared length over the limit is a fault before the payload arrives.
- A fault is the last event of its `feed`, after the events before it. After a fault or a Close
  whatever comes is ignored (RFC 6455 sections 5.5.1 and 7.1.7).
- A length in more bytes than it needs is accepted, as all widespread servers do.
"""

import sys

import msgspec

from greenroom.protocol.errors import CloseCode

PING = b"\x89\x00"
"""A ping without payload."""

MAXIMUM_MESSAGE = 65_536
"""Bytes of the largest message accepted from a client, whole or in fragments."""

MAXIMUM_FRAGMENTS = 4_096
"""Frames of one message: each costs time, however few bytes it brings."""


class Text(msgspec.Struct, frozen=True, gc=False):
    """A whole text message: valid UTF-8."""

    payload: bytes


class Binary(msgspec.Struct, frozen=True, gc=False):
    """A whole binary message."""

    payload: bytes


class Ping(msgspec.Struct, frozen=True, gc=False):
    """A ping, to be answered with a pong of the same payload."""

    payload: bytes


class Pong(msgspec.Struct, frozen=True, gc=False):
    """A pong, asked for or not."""

    payload: bytes


class Close(msgspec.Struct, frozen=True, gc=False):
    """The peer closes: with a valid code, or with none."""

    code: int | None
    reason: str


class ProtocolFault(msgspec.Struct, frozen=True, gc=False):
    """The peer broke the protocol: close with the code, for the reason `why`."""

    code: CloseCode
    why: str


Event = Text | Binary | Ping | Pong | Close | ProtocolFault


def ping_frame(payload: bytes) -> bytes:
    """Return one unmasked ping; the payload has 125 bytes at most."""
    return bytes((_PING, len(payload))) + payload


def text_frame(payload: bytes) -> bytes:
    """Return one unmasked text frame."""
    size = len(payload)
    if size <= _SHORT_LIMIT:
        return _TEXT_HEADERS[size] + payload
    if size <= _MEDIUM_LIMIT:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def close_frame(code: int, reason: str) -> bytes:
    """Return a close frame; a reason over 123 bytes is cut between two characters."""
    text = reason.encode("utf-8", "replace")[: _SHORT_LIMIT - 2]
    text = text.decode("utf-8", "ignore").encode()
    return bytes((_CLOSE, len(text) + 2)) + code.to_bytes(2, "big") + text


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping, whose payload is at most 125 bytes."""
    return bytes((_PONG, len(payload))) + payload


def whole_text(data: bytes, limit: int) -> Text | None:
    """Return the text that the bytes are a whole frame of, as most reads are; None: decode them.

    A text that is not ASCII alone is to be decoded, too.
    """
    size = len(data)
    if size < _HEADER + _KEY or data[0] != _WHOLE_TEXT:
        return None
    length, body = data[1] - _MASKED, _HEADER + _KEY
    if length == _SHORT_LIMIT + 1:
        length, body = int.from_bytes(data[_HEADER : _HEADER + 2], "big"), body + 2
    elif length > _SHORT_LIMIT:
        return None
    if length != size - body or length > limit:
        return None
    payload = unmask(data[body - _KEY : body], data[body:])
    return Text(payload) if payload.isascii() else None


class FrameDecoder:
    """Decodes what one client sends, in whatever pieces it arrives."""

    __slots__ = (
        "_buffer",
        "_ended",
        "_fragments",
        "_is_text",
        "_limit",
        "_message",
        "_room",
        "_wanted",
        "rest",
    )

    def __init__(self, max_message: int = MAXIMUM_MESSAGE) -> None:
        self._limit = max_message
        # The beginning of a frame, and how many of its bytes are needed to go on.
        self._buffer: bytearray | None = None
        self._wanted = 0
        # What the fragments of an open message brought, and how much it may still grow.
        self._message: bytearray | None = None
        self._room = max_message
        self._is_text = False
        self._fragments = 0
        self._ended = False
        # What the last feed left for another turn: whole frames, and perhaps the next one's begin.
        self.rest = b""

    @property
    def idle(self) -> bool:
        """Return whether a new decoder would do as well: nothing is open and nothing ended."""
        return self._buffer is None and self._message is None and not self._ended

    @property
    def held(self) -> int:
        """Return how many bytes wait for more."""
        return len(self._buffer or b"") + len(self._message or b"")

    def feed(self, data: bytes, most: int = sys.maxsize) -> list[Event]:
        """Return what the bytes complete, in order. A fault is returned, never raised.

        Whole frames beyond so many are left in `rest`, to be fed before whatever comes next.
        """
        events: list[Event] = []
        self.rest = b""
        if self._buffer is not None:
            self._buffer += data
            if len(self._buffer) < self._wanted:
                return events
            data = bytes(self._buffer)
            self._buffer = None
        start, size = 0, len(data)
        try:
            while start < size and not self._ended:
                if not most:
                    self.rest = data[start:]
                    break
                end = self._frame(data, start, events)
                if end == start:
                    self._buffer = bytearray(data[start:])
                    break
                start = end
                most -= 1
        except _FaultError as error:
            events.append(error.fault)
            self._end()
        return events

    def _frame(self, data: bytes, start: int, events: list[Event]) -> int:
        """Decode the frame at `start`; return where it ends, or `start` when it is not whole."""
        available = len(data) - start
        if available < _HEADER:
            self._wanted = _HEADER
            return start
        first, length = data[start], data[start + 1] - _MASKED
        if first not in _FIRST_BYTES or length < 0:
            raise _header_fault(first)
        body = start + _HEADER + _KEY
        if length > _SHORT_LIMIT:
            extra = _length_bytes(first, length)
            if available < _HEADER + extra:
                self._wanted = _HEADER + extra
                return start
            length = int.from_bytes(data[start + _HEADER : start + _HEADER + extra], "big")
            body += extra
        if length > self._room and first < _CLOSE:
            raise self._too_big(length)
        end = body + length
        if end > len(data):
            self._wanted = end - start
            return start
        payload = unmask(data[body - _KEY : body], data[body:end])
        if first == _WHOLE_TEXT and self._message is None:
            events.append(_text(payload))
        elif first < _CLOSE:
            self._take_data(first, payload, events)
        else:
            self._take_control(first, payload, events)
        return end

    def _take_data(self, first: int, payload: bytes, events: list[Event]) -> None:
        """Take a frame of a message: the first of several, a later one, or a binary one."""
        opcode = first & _OPCODE
        if (opcode == _CONTINUATION) is (self._message is None):
            raise _FaultError(CloseCode.PROTOCOL_ERROR, "the fragments are out of order")
        if self._message is None:
            self._message = bytearray()
            self._is_text = opcode == _TEXT
        self._message += payload
        self._room -= len(payload)
        self._fragments += 1
        if first & _FINAL:
            events.append(self._finish())
        elif self._fragments >= MAXIMUM_FRAGMENTS:
            raise _FaultError(
                CloseCode.MESSAGE_TOO_BIG, f"a message has at most {MAXIMUM_FRAGMENTS} fragments"
            )

    def _finish(self) -> Event:
        """Close the open message and return it."""
        payload = bytes(self._message or b"")
        self._forget()
        return _text(payload) if self._is_text else Binary(payload)

    def _take_control(self, first: int, payload: bytes, events: list[Event]) -> None:
        if first == _PING:
            events.append(Ping(payload))
        elif first == _PONG:
            events.append(Pong(payload))
        else:
            events.append(_close(payload))
            self._end()

    def _end(self) -> None:
        self._ended = True
        self._forget()

    def _forget(self) -> None:
        self._message = None
        self._room = self._limit
        self._fragments = 0

    def _too_big(self, length: int) -> "_FaultError":
        if length >> 63:
            return _FaultError(CloseCode.PROTOCOL_ERROR, "the top bit of a length must be 0")
        return _FaultError(CloseCode.MESSAGE_TOO_BIG, f"a message is at most {self._limit} bytes")


class _FaultError(Exception):
    """A fault on its way to the end of `feed`."""

    def __init__(self, code: CloseCode, why: str) -> None:
        super().__init__(why)
        self.fault = ProtocolFault(code, why)


_HEADER = 2
_KEY = 4
_SHORT_LIMIT = 125
_MEDIUM_LIMIT = 0xFFFF
_FINAL = 0x80
_OPCODE = 0x0F
_MASKED = 0x80
_CONTINUATION = 0x0
_TEXT = 0x1
# The first bytes of whole frames; every one from _CLOSE on is a control frame's.
_WHOLE_TEXT = 0x81
_CLOSE = 0x88
_PING = 0x89
_PONG = 0x8A
_FIRST_BYTES = frozenset({0x00, 0x01, 0x02, 0x80, _WHOLE_TEXT, 0x82, _CLOSE, _PING, _PONG})
_OPCODES = frozenset(first & _OPCODE for first in _FIRST_BYTES)
_TEXT_HEADERS = tuple(bytes((_WHOLE_TEXT, size)) for size in range(_SHORT_LIMIT + 1))


def unmask(key: bytes, masked: bytes) -> bytes:
    """Return a payload without its mask, or with one: both are the same."""
    # As two large integers: one operation for all bytes, the quickest that Python has.
    size = len(masked)
    mask = int.from_bytes((key * (size // _KEY + 1))[:size], "little")
    return (int.from_bytes(masked, "little") ^ mask).to_bytes(size, "little")


def _text(payload: bytes) -> Text:
    if not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            raise _FaultError(CloseCode.INVALID_TEXT, "a text message must be UTF-8") from None
    return Text(payload)


def _close(payload: bytes) -> Close:
    """Read a close frame's payload (RFC 6455 sections 5.5.1 and 7.4)."""
    if not payload:
        return Close(None, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not _is_close_code(code):
        raise _FaultError(CloseCode.PROTOCOL_ERROR, "the close code is not valid")
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError:
        raise _FaultError(CloseCode.INVALID_TEXT, "a close reason must be UTF-8") from None


def _is_close_code(code: int) -> bool:
    """Return whether a peer may send the code: registered, or free for libraries and programs."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def _length_bytes(first: int, length: int) -> int:
    """Return how many bytes hold the length that follows a header: 2 or 8."""
    if first >= _CLOSE:
        raise _FaultError(
            CloseCode.PROTOCOL_ERROR, f"a control frame has at most {_SHORT_LIMIT} bytes"
        )
    return 2 if length == _SHORT_LIMIT + 1 else 8


def _header_fault(first: int) -> _FaultError:
    """Return what is wrong with a header: its first byte, or else that it is not masked."""
    if first & 0x70:
        why = "reserved bits must be 0: no extension was agreed"
    elif first & _OPCODE not in _OPCODES:
        why = "the opcode is not known"
    elif first not in _FIRST_BYTES:
        why = "a control frame must not be fragmented"
    else:
        why = "a client's frames must be masked"
    return _FaultError(CloseCode.PROTOCOL_ERROR, why)
