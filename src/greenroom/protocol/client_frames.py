"""RFC 6455 frames of a client: encode its own, find a server's. What measures and tests speaks so.

`greenroom.protocol.frames` is the other side. Little is checked here, so that a test can write what
no client should.
"""

from greenroom.protocol.frames import unmask

TEXT, CLOSE, PING, PONG = 0x81, 0x88, 0x89, 0x8A
"""First bytes of whole frames."""

KEY_BYTES = 4

_SHORT_LIMIT = 125
_MEDIUM = 126
_MEDIUM_LIMIT = 0xFFFF
_MASKED = 0x80


def encode_frame(first: int, payload: bytes, key: bytes | None) -> bytes:
    """Return a frame with this first byte, masked with a key; without one, as only a server may."""
    size, masked = len(payload), 0 if key is None else _MASKED
    if size <= _SHORT_LIMIT:
        head = bytes((first, masked | size))
    elif size <= _MEDIUM_LIMIT:
        head = bytes((first, masked | _MEDIUM)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, masked | _MEDIUM + 1)) + size.to_bytes(8, "big")
    # Masking is its own inverse.
    return head + payload if key is None else head + key + unmask(key, payload)


def frame_at(data: bytes, start: int = 0) -> tuple[int, bytes, int] | None:
    """Return first byte, payload and end of the server's frame at `start`; None if it is not whole.

    Raises:
        ValueError: the frame is masked, which a server must not do (RFC 6455 section 5.1).
    """
    if len(data) - start < 2:
        return None
    first, size, body = data[start], data[start + 1], start + 2
    if size & _MASKED:
        raise ValueError("a server must not mask its frames")
    if size > _SHORT_LIMIT:
        body += 2 if size == _MEDIUM else 8
        size = int.from_bytes(data[start + 2 : body], "big")
    end = body + size
    return None if end > len(data) else (first, data[body:end], end)
