"""How long a ban takes, as its clients see it: from the request until the last socket has ended.

The sockets are read as fast as one thread can, on the load's core, so what is measured is no less
than what the service takes.
"""

import base64
import contextlib
import itertools
import secrets
import select
import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec

from benchmarks.processes import LOAD_CORE, on_core
from benchmarks.service import Greenroom

PATIENCE_SECONDS = 30
HIS = 10
"""Sockets of the banned user, in a room of many."""

MOST = 5_000
"""Sockets of one user in a room: as many as he may have."""

AT_ONCE = 200
READ_BYTES = 4_096
TOLD = b"aws:DISCONNECT_USER"


class Ban(msgspec.Struct, frozen=True):
    """Milliseconds until all of the user's sockets had ended, and all in the room were told."""

    ended: float
    told: float


def ban(server: Greenroom, connections: int, his: int = HIS) -> Ban:
    """Ban a user who has some of a room's sockets, and measure until they have ended."""
    room = server.create_room({})
    user = "mallory"
    his = min(his, connections)
    tokens = [*server.tokens(room, his, user), *server.tokens(room, connections - his)]
    with on_core(LOAD_CORE), _open(server.port, tokens) as sockets:
        request = {"roomIdentifier": room, "userId": user}
        with ThreadPoolExecutor(1) as threads:
            began = time.monotonic()
            asked = threads.submit(server.call, "BanUser", request, "greenroom")
            ended, told = _watch(sockets, his)
            asked.result()
    return Ban((ended - began) * 1e3, (told - began) * 1e3)


def _watch(sockets: list[socket.socket], his: int) -> tuple[float, float]:
    """Return when the first `his` sockets had all been closed, and all had been told."""
    poll, by_number = select.epoll(), {each.fileno(): each for each in sockets}
    to_end = {each.fileno() for each in sockets[:his]}
    to_tell = set(by_number)
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    ended = told = 0.0
    until = time.monotonic() + PATIENCE_SECONDS
    with poll:
        while to_end or to_tell:
            if time.monotonic() > until:
                raise RuntimeError(f"{len(to_end)} sockets are open, {len(to_tell)} not told")
            for number, _ in poll.poll(1):
                text = _read(by_number[number])
                if TOLD in text:
                    to_tell.discard(number)
                    told = told if to_tell else time.monotonic()
                if number in to_end and (not text or _closes(text)):
                    to_end.discard(number)
                    ended = ended if to_end else time.monotonic()
                    poll.unregister(number)
    return ended, told


def _read(connection: socket.socket) -> bytes:
    """Return what has come, nothing of a connection that is over, in whatever way."""
    try:
        return connection.recv(READ_BYTES)
    except ConnectionResetError:
        return b""


def _closes(text: bytes) -> bool:
    """Return whether a close frame ends what came: its reason is shorter than 125 bytes."""
    return any(text[-length - 2 :][:2] == bytes((0x88, length)) for length in range(126))


@contextlib.contextmanager
def _open(port: int, tokens: Iterable[str]) -> Iterator[list[socket.socket]]:
    """Connect with each token; end all sockets afterwards."""
    with contextlib.ExitStack() as stack:
        waiting, opened = iter(tokens), list[socket.socket]()
        while batch := list(itertools.islice(waiting, AT_ONCE)):
            fresh = [stack.enter_context(_begin(port, token)) for token in batch]
            for each in fresh:
                if not each.recv(READ_BYTES).startswith(b"HTTP/1.1 101 "):
                    raise RuntimeError("a connection was refused")
            opened += fresh
        yield opened


def _begin(port: int, token: str) -> socket.socket:
    """Connect and ask for the upgrade."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    connection.sendall(
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        f"Sec-WebSocket-Protocol: {token}\r\n\r\n".encode()
    )
    return connection
