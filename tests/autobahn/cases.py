"""The cases of Autobahn|Testsuite's fuzzing client, by its numbers, as tables of our own.

A case says what a client sends, in which pieces, and everything that the server may answer. All
of sections 1 to 7 and 10 are here. Left out, with reasons: 9 (speed; the sizes that a server takes
are tested with its limits), 12 and 13 (compression is never agreed).

What a text is made of is Markus Kuhn's "UTF-8 decoder capability and stress test", as there.
"""

from collections.abc import Iterator

import msgspec

TEXT, BINARY, CLOSE, PING, PONG, MORE = 1, 2, 8, 9, 10, 0
FIN = 0x80
NORMAL, PROTOCOL_ERROR, INVALID_PAYLOAD = 1000, 1002, 1007

Frame = tuple[int, bytes]
"""First byte and payload."""


class Case(msgspec.Struct, frozen=True):
    """What is sent, in pieces of `chop` bytes (0: one write), and what must come back, in order.

    `close` is the code of the server's close frame; None when the client ends the connection.
    """

    id: str
    sends: tuple[Frame, ...]
    answers: tuple[Frame, ...] = ()
    close: int | None = None
    chop: int = 0


def text(payload: bytes) -> Frame:
    """Return a whole text message."""
    return FIN | TEXT, payload


def binary(payload: bytes) -> Frame:
    """Return a whole binary message."""
    return FIN | BINARY, payload


def ping(payload: bytes = b"") -> Frame:
    """Return a ping."""
    return FIN | PING, payload


def pong(payload: bytes = b"") -> Frame:
    """Return a pong."""
    return FIN | PONG, payload


def closing(code: int | None = NORMAL, reason: bytes = b"") -> Frame:
    """Return a close frame."""
    return FIN | CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason


def pieces(opcode: int, *payloads: bytes) -> tuple[Frame, ...]:
    """Return the frames of one message in fragments."""
    last = len(payloads) - 1
    return tuple(
        ((FIN if index == last else 0) | (opcode if index == 0 else MORE), payload)
        for index, payload in enumerate(payloads)
    )


def cases() -> Iterator[Case]:
    """Return all cases."""
    yield from _framing()
    yield from _pings()
    yield from _reserved()
    yield from _fragments()
    yield from _texts()
    yield from _closing()
    payload = b"*" * 65_536
    parts = tuple(payload[start : start + 1300] for start in range(0, len(payload), 1300))
    yield Case("10.1.1", pieces(TEXT, *parts), (text(payload),))


def _framing() -> Iterator[Case]:
    sizes = (0, 125, 126, 127, 128, 65_535, 65_536)
    for section, message in ((1, text), (2, binary)):
        fill = b"*" if message is text else b"\xfe"
        for number, size in enumerate(sizes, 1):
            frame = message(fill * size)
            yield Case(f"1.{section}.{number}", (frame,), (frame,))
        frame = message(fill * 65_536)
        yield Case(f"1.{section}.8", (frame,), (frame,), chop=997)


def _pings() -> Iterator[Case]:
    odd = bytes((0x00, 0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0x00, 0xFF))
    many = tuple(ping(b"payload-%d" % number) for number in range(10))
    answers = tuple(pong(payload) for _, payload in many)
    yield Case("2.1", (ping(),), (pong(),))
    yield Case("2.2", (ping(b"Hello, world!"),), (pong(b"Hello, world!"),))
    yield Case("2.3", (ping(odd),), (pong(odd),))
    yield Case("2.4", (ping(b"\xfe" * 125),), (pong(b"\xfe" * 125),))
    yield Case("2.5", (ping(b"\xfe" * 126),), close=PROTOCOL_ERROR)
    yield Case("2.6", (ping(b"\xfe" * 125),), (pong(b"\xfe" * 125),), chop=1)
    yield Case("2.7", (pong(),))
    yield Case("2.8", (pong(b"unsolicited"),))
    yield Case("2.9", (pong(b"unsolicited"), ping(b"ping")), (pong(b"ping"),))
    yield Case("2.10", many, answers)
    yield Case("2.11", many, answers, chop=1)


def _reserved() -> Iterator[Case]:
    hello = text(b"Hello, world!")
    for number, chop in ((2, 0), (3, 7), (4, 1)):
        sends = (hello, (FIN | 0x20 | TEXT, b"Hello, world!"), ping())
        yield Case(f"3.{number}", sends, (hello,), PROTOCOL_ERROR, chop)
    single = {1: 0x40 | TEXT, 5: 0x50 | BINARY, 6: 0x60 | PING, 7: 0x70 | CLOSE}
    for number, first in single.items():
        yield Case(f"3.{number}", ((FIN | first, b""),), close=PROTOCOL_ERROR)
        yield Case(f"3.{number} payload", ((FIN | first, b"Hi"),), close=PROTOCOL_ERROR)
    for section, opcodes in ((1, range(3, 8)), (2, range(11, 16))):
        for number, opcode in enumerate(opcodes, 1):
            payload = b"reserved" if number in (2, 4, 5) else b""
            before = (hello,) if number > 2 else ()
            sends = (*before, (FIN | opcode, payload), ping())
            chop = {4: 1, 5: 1}.get(number, 0)
            yield Case(f"4.{section}.{number}", sends, before, PROTOCOL_ERROR, chop)


def _fragments() -> Iterator[Case]:
    one, two, three, four = (b"fragment%d" % number for number in range(1, 5))
    both, whole = pieces(TEXT, one, two), text(one + two)
    yield Case("5.1", pieces(PING, one, two), close=PROTOCOL_ERROR)
    yield Case("5.2", pieces(PONG, one, two), close=PROTOCOL_ERROR)
    for number, chop in ((3, 0), (4, 15), (5, 1)):
        yield Case(f"5.{number}", both, (whole,), chop=chop)
    sends: tuple[Frame, ...]
    for number, chop in ((6, 0), (7, 15), (8, 1)):
        sends = (both[0], ping(b"ping payload"), both[1])
        yield Case(f"5.{number}", sends, (pong(b"ping payload"), whole), chop=chop)
    for first, number in ((FIN | MORE, 9), (MORE, 12)):
        for step, chop in enumerate((0, 23, 1)):
            sends = ((first, b"non-continuation payload"), text(b"Hello, world!"))
            yield Case(f"5.{number + step}", sends, close=PROTOCOL_ERROR, chop=chop)
    yield Case("5.15", (*both, (MORE, three), text(four)), (whole,), PROTOCOL_ERROR)
    for number, first in ((16, MORE), (17, FIN | MORE)):
        sends = ((first, one), (TEXT, two), (FIN | MORE, three)) * 2
        yield Case(f"5.{number}", sends, close=PROTOCOL_ERROR)
    yield Case("5.18", ((TEXT, one), text(two)), close=PROTOCOL_ERROR)
    five = pieces(TEXT, one, two, three, four, b"fragment5")
    sends = (*five[:2], ping(b"pongme 1!"), *five[2:4], ping(b"pongme 2!"), five[4])
    answers = (pong(b"pongme 1!"), pong(b"pongme 2!"), text(b"".join(part for _, part in five)))
    yield Case("5.19", sends, answers)
    yield Case("5.20", sends, answers, chop=11)


_GREEK = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
_MIXED = b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!"


def _octets(payload: bytes) -> tuple[Frame, ...]:
    return pieces(TEXT, *(payload[index : index + 1] for index in range(len(payload))))


def _texts() -> Iterator[Case]:
    yield Case("6.1.1", (text(b""),), (text(b""),))
    yield Case("6.1.2", pieces(TEXT, b"", b"", b""), (text(b""),))
    yield Case("6.1.3", pieces(TEXT, b"", b"middle", b""), (text(b"middle"),))
    yield Case("6.2.1", (text(_MIXED),), (text(_MIXED),))
    yield Case("6.2.2", pieces(TEXT, _MIXED[:12], _MIXED[12:]), (text(_MIXED),))
    yield Case("6.2.3", _octets(_MIXED), (text(_MIXED),))
    yield Case("6.2.4", _octets(_GREEK), (text(_GREEK),))
    surrogate, beyond = b"\xed\xa0\x80", b"\xf4\x90\x80\x80"
    bad = _GREEK + surrogate + b"edited"
    yield Case("6.3.1", (text(bad),), close=INVALID_PAYLOAD)
    yield Case("6.3.2", _octets(bad), close=INVALID_PAYLOAD)
    # A text is looked at when it is whole: the suite calls that "non-strict".
    parts = (
        (_GREEK, beyond, b"edited"),
        (_GREEK + beyond[:1], beyond[1:], b"edited"),
        (_GREEK, beyond, b"edited"),
        (_GREEK + beyond[:1], beyond[1:2], beyond[2:] + b"edited"),
    )
    for number, three in enumerate(parts, 1):
        chop = 1 if number > 2 else 0
        yield Case(f"6.4.{number}", pieces(TEXT, *three), close=INVALID_PAYLOAD, chop=chop)
    for section, sequences in enumerate(_sequences(), 5):
        for number, sequence in enumerate(sequences, 1):
            name = f"6.{section}.{number}"
            if _is_text(sequence):
                yield Case(name, (text(sequence),), (text(sequence),))
            else:
                yield Case(name, (text(sequence),), close=INVALID_PAYLOAD)


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _sequences() -> tuple[tuple[bytes, ...], ...]:
    """Return sections 6.5 to 6.23 in order."""
    starts = ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))
    cut = (
        *(b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80"),
        *(b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf"),
    )
    return (
        (*(b"hello" + character + b"world" for character in _CHARACTERS), _GREEK),
        tuple(_GREEK[:size] for size in range(1, len(_GREEK) + 1)),
        (b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"),
        (b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"),
        (b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"),
        (b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"),
        (
            b"\xed\x9f\xbf",
            b"\xee\x80\x80",
            b"\xef\xbf\xbd",
            b"\xf4\x8f\xbf\xbf",
            b"\xf4\x90\x80\x80",
        ),
        (
            *(b"\x80", b"\xbf"),
            *((b"\x80\xbf" * 3)[:size] for size in range(2, 7)),
            bytes(range(0x80, 0xBF)),
        ),
        tuple(b"".join(bytes((byte, 0x20)) for byte in range(*each)) for each in starts),
        cut,
        (b"".join(cut),),
        (b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"),
        (b"\xc0\xaf", *(lead + b"\x80" * size + b"\xaf" for size, lead in _OVERLONG)),
        (
            *(b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf"),
            *(b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"),
        ),
        (b"\xc0\x80", *(lead + b"\x80" * (size + 1) for size, lead in _OVERLONG)),
        tuple(b"\xed" + bytes(pair) for pair in _SURROGATES),
        tuple(
            b"\xed" + bytes(high) + b"\xed" + low
            for high in _HIGH
            for low in (b"\xb0\x80", b"\xbf\xbf")
        ),
        tuple(_non_characters()),
        tuple(b"\xef\xbf" + bytes((last,)) for last in range(0xB9, 0xC0)),
    )


_CHARACTERS = (b"$", b"\xc2\xa2", b"\xe2\x82\xac", b"\xf0\xa4\xad\xa2")
_OVERLONG = ((1, b"\xe0"), (2, b"\xf0"), (3, b"\xf8"), (4, b"\xfc"))
_HIGH = (b"\xa0\x80", b"\xad\xbf", b"\xae\x80", b"\xaf\xbf")
_SURROGATES = (*_HIGH, b"\xb0\x80", b"\xbe\x80", b"\xbf\xbf")


def _non_characters() -> Iterator[bytes]:
    yield from (b"\xef\xbf\xbe", b"\xef\xbf\xbf")
    for first in range(0xF0, 0xF5):
        for second in (0x8F, 0x9F, 0xAF, 0xBF):
            for last in (0xBE, 0xBF):
                sequence = bytes((first, second, 0xBF, last))
                if _is_text(sequence):
                    yield sequence


def _closing() -> Iterator[Case]:
    hello, bye = text(b"Hello World!"), closing()
    yield Case("7.1.1", (hello, bye), (hello,), NORMAL)
    yield Case("7.1.2", (bye, bye), close=NORMAL)
    yield Case("7.1.3", (bye, ping()), close=NORMAL)
    yield Case("7.1.4", (bye, hello), close=NORMAL)
    yield Case("7.1.5", ((TEXT, b"part"), bye, (FIN | MORE, b"part")), close=NORMAL)
    large = text(b"BAsd7&jh23" * 6_500)
    yield Case("7.1.6", (large, bye, ping()), (large,), NORMAL)
    yield Case("7.3.1", (closing(None),), close=NORMAL)
    yield Case("7.3.2", ((FIN | CLOSE, b"a"),), close=PROTOCOL_ERROR)
    yield Case("7.3.3", (bye,), close=NORMAL)
    yield Case("7.3.4", (closing(NORMAL, b"Hello World!"),), close=NORMAL)
    yield Case("7.3.5", (closing(NORMAL, b"*" * 123),), close=NORMAL)
    yield Case("7.3.6", (closing(NORMAL, b"*" * 124),), close=PROTOCOL_ERROR)
    bad = _GREEK + b"\xed\xa0\x80" + b"edited"
    yield Case("7.5.1", (closing(NORMAL, bad),), close=INVALID_PAYLOAD)
    valid = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    for number, code in enumerate(valid, 1):
        yield Case(f"7.7.{number}", (closing(code),), close=code)
    for number, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1):
        yield Case(f"7.9.{number}", (closing(code),), close=PROTOCOL_ERROR)
    for number, code in enumerate((5000, 65535), 1):
        yield Case(f"7.13.{number}", (closing(code),), close=PROTOCOL_ERROR)
