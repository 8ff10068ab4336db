"""Cut the bytes of an HTTP/1.1 connection so that the parser is given one request at a time.

The parser reads whatever it is given to its end, and one read of a socket may hold thousands of
requests. A head ends with the first empty line: the parser takes no line that ends otherwise. A
body with a length ends there. One in chunks ends where only the parser knows, so it is given
`CHUNKED_BYTES` at a time, which bounds what may begin behind it.
"""

from collections.abc import Iterable

CHUNKED_BYTES = 256
"""Given to the parser at once of a body in chunks: a dozen of the shortest requests."""

_END = b"\r\n\r\n"
_BEFORE_END = len(_END) - 1


class Pieces:
    """Where the next piece ends, and how much of what is no content there was."""

    __slots__ = ("_left", "_tail", "in_body", "overhead")

    def __init__(self) -> None:
        self.in_body = False
        """Whether the head is over, and what belongs to it is not."""
        self.overhead = 0
        """Bytes of the request's head; then, of a body in chunks, those since its last content."""
        self._left: int | None = 0
        self._tail = b""

    def take(self, data: bytes, start: int) -> int:
        """Return where the piece ends that starts here, and count it."""
        if self.in_body and self._left is not None:
            end = min(len(data), start + self._left)
            self._left -= end - start
            return end
        end = min(len(data), start + CHUNKED_BYTES) if self.in_body else self._end(data, start)
        self.overhead += end - start
        return end

    def head_ended(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Begin the body that the headers announce, which the parser has checked."""
        self.in_body, self.overhead, self._tail, self._left = True, 0, b"", 0
        for name, value in headers:
            if name == b"transfer-encoding":
                self._left = None
            elif name == b"content-length":
                self._left = int(value)

    def content_came(self) -> None:
        """Begin to count again: what is no content is bounded between two parts of it."""
        self.overhead = 0

    def request_ended(self) -> None:
        """Begin the next head."""
        self.in_body, self.overhead, self._left = False, 0, 0

    def _end(self, data: bytes, start: int) -> int:
        """Return where the head ends, or the data; the end may have begun in the last read."""
        if self._tail:
            found = (self._tail + data[start : start + _BEFORE_END]).find(_END)
            if found >= 0:
                return start + found + len(_END) - len(self._tail)
        found = data.find(_END, start)
        if found >= 0:
            return found + len(_END)
        self._tail = (self._tail + data[start:][-_BEFORE_END:])[-_BEFORE_END:]
        return len(data)
