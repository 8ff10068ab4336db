"""Takes messages out of what a server says as it comes, and gives nats-py the rest.

nats-py reads through a stream, a task and expressions. In a node that a message wakes, whose
processor has just done something else, all that code costs more than the message itself does.
"""

import asyncio
from collections.abc import Callable, Mapping

Listener = Callable[[bytes, bytes, bytes], None]
"""Takes a message: its subject, its headers as they are on the wire or nothing, its data."""


class Straight(asyncio.Protocol):
    """Stands before the protocol that nats-py has given a connection.

    `whole` returns whether nats-py has no half of anything: until then it reads all by itself.
    """

    def __init__(
        self,
        behind: asyncio.Protocol,
        listeners: Mapping[bytes, Listener],
        whole: Callable[[], bool],
    ) -> None:
        """Make it; `listeners` are by what servers call their subscriptions."""
        self._behind = behind
        self._listeners = listeners
        self._whole = whole
        self._begun = False
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Tell listeners of the messages that are there as a whole; keep a part of one."""
        self._begun = self._begun or self._whole()
        if self._begun:
            self._read(self._rest + data if self._rest else data)
        else:
            self._behind.data_received(data)

    def _read(self, data: bytes) -> None:
        others: list[bytes] = []
        start = 0
        while (line_end := data.find(b"\r\n", start)) >= 0:
            end = line_end + 2
            words = data[start:line_end].split()
            if words and words[0] in _MESSAGES:
                try:
                    head, size = _sizes(words)
                except (ValueError, IndexError):
                    # No server says so. nats-py ends the connection.
                    end = len(data)
                else:
                    begin, end = end, end + size + 2
                    if end > len(data):
                        break
                    listener = self._listeners.get(words[2])
                    if listener is not None:
                        start = end
                        body = begin + head
                        listener(words[1], data[begin:body], data[body : end - 2])
                        continue
            others.append(data[start:end])
            start = end
        self._rest = data[start:]
        if others:
            self._behind.data_received(b"".join(others))

    def eof_received(self) -> bool | None:
        """Let nats-py know; so with all else."""
        return self._behind.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._behind.connection_lost(exc)

    def pause_writing(self) -> None:
        self._behind.pause_writing()

    def resume_writing(self) -> None:
        self._behind.resume_writing()


def command(
    subject: str, data: bytes, reply: str = "", headers: Mapping[str, str] | None = None
) -> bytes:
    """Return what a client says to publish a message."""
    names = f"{subject} {reply}" if reply else subject
    if not headers:
        return b"PUB %b %d\r\n%b\r\n" % (names.encode(), len(data), data)
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    head = f"NATS/1.0\r\n{lines}\r\n".encode()
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (
        names.encode(),
        len(head),
        len(head) + len(data),
        head,
        data,
    )


_MESSAGES = frozenset((b"MSG", b"HMSG"))


def _sizes(words: list[bytes]) -> tuple[int, int]:
    """Return how many bytes of headers a message has, and how many with its data.

    Raises:
        ValueError: the line is not one of a message; so is an IndexError.
    """
    size = int(words[-1])
    head = int(words[-2]) if words[0] == b"HMSG" else 0
    if not 0 <= head <= size or not 4 <= len(words) <= 6:
        raise ValueError("not a message")
    return head, size
