import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.pieces import CHUNKED_BYTES, Pieces

HEAD = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n" + b"\r\n\r\n" * 2 + b"x"
Headers = list[tuple[bytes, bytes]]


class Connection:
    """The parser with its pieces, and what each piece was."""

    def __init__(self) -> None:
        self.pieces = Pieces()
        self.seen: list[bytes] = []
        self.headers: Headers = []
        self.ended = 0
        self.parser = httptools.HttpRequestParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.pieces.head_ended(self.headers)

    def on_message_complete(self) -> None:
        self.pieces.request_ended()
        self.headers = []
        self.ended += 1

    def read(self, data: bytes) -> None:
        """Take one read of a socket."""
        start = 0
        while start < len(data):
            end, ended = self.pieces.take(data, start), self.ended
            self.parser.feed_data(data[start:end])
            assert self.ended <= ended + 1, "a piece held more than one request"
            self.seen.append(data[start:end])
            start = end


def test_heads() -> None:
    """Each piece is one request, however many one read brought."""
    connection = Connection()
    connection.read(HEAD * 3 + HEAD[:9])
    assert connection.seen == [HEAD, HEAD, HEAD, HEAD[:9]]


@given(st.lists(st.integers(1, 40), max_size=60))
def test_requests_in_any_reads(sizes: list[int]) -> None:
    """Wherever a read ends, no piece has two requests, and nothing is lost."""
    connection, data = Connection(), (HEAD + POST) * 5
    for size in [*sizes, len(data)]:
        connection.read(data[:size])
        data = data[size:]
    assert connection.ended == 10
    assert b"".join(connection.seen) == (HEAD + POST) * 5
    assert connection.pieces.overhead == 0


@pytest.mark.parametrize("split", range(1, 4))
def test_a_torn_end(split: int) -> None:
    """What comes with the rest of a head's end is the next request's."""
    pieces = Pieces()
    assert pieces.take(HEAD[:-split], 0) == len(HEAD) - split
    assert pieces.take(HEAD[-split:] + HEAD, 0) == split
    assert pieces.overhead == len(HEAD)


def test_a_body_with_a_length() -> None:
    """It ends where it says, whatever it holds, and is no overhead."""
    pieces = Pieces()
    pieces.head_ended([(b"host", b"h"), (b"content-length", b"10 ")])
    assert (pieces.in_body, pieces.take(HEAD[:4], 0)) == (True, 4)
    assert pieces.take(b"....." + b"\r\n\r\n" * 2 + HEAD, 5) == 11
    assert pieces.overhead == 0
    pieces.request_ended()
    assert not pieces.in_body


def test_a_body_in_chunks() -> None:
    """It is cut into small pieces, and counted from one part of its content to the next."""
    pieces = Pieces()
    pieces.take(HEAD, 0)
    pieces.head_ended([(b"transfer-encoding", b"chunked")])
    data = bytes(1000)
    assert pieces.take(data, 0) == CHUNKED_BYTES
    assert pieces.take(data, 900) == 1000
    assert pieces.overhead == CHUNKED_BYTES + 100
    pieces.content_came()
    assert pieces.overhead == 0
