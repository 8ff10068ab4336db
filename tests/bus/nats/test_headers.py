"""JetStream's headers, as they are on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.bus.nats import headers

RAW = (
    b"NATS/1.0\r\nNats-Sequence: 1\r\nNats-Stream: ROOMS_07\r\nNats-Subject: gr.07.a:b\r\n"
    b"Nats-Sequence: 42\r\nNats-Time-Stamp: 2026-11-29T22:18:22.12Z\r\nNats-Last-Sequence: 41\r\n"
    b"\r\n"
)


def test_a_message_from_a_stream() -> None:
    """Its number, the one before, its time and its subject; the server's own come last."""
    assert headers.sequence(RAW) == 42
    assert headers.previous(RAW) == 41
    assert headers.stamp(RAW) == b"2026-11-29T22:18:22.12Z"
    assert headers.subject(RAW) == "gr.07.a:b"
    assert headers.status(RAW) == 0


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"NATS/1.0 503\r\n\r\n", 503),
        (b"NATS/1.0 404 Message Not Found\r\n\r\n", 404),
        (b"NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\n\r\n", 204),
        (b"NATS/1.0\r\n\r\n", 0),
        (b"", 0),
    ],
)
def test_statuses(raw: bytes, status: int) -> None:
    """An answer that is no message says so in its first line."""
    assert headers.status(raw) == status


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 39\r\nNats-Sequence: 42\r\n\r\n", 39),
        (b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 0\r\n\r\n", 0),
        (b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: -3\r\n\r\n", -1),
        (b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: \r\n\r\n", -1),
        (RAW, -1),
        (b"", -1),
    ],
)
def test_what_it_is_stored_behind(raw: bytes, expected: int) -> None:
    """Whoever published named it; what names none, or what is none, says nothing."""
    assert headers.expected(raw) == expected


def test_a_header_that_is_the_first_of_all() -> None:
    """It is found like any other."""
    assert headers.sequence(RAW[RAW.index(b"\r\n") :]) == 42
    assert headers.sequence(b"\r\nNats-Sequence: 7\r\n\r\n") == 7
    assert headers.expected(b"\r\nNats-Expected-Last-Subject-Sequence: 7\r\n\r\n") == 7


@pytest.mark.parametrize("read", [headers.sequence, headers.previous, headers.stamp])
@pytest.mark.parametrize("raw", [b"", b"NATS/1.0\r\n\r\n", b"\xff" * 50])
def test_headers_that_are_missing(read: object, raw: bytes) -> None:
    """They are told as such."""
    assert callable(read)
    with pytest.raises(ValueError, match="missing"):
        read(raw)


@given(st.integers(0, 4_102_444_800_000_000_000))
def test_times(ns: int) -> None:
    """What is written is read, also without the zeros at its end, as servers write it."""
    text = headers.written(ns)
    assert headers.stamp_ns(text.encode()) == ns
    whole, _, fraction = text.removesuffix("Z").partition(".")
    shortened = f"{whole}.{fraction.rstrip('0')}".rstrip(".") + "Z"
    assert headers.stamp_ns(shortened.encode()) == ns


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"Z", b"2026-11-29T22:18:22", b"2026-11-29T22:18:22+01:00", b"yesterday at noonZ"),
        *(b"2026-13-29T22:18:22Z", b"2026-11-29T22:18:22,5Z", b"2026-11-29T22:18:22.1234567891Z"),
    ],
)
def test_what_is_no_time(text: bytes) -> None:
    """It is refused."""
    with pytest.raises(ValueError, match=r"."):
        headers.stamp_ns(text)
