"""The bare Python server: what the language and the event loop ask, without a chat service.

An `asyncio.Protocol` on the service's loop. A request that asks for an upgrade joins the room that
its path names; a message is written to everybody in the room, one `write` for each connection.
Every other request is answered with an empty object. Nothing is checked.

`python -m benchmarks.bare` listens on 127.0.0.1 and prints "listening on 127.0.0.1:PORT".
"""

import asyncio
import base64
import hashlib
import re
import sys
from collections import defaultdict
from pathlib import Path

import uvloop

from benchmarks.client import Load, Target
from benchmarks.processes import allow_descriptors, end, start_server, wait_until_ready

ACCEPT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %s\r\n\r\n"
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
WEBSOCKET = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_KEY = re.compile(rb"\r\nsec-websocket-key: *([^\r]+)\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)

ROOMS: dict[bytes, set["Bare"]] = defaultdict(set)


class Bare(asyncio.Protocol):
    """One connection: requests, and frames once it was upgraded."""

    def __init__(self) -> None:
        self._waiting = b""
        self._room: set[Bare] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._room is not None:
            self._room.discard(self)

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while self._frame() if self._room is not None else self._request():
            pass

    def _request(self) -> bool:
        head, separator, rest = self._waiting.partition(b"\r\n\r\n")
        if not separator:
            return False
        head += b"\r\n"
        if key := _KEY.search(head):
            accept = base64.b64encode(hashlib.sha1(key[1] + WEBSOCKET).digest())  # noqa: S324 - RFC 6455
            self.transport.write(ACCEPT % accept)
            self._room = ROOMS[head.split(b" ", 2)[1]]
            self._room.add(self)
        else:
            length = int(found[1]) if (found := _LENGTH.search(head)) else 0
            if len(rest) < length:
                return False
            self.transport.write(ANSWER)
            rest = rest[length:]
        self._waiting = rest
        return bool(rest)

    def _frame(self) -> bool:
        waiting = self._waiting
        if len(waiting) < 6:
            return False
        start, length = 6, waiting[1] & 127
        if length == 126:
            start, length = 8, int.from_bytes(waiting[2:4])
        if len(waiting) < start + length:
            return False
        payload, mask = waiting[start : start + length], waiting[start - 4 : start]
        self._waiting = waiting[start + length :]
        if waiting[0] == 0x81:
            whole = int.from_bytes((mask * (length // 4 + 1))[:length])
            self._say((int.from_bytes(payload) ^ whole).to_bytes(length))
        elif waiting[0] == 0x88:
            self.transport.close()
        return True

    def _say(self, text: bytes) -> None:
        size = len(text)
        head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2)
        frame = head + text
        for member in self._room or ():
            member.transport.write(frame)


class BarePython:
    """A running bare server."""

    name = "bare Python"

    def __init__(self, directory: Path) -> None:
        allow_descriptors()
        log = directory / "bare.log"
        self._process = start_server([sys.executable, "-m", "benchmarks.bare"], log)
        said = wait_until_ready(self._process, log, "\n")
        address = re.search(r"127\.0\.0\.1:(\d+)", said)
        if address is None:
            raise RuntimeError(f"the bare server does not say where it listens: {said}")
        self.port, self.pid = int(address[1]), self._process.pid

    def target(self, load: Load) -> Target:
        """Return the room's path: the bare server knows no tokens."""
        return Target(pid=self.pid, url=f"ws://127.0.0.1:{self.port}/%d")

    def stop(self) -> None:
        """End the server at once."""
        end(self._process)


async def main() -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Bare, "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"listening on 127.0.0.1:{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
