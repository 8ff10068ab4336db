"""Reads what JetStream puts into the headers of a message, as it is on the wire.

A header is looked for from the end, where the server adds its own: whoever published cannot pass
for it.
"""

from datetime import UTC, datetime, timedelta

NANOSECONDS = 1_000_000_000
EXPECTED = b"\r\nNats-Expected-Last-Subject-Sequence: "


def sequence(headers: bytes) -> int:
    """Return the number of a message in its stream.

    Raises:
        ValueError: there is none; so for the next three.
    """
    return int(_value(headers, b"\r\nNats-Sequence: "))


def previous(headers: bytes) -> int:
    """Return the number of the message before it, 0 when there is none.

    Of what is heard as it is stored that is the one before it on its subject; of a part of an
    answer the part before it.
    """
    return int(_value(headers, b"\r\nNats-Last-Sequence: "))


def expected(headers: bytes) -> int:
    """Return the number of the message that it was to be stored behind, -1 when none was named.

    It was: the stream refuses all else. Whoever publishes writes this one, and it is kept.
    """
    start = headers.rfind(EXPECTED)
    if start < 0:
        return -1
    start += len(EXPECTED)
    digits = headers[start : headers.find(b"\r", start)]
    return int(digits) if digits.isdigit() else -1


def stamp(headers: bytes) -> bytes:
    """Return when it was stored, as it is written."""
    return _value(headers, b"\r\nNats-Time-Stamp: ")


def subject(headers: bytes) -> str:
    """Return the subject that it was stored under."""
    return _value(headers, b"\r\nNats-Subject: ").decode()


def status(headers: bytes) -> int:
    """Return the status of an answer that is no message, 0 of one that is."""
    code = headers[9:12]
    return int(code) if code.isdigit() else 0


def stamp_ns(text: bytes) -> int:
    """Return an RFC 3339 time in UTC in nanoseconds since the epoch.

    Raises:
        ValueError: it is none.
    """
    if text[-1:] != b"Z":
        raise ValueError("not a time in UTC")
    fraction = text[20:-1]
    if len(fraction) > 9 or text[19:20] not in (b".", b"Z"):
        raise ValueError("not a time in nanoseconds")
    return _seconds(text[:19]) * NANOSECONDS + int(fraction.ljust(9, b"0") or b"0")


def written(ns: int) -> str:
    """Return nanoseconds since the epoch as an RFC 3339 time in UTC."""
    seconds, fraction = divmod(ns, NANOSECONDS)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{fraction:09}Z"


def _value(headers: bytes, name: bytes) -> bytes:
    start = headers.rfind(name)
    if start < 0:
        raise ValueError("a header is missing")
    start += len(name)
    return headers[start : headers.find(b"\r", start)]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_last: tuple[bytes, int] = (b"", 0)


def _seconds(text: bytes) -> int:
    """Return the whole seconds. Nearly all messages of a moment have the same: they are kept."""
    global _last  # noqa: PLW0603 - one value, of which any is right
    known, seconds = _last
    if text != known:
        parsed = datetime.strptime(text.decode("ascii"), "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - it is UTC
        seconds = int((parsed - _EPOCH).total_seconds())
        _last = (text, seconds)
    return seconds
