"""Messages between the supervisor and one of its processes, over a pair of sockets.

Each is 4 bytes of length and the message. They arrive whole and in order, or the pipe ends.
"""

import asyncio
import socket
import struct
from collections.abc import Callable

MOST_WAITING = 64 << 20
"""Bytes that may wait for a process that does not read; beyond them its pipe ends."""

_LENGTH = struct.Struct(">I")
_CHUNK = 1 << 18


class Pipe:
    """One end; `receive` is given each message, and `ended` is called once the other end closed."""

    def __init__(
        self,
        connection: socket.socket,
        receive: Callable[[bytes], None],
        ended: Callable[[], None],
    ) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._receive = receive
        self._ended = ended
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Take messages from now on, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._connection.fileno(), self._readable)

    def send(self, message: bytes) -> None:
        """Send a message; nothing happens when the other end is gone, of which `ended` tells."""
        if self._loop is None:
            return
        idle = not self._outgoing
        self._outgoing += _LENGTH.pack(len(message)) + message
        if len(self._outgoing) > MOST_WAITING:
            self._end()
        elif idle:
            self._writable()

    def close(self) -> None:
        """Close this end."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.remove_reader(self._connection.fileno())
            loop.remove_writer(self._connection.fileno())
        self._connection.close()

    def _readable(self) -> None:
        try:
            data = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        self._incoming += data
        while (message := self._next()) is not None and self._loop is not None:
            self._receive(message)

    def _next(self) -> bytes | None:
        if len(self._incoming) < _LENGTH.size:
            return None
        end = _LENGTH.size + _LENGTH.unpack_from(self._incoming)[0]
        if len(self._incoming) < end:
            return None
        message = bytes(self._incoming[_LENGTH.size : end])
        del self._incoming[:end]
        return message

    def _writable(self) -> None:
        loop = self._loop
        if loop is None:
            return
        try:
            del self._outgoing[: self._connection.send(self._outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            # What it said last can still be read; its end comes behind that.
            self._outgoing.clear()
        if self._outgoing:
            loop.add_writer(self._connection.fileno(), self._writable)
        else:
            loop.remove_writer(self._connection.fileno())

    def _end(self) -> None:
        self.close()
        self._ended()
