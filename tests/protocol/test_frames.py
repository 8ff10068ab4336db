"""RFC 6455 frames: what a client sends is decoded from any pieces, and faults have their codes.

The names of the table's cases are those of the Autobahn test suite where it has the same case.
"""

import sys
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets import frames as oracle
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.streams import StreamReader
from websockets.utils import apply_mask

from greenroom.protocol.errors import CloseCode
from greenroom.protocol.frames import (
    MAXIMUM_FRAGMENTS,
    MAXIMUM_MESSAGE,
    PING,
    Binary,
    Close,
    Event,
    FrameDecoder,
    Ping,
    Pong,
    ProtocolFault,
    Text,
    close_frame,
    ping_frame,
    pong_frame,
    text_frame,
    whole_text,
)

CONTINUATION, TEXT, BINARY = oracle.Opcode.CONT, oracle.Opcode.TEXT, oracle.Opcode.BINARY
CLOSE, PING_OP, PONG_OP = oracle.Opcode.CLOSE, oracle.Opcode.PING, oracle.Opcode.PONG
BAD, TOO_BIG, NOT_UTF8 = CloseCode.PROTOCOL_ERROR, CloseCode.MESSAGE_TOO_BIG, CloseCode.INVALID_TEXT
MIXED = "Hello-µ@ßöäüàá-UTF-8!! 🎉".encode()


def client(
    opcode: oracle.Opcode, payload: bytes = b"", *, fin: bool = True, key: bytes = b"7\xfa!="
) -> bytes:
    """Return a client's frame: the websockets library writes it, but for the random key."""
    plain = oracle.Frame(opcode, payload, fin=fin).serialize(mask=False)
    header = len(plain) - len(payload)
    masked = apply_mask(payload, key)
    return bytes((plain[0], plain[1] | 0x80)) + plain[2:header] + key + masked


def raw(first: int, second: int, rest: bytes = b"") -> bytes:
    """Return a frame that no library would write."""
    return bytes((first, second)) + rest


def simple(events: list[Event]) -> list[object]:
    """Return the events with a fault as its code alone."""
    return [event.code if isinstance(event, ProtocolFault) else event for event in events]


def closing(code: int, reason: bytes = b"") -> bytes:
    """Return a client's close frame."""
    return client(CLOSE, code.to_bytes(2, "big") + reason)


Case = tuple[str, bytes, list[object]]


def closes(codes: Iterable[int], *, valid: bool) -> list[Case]:
    """Return a case for each close code."""
    return [
        (f"7 close {code}", closing(code), [Close(code, "") if valid else BAD]) for code in codes
    ]


FRAMES: list[Case] = [
    ("1.1.1 empty text", client(TEXT), [Text(b"")]),
    ("1.1.2 125 bytes", client(TEXT, b"*" * 125), [Text(b"*" * 125)]),
    ("1.1.3 126 bytes", client(TEXT, b"*" * 126), [Text(b"*" * 126)]),
    ("1.1.5 128 bytes", client(TEXT, b"*" * 128), [Text(b"*" * 128)]),
    ("1.1.6 65535 bytes", client(TEXT, b"*" * 65535), [Text(b"*" * 65535)]),
    ("1.1.7 65536 bytes", client(TEXT, b"*" * 65536), [Text(b"*" * 65536)]),
    ("1.2.1 empty binary", client(BINARY), [Binary(b"")]),
    ("1.2.2 binary", client(BINARY, b"\xfe" * 126), [Binary(b"\xfe" * 126)]),
    ("2.1 ping", client(PING_OP), [Ping(b"")]),
    ("2.3 binary ping", client(PING_OP, b"\x00\xff\xfe"), [Ping(b"\x00\xff\xfe")]),
    ("2.4 ping of 125", client(PING_OP, b"\xfe" * 125), [Ping(b"\xfe" * 125)]),
    ("2.5 ping of 126", raw(0x89, 0xFE, b"\x00\x7e"), [BAD]),
    ("2.7 pong unasked", client(PONG_OP, b"x"), [Pong(b"x")]),
    ("pong of 126, in 8 bytes", raw(0x8A, 0xFF), [BAD]),
    ("close of 126", raw(0x88, 0xFE), [BAD]),
    ("3.1 RSV 1", raw(0xC1, 0x80), [BAD]),
    ("3.2 RSV 2 after a message", client(TEXT, b"a") + raw(0xA1, 0x80), [Text(b"a"), BAD]),
    ("3.3 RSV 3", raw(0x91, 0x80), [BAD]),
    ("3.6 RSV on binary", raw(0xF2, 0x80), [BAD]),
    ("3.5 RSV on ping", raw(0xC9, 0x80), [BAD]),
    ("4.1.1 opcode 3", raw(0x83, 0x80), [BAD]),
    ("4.1.5 opcode 7", raw(0x87, 0x80), [BAD]),
    ("4.2.1 opcode 11", raw(0x8B, 0x80), [BAD]),
    ("4.2.5 opcode 15", raw(0x8F, 0x80), [BAD]),
    ("5.1 ping in fragments", raw(0x09, 0x80, bytes(4)), [BAD]),
    ("5.2 pong in fragments", raw(0x0A, 0x80, bytes(4)), [BAD]),
    ("close in fragments", raw(0x08, 0x80, bytes(4)), [BAD]),
    (
        "5.3 text in fragments",
        client(TEXT, b"a", fin=False) + client(CONTINUATION, b"b"),
        [Text(b"ab")],
    ),
    (
        "5.6 ping between fragments",
        client(TEXT, b"a", fin=False) + client(PING_OP, b"p") + client(CONTINUATION, b"b"),
        [Ping(b"p"), Text(b"ab")],
    ),
    ("5.9 continuation of nothing", client(CONTINUATION, b"a"), [BAD]),
    ("5.12 continuation of nothing", client(CONTINUATION, b"a", fin=False), [BAD]),
    (
        "5.15 continuation after the end",
        client(TEXT, b"a", fin=False) + client(CONTINUATION, b"b") + client(CONTINUATION, b"c"),
        [Text(b"ab"), BAD],
    ),
    ("5.18 text within text", client(TEXT, b"a", fin=False) + client(TEXT, b"b"), [BAD]),
    ("text begins within text", client(TEXT, b"a", fin=False) + client(TEXT, fin=False), [BAD]),
    ("binary within text", client(TEXT, b"a", fin=False) + client(BINARY, b"b"), [BAD]),
    (
        "5.19 five fragments, two pings",
        client(TEXT, b"1", fin=False)
        + client(CONTINUATION, b"2", fin=False)
        + client(PING_OP, b"p")
        + client(CONTINUATION, b"3", fin=False)
        + client(CONTINUATION, b"4", fin=False)
        + client(PING_OP, b"q")
        + client(CONTINUATION, b"5"),
        [Ping(b"p"), Ping(b"q"), Text(b"12345")],
    ),
    ("6.1.1 empty text", client(TEXT), [Text(b"")]),
    (
        "6.1.2 empty fragments",
        client(TEXT, fin=False) + client(CONTINUATION, fin=False) + client(CONTINUATION),
        [Text(b"")],
    ),
    ("6.2.1 UTF-8", client(TEXT, MIXED), [Text(MIXED)]),
    (
        "6.2.3 UTF-8 in single bytes",
        client(TEXT, fin=False)
        + b"".join(client(CONTINUATION, bytes((byte,)), fin=False) for byte in MIXED)
        + client(CONTINUATION),
        [Text(MIXED)],
    ),
    ("6.3.1 a surrogate", client(TEXT, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited"), [NOT_UTF8]),
    (
        "6.4.1 a byte that is none",
        client(TEXT, b"\xce\xba", fin=False)
        + client(CONTINUATION, b"\xf4\x90\x80\x80", fin=False)
        + client(CONTINUATION, b"edited"),
        [NOT_UTF8],
    ),
    ("6.6.1 half a character", client(TEXT, b"\xce"), [NOT_UTF8]),
    ("6.11 U+10FFFF", client(TEXT, b"\xf4\x8f\xbf\xbf"), [Text(b"\xf4\x8f\xbf\xbf")]),
    ("6.13 0xFE", client(TEXT, b"\xfe"), [NOT_UTF8]),
    ("6.17 NUL in two bytes", client(TEXT, b"\xc0\x80"), [NOT_UTF8]),
    ("not UTF-8, but binary", client(BINARY, b"\xfe"), [Binary(b"\xfe")]),
    ("7.1.2 two closes", closing(1000) + closing(1000), [Close(1000, "")]),
    ("7.1.3 ping after close", closing(1000) + client(PING_OP), [Close(1000, "")]),
    ("7.1.4 text after close", closing(1000) + client(TEXT, b"a"), [Close(1000, "")]),
    (
        "7.1.5 close within a message",
        client(TEXT, b"a", fin=False) + closing(1000) + client(CONTINUATION, b"b"),
        [Close(1000, "")],
    ),
    ("7.3.1 empty close", client(CLOSE), [Close(None, "")]),
    ("7.3.2 close of one byte", client(CLOSE, b"\x03"), [BAD]),
    ("7.3.4 close with reason", closing(1000, b"Hello"), [Close(1000, "Hello")]),
    ("7.3.5 longest close", closing(1000, b"*" * 123), [Close(1000, "*" * 123)]),
    ("7.5.1 reason is not UTF-8", closing(1000, b"\xce\xba\xff"), [NOT_UTF8]),
    *closes([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1014, 3000, 4999], valid=True),
    *closes([0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535], valid=False),
    ("not masked", raw(0x81, 0x01, b"a"), [BAD]),
    ("not masked, empty", raw(0x81, 0x00), [BAD]),
    ("not masked, a ping", raw(0x89, 0x00), [BAD]),
    ("the second frame is not masked", client(TEXT, b"a") + raw(0x81, 0), [Text(b"a"), BAD]),
    ("a length in more bytes", raw(0x81, 0xFE, b"\x00\x01" + bytes(4) + b"a"), [Text(b"a")]),
    ("a length in 8 bytes", raw(0x81, 0xFF, bytes(7) + b"\x01" + bytes(4) + b"a"), [Text(b"a")]),
    ("one byte too big", raw(0x81, 0xFF, (65537).to_bytes(8, "big")), [TOO_BIG]),
    ("half of all there is", raw(0x82, 0xFF, b"\x7f" + b"\xff" * 7), [TOO_BIG]),
    ("the top bit of a length", raw(0x81, 0xFF, b"\x80" + bytes(7)), [BAD]),
    ("all bits of a length", raw(0x81, 0xFF, b"\xff" * 8), [BAD]),
    (
        "too big together",
        client(TEXT, b"a" * 40_000, fin=False) + raw(0x80, 0xFE, (25_537).to_bytes(2, "big")),
        [TOO_BIG],
    ),
    (
        "not too big together",
        client(TEXT, b"a" * 40_000, fin=False) + client(CONTINUATION, b"b" * 25_536),
        [Text(b"a" * 40_000 + b"b" * 25_536)],
    ),
    ("nothing after a fault", raw(0x81, 0x00) + client(TEXT, b"a"), [BAD]),
    ("HTTP", b"GET / HTTP/1.1\r\n\r\n", [BAD]),
]


@pytest.mark.parametrize(
    ("data", "expected"), [case[1:] for case in FRAMES], ids=[c[0] for c in FRAMES]
)
def test_frames(data: bytes, expected: list[object]) -> None:
    """Each case gives its events, in one read and in reads of one byte."""
    assert simple(FrameDecoder().feed(data)) == expected
    decoder = FrameDecoder()
    pieces = [simple(decoder.feed(data[at : at + 1])) for at in range(len(data))]
    assert [event for piece in pieces for event in piece] == expected


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (raw(0xC1, 0x80), 2),
        (raw(0x81, 0x01), 2),
        (raw(0x89, 0xFE), 2),
        (raw(0x81, 0xFF, (65537).to_bytes(8, "big")), 10),
    ],
)
def test_faults_are_early(data: bytes, size: int) -> None:
    """A fault is found in the header; the payload need not come."""
    decoder = FrameDecoder()
    for at in range(size - 1):
        assert decoder.feed(data[at : at + 1]) == []
    assert len(decoder.feed(data[size - 1 :])) == 1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (raw(0xC1, 0x80), "reserved bits"),
        (raw(0x83, 0x80), "opcode is not known"),
        (raw(0x09, 0x80), "must not be fragmented"),
        (raw(0x81, 0x00), "must be masked"),
        (raw(0x89, 0xFE), "at most 125 bytes"),
        (raw(0x81, 0xFF, b"\xff" * 8), "top bit"),
        (raw(0x81, 0xFF, (65537).to_bytes(8, "big")), "at most 65536 bytes"),
        (client(CONTINUATION), "out of order"),
        (client(TEXT, b"\xff"), "UTF-8"),
        (closing(999), "close code"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_faults_say_why(data: bytes, why: str) -> None:
    """A fault names what was wrong, in words that fit into a close frame."""
    [fault] = FrameDecoder().feed(data)
    assert isinstance(fault, ProtocolFault)
    assert why in fault.why
    assert len(fault.why) <= 123


def test_fragments_are_counted() -> None:
    """A message of endless fragments is refused, also when they are empty."""
    decoder = FrameDecoder()
    decoder.feed(client(TEXT, fin=False))
    more = client(CONTINUATION, fin=False)
    for _ in range(MAXIMUM_FRAGMENTS - 2):
        assert decoder.feed(more) == []
    assert simple(decoder.feed(more)) == [TOO_BIG]


def test_as_many_fragments_as_allowed() -> None:
    """A message may have exactly the greatest number of fragments, and the next one as well."""
    decoder = FrameDecoder()
    middle = client(CONTINUATION, b"a", fin=False) * (MAXIMUM_FRAGMENTS - 2)
    message = client(TEXT, fin=False) + middle + client(CONTINUATION)
    for _ in range(2):
        assert decoder.feed(message) == [Text(b"a" * (MAXIMUM_FRAGMENTS - 2))]


def test_each_message_has_the_whole_limit() -> None:
    """What one message took in fragments, the next one may take again."""
    decoder = FrameDecoder(9)
    message = client(TEXT, b"a" * 5, fin=False) + client(CONTINUATION, b"a" * 4)
    for _ in range(2):
        assert decoder.feed(message) == [Text(b"a" * 9)]


@pytest.mark.parametrize("limit", [0, 1, 125, 126, 1000])
def test_other_limits(limit: int) -> None:
    """The limit is the caller's to choose, and inclusive; control frames are not messages."""
    assert FrameDecoder(limit).feed(client(TEXT, b"a" * limit)) == [Text(b"a" * limit)]
    assert simple(FrameDecoder(limit).feed(client(TEXT, b"a" * (limit + 1)))) == [TOO_BIG]
    assert FrameDecoder(limit).feed(client(PING_OP, b"a" * 125)) == [Ping(b"a" * 125)]
    assert FrameDecoder(limit).feed(closing(1000, b"a" * 9)) == [Close(1000, "a" * 9)]


def test_idle() -> None:
    """A decoder is idle exactly when a new one would do as well."""
    decoder = FrameDecoder()
    assert decoder.idle
    frame = client(TEXT, b"hello")
    pieces = [frame[at : at + 1] for at in range(len(frame))]
    pieces += [client(TEXT, fin=False), client(PING_OP), client(CONTINUATION)]
    idle = [(decoder.feed(piece), decoder.idle)[1] for piece in pieces]
    assert idle == [False] * (len(frame) - 1) + [True, False, False, True]


@pytest.mark.parametrize("end", [closing(1000), raw(0x81, 0)], ids=["close", "fault"])
def test_ended_is_not_idle(end: bytes) -> None:
    """After a close or a fault a decoder holds nothing, ignores all, and must be kept."""
    decoder = FrameDecoder()
    decoder.feed(client(TEXT, b"a" * 100, fin=False))
    decoder.feed(end)
    assert decoder.held == 0
    assert not decoder.idle
    assert decoder.feed(client(TEXT, b"a")) == []
    assert decoder.feed(b"\x81") == []
    assert decoder.held == 0


@pytest.mark.parametrize("fragment", [1, 7, 125, 5000, 65536])
def test_memory_with_tiny_reads(fragment: int) -> None:
    """Reads of one byte cost no object each, and never more than one message is held."""
    decoder = FrameDecoder()
    payload = b"a" * (min(fragment * (MAXIMUM_FRAGMENTS - 1), MAXIMUM_MESSAGE))
    parts = [payload[at : at + fragment] for at in range(0, len(payload), fragment)]
    data = client(TEXT, fin=False) + b"".join(
        client(CONTINUATION, part, fin=False) for part in parts[: MAXIMUM_FRAGMENTS - 2]
    )
    most = size = 0
    for at in range(len(data)):
        assert decoder.feed(data[at : at + 1]) == []
        most = max(most, decoder.held)
        size = max(size, sys.getsizeof(decoder._buffer) + sys.getsizeof(decoder._message))
    assert len(payload) - fragment <= most <= MAXIMUM_MESSAGE + 14
    # Bytearrays that grow keep an eighth in reserve.
    assert size <= (MAXIMUM_MESSAGE + 14) * 9 / 8 + 300


def test_bound_with_a_greedy_peer() -> None:
    """Whatever is declared and left unfinished, what is held stays within the bound."""
    decoder = FrameDecoder()
    decoder.feed(client(TEXT, b"a" * 60_000, fin=False))
    decoder.feed(raw(0x80, 0xFE, (5536).to_bytes(2, "big")) + bytes(4 + 5535))
    assert MAXIMUM_MESSAGE <= decoder.held <= MAXIMUM_MESSAGE + 14


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 300, 65535, 65536, 70000])
def test_text_frame(size: int) -> None:
    """A text frame is what the websockets library writes for a server."""
    payload = b"x" * size
    assert text_frame(payload) == oracle.Frame(TEXT, payload).serialize(mask=False)


def test_ping_and_pong() -> None:
    """A ping and the answers to pings are what the websockets library writes for a server."""
    assert oracle.Frame(PING_OP, b"").serialize(mask=False) == PING
    for payload in (b"", b"x", b"\xff" * 125):
        assert pong_frame(payload) == oracle.Frame(PONG_OP, payload).serialize(mask=False)
        assert ping_frame(payload) == oracle.Frame(PING_OP, payload).serialize(mask=False)


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("", ""),
        ("be nice", "be nice"),
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("é" * 62, "é" * 61),
        ("x" + "é" * 61, "x" + "é" * 61),
        ("🎉" * 64, "🎉" * 30),
        ("xxx🎉" + "🎉" * 64, "xxx" + "🎉" * 30),
        ("\ud800", "?"),
    ],
)
def test_close_frame(reason: str, sent: str) -> None:
    """A reason is cut between two characters, to what a control frame can hold."""
    frame = close_frame(1000, reason)
    assert frame[0] == 0x88
    assert frame[1] == len(frame) - 2 <= 125
    assert oracle.Close.parse(frame[2:]) == oracle.Close(1000, sent)


@given(st.sampled_from(list(CloseCode)), st.text(st.characters(codec="utf-8"), max_size=200))
def test_close_frames_are_valid(code: CloseCode, reason: str) -> None:
    """Any reason gives a valid frame that holds the beginning of it."""
    parsed = oracle.Close.parse(close_frame(code, reason)[2:])
    assert parsed.code == code
    assert reason.startswith(parsed.reason)
    assert parsed.reason == reason or len(parsed.reason.encode()) > 119


payloads = st.binary(max_size=300) | st.sampled_from([b"x" * 125, b"x" * 126, b"x" * 65535])
texts = st.text(st.characters(codec="utf-8"), max_size=100).map(str.encode)
controls = st.one_of(
    st.builds(Ping, st.binary(max_size=125)), st.builds(Pong, st.binary(max_size=125))
)
messages = st.builds(Text, texts) | st.builds(Binary, payloads)


def opcode_of(event: Event) -> oracle.Opcode:
    """Return the opcode of the event's frame."""
    opcodes: dict[type, oracle.Opcode] = {Text: TEXT, Binary: BINARY, Ping: PING_OP, Pong: PONG_OP}
    return opcodes[type(event)]


def serialize(
    message: Text | Binary, cuts: list[int], between: list[Ping | Pong]
) -> tuple[bytes, list[Event]]:
    """Return a message in fragments with control frames between them, and the events expected."""
    places = sorted({0, len(message.payload), *(cut % (len(message.payload) + 1) for cut in cuts)})
    parts = [message.payload[start:end] for start, end in pairwise(places)] or [b""]
    data, events = b"", list[Event]()
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        opcode = CONTINUATION if number else opcode_of(message)
        data += client(opcode, part, fin=last)
        if not last and number < len(between):
            data += client(opcode_of(between[number]), between[number].payload)
            events.append(between[number])
    return data, [*events, message]


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """Return the data in pieces."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


numbers = st.lists(st.integers(0, 2**20), max_size=10)


@settings(max_examples=300)
@given(st.lists(st.tuples(messages, numbers, st.lists(controls, max_size=3)), max_size=5), numbers)
def test_round_trip(
    sent: list[tuple[Text | Binary, list[int], list[Ping | Pong]]], cuts: list[int]
) -> None:
    """What a client library sends arrives as it was sent, whatever the fragments and the reads."""
    data, expected = b"", list[Event]()
    for message, fragments, between in sent:
        more, events = serialize(message, fragments, between)
        data += more
        expected += events
    decoder = FrameDecoder()
    received = [event for piece in split(data, cuts) for event in decoder.feed(piece)]
    assert received == expected
    assert decoder.idle


@settings(max_examples=300)
@given(st.binary(max_size=200), numbers)
def test_random_bytes(data: bytes, cuts: list[int]) -> None:
    """Random bytes give events, a fault at most as the last one; the reads do not matter."""
    whole = FrameDecoder(50).feed(data)
    assert not any(isinstance(event, ProtocolFault | Close) for event in whole[:-1])
    decoder = FrameDecoder(50)
    assert [event for piece in split(data, cuts) for event in decoder.feed(piece)] == whole
    assert decoder.held <= max(50 + 14, 125 + 6)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(messages, st.booleans()), min_size=1, max_size=5),
    st.integers(0, 2**16),
    st.integers(0, 5),
    st.binary(max_size=5),
)
def test_mutated_bytes(
    sent: list[tuple[Text | Binary, bool]], start: int, removed: int, added: bytes
) -> None:
    """Real frames with bytes changed, taken out or put in give events or one fault at the end."""
    stream = b"".join(client(opcode_of(message), message.payload, fin=fin) for message, fin in sent)
    start %= len(stream) + 1
    decoder = FrameDecoder()
    received = decoder.feed(stream[:start] + added + stream[start + removed :])
    assert not any(isinstance(event, ProtocolFault | Close) for event in received[:-1])
    assert decoder.held <= MAXIMUM_MESSAGE + 14


@given(st.binary(max_size=200), st.binary(min_size=4, max_size=4))
def test_every_key(payload: bytes, key: bytes) -> None:
    """Whatever key a client masks with, the payload is what it was."""
    assert FrameDecoder().feed(client(BINARY, payload, key=key)) == [Binary(payload)]


def test_the_library_as_it_is() -> None:
    """What the websockets library writes with its own random keys is decoded."""
    for size in (0, 1, 125, 126, 65_536):
        frame = oracle.Frame(TEXT, b"x" * size).serialize(mask=True)
        assert FrameDecoder().feed(frame) == [Text(b"x" * size)]


heads = st.binary(min_size=2, max_size=2) | st.tuples(
    st.integers(0, 255), st.integers(0x80, 0xFF)
).map(bytes)


@settings(max_examples=300)
@given(heads, st.binary(max_size=200))
def test_agrees_with_the_websockets_library(head: bytes, rest: bytes) -> None:
    """Of any one frame we find the same payload, or a fault if that library finds one."""
    reader = StreamReader()
    reader.feed_data(head + rest)
    parser = oracle.Frame.parse(reader.read_exact, mask=True, max_size=150)
    parsed: oracle.Frame | None = None
    wrong = False
    try:
        next(parser)
    except StopIteration as stop:
        parsed = stop.value
    except (ProtocolError, PayloadTooBig):
        wrong = True
    ours = FrameDecoder(150).feed(head + rest)
    first = ours[0] if ours else None
    if wrong:
        assert isinstance(first, ProtocolFault)
    elif parsed is None:
        # Not whole: only we look for faults before the rest has come.
        assert first is None or isinstance(first, ProtocolFault)
    elif isinstance(first, Text | Binary | Ping | Pong):
        assert (opcode_of(first), first.payload) == (parsed.opcode, parsed.data)
    elif isinstance(first, Close):
        assert first == Close(*_close_parts(bytes(parsed.data)))
    else:
        # What only a message or a close code as a whole can show.
        assert not parsed.fin or parsed.opcode in {CONTINUATION, TEXT, CLOSE}


def _close_parts(payload: bytes) -> tuple[int | None, str]:
    parsed = oracle.Close.parse(payload)
    return (parsed.code if payload else None), parsed.reason


@pytest.mark.parametrize("most", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("cut", [0, 1, 3, 9, 300])
def test_a_few_frames_at_once(most: int, cut: int) -> None:
    """A decoder stops after as many frames as it may take; fed the rest, it misses nothing."""
    sent = [Ping(b"a"), Text(b"x" * 400), Pong(b""), Text(b"y"), Close(1000, "z")]
    data = b"".join(
        (
            client(PING_OP, b"a"),
            client(TEXT, b"x" * 300, fin=False),
            client(CONTINUATION, b"x" * 100),
            client(PONG_OP),
            client(TEXT, b"y"),
            closing(1000, b"z"),
        )
    )
    decoder = FrameDecoder()
    turns = [decoder.feed(data[:cut], most), decoder.feed(decoder.rest + data[cut:], most)]
    while decoder.rest:
        turns.append(decoder.feed(decoder.rest, most))
    assert max(map(len, turns)) <= most
    assert [event for turn in turns for event in turn] == sent


@pytest.mark.parametrize("last", [closing(1000), raw(0x81, 0x00)])
def test_nothing_waits_behind_the_end(last: bytes) -> None:
    """Behind a close frame or a fault nothing is looked at, now or later."""
    decoder = FrameDecoder()
    assert len(decoder.feed(last + client(TEXT, b"late"), 1)) == 1
    assert decoder.rest == b""


def test_a_frame_in_tiny_pieces_is_looked_at_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that complete nothing are only kept: a peer who sends single ones costs no more."""
    looked: list[int] = []
    decode = FrameDecoder._frame

    def noted(self: FrameDecoder, data: bytes, start: int, events: list[Event]) -> int:
        looked.append(len(data))
        return decode(self, data, start, events)

    monkeypatch.setattr(FrameDecoder, "_frame", noted)
    decoder = FrameDecoder()
    frame = client(TEXT, b"x" * 1000)
    events = [event for byte in frame for event in decoder.feed(bytes((byte,)))]
    assert events == [Text(b"x" * 1000)]
    assert looked == [1, 2, 4, len(frame)]


@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536])
def test_a_whole_text(size: int, cut: int) -> None:
    """A read that is one whole text is taken at once; whatever else is for the decoder."""
    data = client(TEXT, b"a" * size)
    taken = whole_text(data[: len(data) - cut], 65_535)
    assert taken == (Text(b"a" * size) if size <= 65_535 and not cut else None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        client(TEXT, b"a") + client(TEXT, b"b"),
        client(TEXT, "é".encode()),
        client(TEXT, b"a", fin=False),
        client(BINARY, b"a"),
        client(PING_OP, b""),
        b"\x81\x01a",
        b"\x81\xff" + bytes(4) + b"a" * 127,
    ],
)
def test_no_whole_text(data: bytes) -> None:
    """Several frames, other kinds, other characters, no mask, and a length in eight bytes."""
    assert whole_text(data, 1000) is None
