"""A client's frames, against the websockets library and against the service's own decoder."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets import frames as oracle

from greenroom.protocol.client_frames import PING, TEXT, encode_frame, frame_at
from greenroom.protocol.frames import FrameDecoder, Text, text_frame

SIZES = (0, 1, 2, 124, 125, 126, 127, 65_535, 65_536, 70_000)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("key", [None, b"7\xfa!="])
def test_frames_are_those_of_the_websockets_library(
    size: int, key: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masked and unmasked, of every way to say a length."""
    payload = bytes(number % 251 for number in range(size))
    monkeypatch.setattr(secrets, "token_bytes", lambda _: key)
    expected = oracle.Frame(oracle.Opcode.TEXT, payload).serialize(mask=key is not None)
    assert encode_frame(TEXT, payload, key) == expected


@given(st.text(max_size=300), st.binary(min_size=4, max_size=4))
def test_the_service_reads_what_a_client_writes(text: str, key: bytes) -> None:
    """Whatever the key."""
    assert FrameDecoder().feed(encode_frame(TEXT, text.encode(), key)) == [Text(text.encode())]


@pytest.mark.parametrize("size", SIZES)
def test_a_client_finds_what_the_service_writes(size: int) -> None:
    """A frame is found once all of it is there, wherever it begins, and whatever is behind it."""
    frame = text_frame(b"x" * size)
    data = b"before" + frame + b"\x89"
    assert frame_at(data, 6) == (TEXT, b"x" * size, 6 + len(frame))
    for cut in {0, 1, 2, 3, 9, len(frame) - 1} & set(range(len(frame))):
        assert frame_at(frame[:cut]) is None
        assert frame_at(data[: 6 + cut], 6) is None
    assert frame_at(frame) == (TEXT, b"x" * size, len(frame))


@pytest.mark.parametrize("size", SIZES)
def test_a_server_must_not_mask(size: int) -> None:
    """RFC 6455 section 5.1: a client that meets a masked frame of a server closes."""
    with pytest.raises(ValueError, match="must not mask"):
        frame_at(encode_frame(PING, b"x" * size, b"mask"))
