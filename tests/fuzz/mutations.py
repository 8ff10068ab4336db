"""Mutations of corpus entries, drawn by hypothesis so that a failure shrinks to its cause."""

import re
from collections.abc import Callable, Sequence

from hypothesis import strategies as st

Change = Callable[[bytes], bytes]

NUMBERS = (0, 1, -1, 125, 126, 127, 255, 65_535, 65_536, 2**31, 2**32, 2**63 - 1, 2**63, 2**64)
"""Around which lengths and counters break."""

BOUNDARIES = (
    *(b"\x00", b"\x7e", b"\x7f", b"\x80", b"\xc1", b"\xfe", b"\xff", b"\r\n", b"\r", b"\n"),
    *(b" ", b"\t", b",", b";", b"=", b":", b".", b'"', b"\\", b"/", b"%", b"*", b"?", b"$", b"{}"),
    *(b"%00", b"%ff", b"${", b"../", b"[" * 2000, b"*a" * 500, b"\xed\xa0\x80", b"\\ud800"),
    *((2**63).to_bytes(8, "big"), b"\xff" * 8, b"9" * 5000, b"1e999999", b"-0", b"\xef\xbb\xbf"),
)
"""Bytes that end, begin, escape or overflow something in one of the grammars."""

MAXIMUM_BYTES = 100_000
"""What a mutation may grow to."""

_NUMBER = re.compile(rb"[0-9]+")


def mutated(corpus: Sequence[bytes], most: int = 4) -> st.SearchStrategy[bytes]:
    """Draw an entry with up to `most` changes; also without any."""
    pieces = st.sampled_from(BOUNDARIES) | st.binary(min_size=1, max_size=6)
    places = st.integers(0, 1 << 16)
    change = st.one_of(
        st.builds(_flipped, places, st.integers(1, 255)),
        st.builds(_inserted, places, pieces),
        st.builds(_overwritten, places, pieces),
        st.builds(_deleted, places, st.integers(1, 64)),
        st.builds(_repeated, places, st.integers(1, 200), st.integers(2, 50)),
        st.builds(_cut, places),
        st.builds(_spliced, places, st.sampled_from(corpus), places),
        st.builds(_renumbered, places, st.sampled_from(NUMBERS)),
    )
    return st.builds(_applied, st.sampled_from(corpus), st.lists(change, max_size=most))


def chunks(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Return the data in pieces of these sizes, over and over; all at once without sizes."""
    if not sizes:
        return [data]
    pieces, start, turn = [], 0, 0
    while start < len(data):
        end = start + sizes[turn % len(sizes)]
        pieces.append(data[start:end])
        start, turn = end, turn + 1
    return pieces


def _applied(data: bytes, changes: Sequence[Change]) -> bytes:
    for change in changes:
        data = change(data)[:MAXIMUM_BYTES]
    return data


def _flipped(place: int, mask: int) -> Change:
    def change(data: bytes) -> bytes:
        at = place % (len(data) or 1)
        return data[:at] + bytes(byte ^ mask for byte in data[at : at + 1]) + data[at + 1 :]

    return change


def _inserted(place: int, piece: bytes) -> Change:
    return lambda data: data[: _at(place, data)] + piece + data[_at(place, data) :]


def _overwritten(place: int, piece: bytes) -> Change:
    return lambda data: data[: _at(place, data)] + piece + data[_at(place, data) + len(piece) :]


def _deleted(place: int, size: int) -> Change:
    return lambda data: data[: _at(place, data)] + data[_at(place, data) + size :]


def _repeated(place: int, size: int, times: int) -> Change:
    def change(data: bytes) -> bytes:
        at = _at(place, data)
        return data[:at] + data[at : at + size] * times + data[at + size :]

    return change


def _cut(place: int) -> Change:
    return lambda data: data[: _at(place, data)]


def _spliced(place: int, other: bytes, from_place: int) -> Change:
    return lambda data: data[: _at(place, data)] + other[_at(from_place, other) :]


def _renumbered(place: int, number: int) -> Change:
    """Replace one of the decimal numbers in a text."""

    def change(data: bytes) -> bytes:
        found = list(_NUMBER.finditer(data))
        if not found:
            return data
        match = found[place % len(found)]
        return data[: match.start()] + str(number).encode() + data[match.end() :]

    return change


def _at(place: int, data: bytes) -> int:
    return place % (len(data) + 1)
