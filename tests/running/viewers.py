"""Thousands of cheap clients: one protocol object each, and what they saw.

Frames that are the same bytes are kept once, so that comparing what a crowd saw costs little.
Waiting gives up after `PATIENCE` seconds and says for what.
"""

import asyncio
import itertools
import json
import os
import secrets
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import msgspec

from greenroom.model.chat_token import TOKEN_VALIDITY_SECONDS, Capability, ChatTokenClaims
from greenroom.protocol.client_frames import frame_at
from greenroom.tokens.key_ring import NONCE_BYTES, KeyRing, seal_claims
from tests.running.asked import OVER_TLS
from tests.running.over_tls import trusting
from tests.running.said import pause_after
from tests.running.service import Service
from tests.running.tokens_of import key_ring
from tests.running.wire import CLOSE, PING, PONG, TEXT, client_frame, token_line, upgrade_bytes

PATIENCE = 30.0
"""Far more than anything takes; a busy machine must not fail a scenario."""

AT_ONCE = 200
"""Handshakes that are under way at the same time."""

SESSION_SECONDS = 3600

T = TypeVar("T")
P = TypeVar("P", bound=asyncio.Protocol)


class Seen(msgspec.Struct, rename="pascal", frozen=True):
    """What a received frame says, as far as the scenarios ask."""

    type: str
    id: str
    request_id: str = ""
    content: str = ""
    event_name: str = ""
    attributes: dict[str, str] | None = None
    error_code: int = 0
    error_message: str = ""


seen = msgspec.json.Decoder(Seen).decode


class Viewer(asyncio.Protocol):
    """One connection, from its upgrade request on."""

    def __init__(self, crowd: "Crowd", request: bytes) -> None:
        self._crowd = crowd
        self._request = request
        self._rest = b""
        loop = asyncio.get_running_loop()
        self.status = 0
        self.answered: asyncio.Future[int] = loop.create_future()
        """The handshake's status; 0 when the connection ended without an answer."""
        self.texts: list[bytes] = []
        self.pings = 0
        self.close_frame: bytes | None = None
        self.ended = False
        self.answers_pings = True
        self.on_text: Callable[[bytes], None] | None = None
        self.on_end: Callable[[], None] | None = None
        self.transport: asyncio.Transport

    @property
    def close_code(self) -> int:
        """The status code of the close frame; 0 when none came."""
        return int.from_bytes(self.close_frame[:2], "big") if self.close_frame else 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._crowd.viewers.add(self)
        transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.ended:
            return  # uvloop tells it twice of some that end in their handshake
        self.ended = True
        self._crowd.viewers.discard(self)
        if not self.answered.done():
            self.answered.set_result(0)
        if self.on_end is not None:
            self.on_end()

    def data_received(self, data: bytes) -> None:
        self._rest += data
        if self.status == 0:
            self._take_head()
        if self.status == 101:
            self._take_frames()

    def send(self, data: bytes) -> None:
        """Write bytes; after the end of the connection nothing happens."""
        if not self.ended:
            self.transport.write(data)

    def leave(self) -> None:
        """Begin the closing handshake; the service ends the connection."""
        self.send(client_frame((1000).to_bytes(2, "big"), CLOSE))

    def seen(self) -> list[Seen]:
        """Return what the received frames say."""
        return [seen(text) for text in self.texts]

    def _take_head(self) -> None:
        head, end, rest = self._rest.partition(b"\r\n\r\n")
        if not end:
            return
        self.status = int(head[9:12])
        self._rest = rest
        if not self.answered.done():
            self.answered.set_result(self.status)

    def _take_frames(self) -> None:
        data, start = self._rest, 0
        while found := frame_at(data, start):
            first, payload, start = found
            self._take_frame(first, payload)
        self._rest = data[start:]

    def _take_frame(self, first: int, payload: bytes) -> None:
        if self.close_frame is not None:
            raise AssertionError(f"a frame after the close frame: {first:#x} {payload!r}")
        if first == TEXT:
            payload = self._crowd.frames.setdefault(payload, payload)
            self.texts.append(payload)
            if self.on_text is not None:
                self.on_text(payload)
        elif first == PING:
            self.pings += 1
            if self.answers_pings:
                self.send(client_frame(payload, PONG))
        elif first == CLOSE:
            self.close_frame = payload
            self.send(client_frame(payload[:2], CLOSE))
        elif first != PONG:
            raise AssertionError(f"not a frame of the service: {first:#x} {payload!r}")


class Stream(asyncio.Protocol):
    """One connection whose answers nobody looks at."""

    def __init__(self) -> None:
        self.ended = False
        self.received = 0
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += len(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True


class Gone(asyncio.Transport):
    """What is left of a connection that ended before it had begun."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send nothing."""

    def is_closing(self) -> bool:
        """Return that it has ended."""
        return True

    def close(self) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing."""

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


class Speaker:
    """A connection that sends, and knows what became of it."""

    def __init__(self, name: str, viewer: Viewer, patience: float | None = PATIENCE) -> None:
        """Make it; an answer may take `patience` in seconds, None: for ever."""
        self.name = name
        self.viewer = viewer
        self.patience = patience
        self.sent: list[str] = []
        self.echoed: list[str] = []
        self._waiting: dict[str, asyncio.Future[Seen | None]] = {}
        self._numbers = itertools.count()
        viewer.on_text = self._look
        viewer.on_end = self._end

    async def say(self, content: str = "hello", **members: Any) -> Seen | None:
        """Send a message; return its echo, the error, or None when the connection ended first."""
        request_id = f"{self.name}/{next(self._numbers)}"
        future: asyncio.Future[Seen | None] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        self.sent.append(request_id)
        action = {"Action": "SEND_MESSAGE", "RequestId": request_id, "Content": content, **members}
        if self.viewer.ended:
            return None
        self.viewer.send(client_frame(json.dumps(action).encode()))
        async with asyncio.timeout(self.patience):
            return await future

    def _end(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_result(None)

    def _look(self, text: bytes) -> None:
        frame = seen(text)
        future = self._waiting.pop(frame.request_id, None)
        if future is None:
            return
        if frame.type == "MESSAGE":
            self.echoed.append(frame.request_id)
        if not future.done():
            future.set_result(frame)


class Crowd:
    """All clients of one running service."""

    def __init__(self, service: Service, ring: KeyRing | None = None) -> None:
        """Make it; the ring has the keys of tokens where the data directory has not."""
        self._service = service
        url = urlsplit(service.api_url)
        assert url.hostname
        assert url.port
        self._address = (url.hostname, url.port)
        self._tls: dict[str, Any] = {}
        if OVER_TLS and url.scheme == "https":
            # Who gives up while nobody answers is gone at once, as in clear.
            self._tls = {
                "ssl": trusting(),
                "server_hostname": url.hostname,
                "ssl_shutdown_timeout": 0.1,
            }
        self._ring = ring or key_ring(service)
        self.frames: dict[bytes, bytes] = {}
        self.viewers: set[Viewer] = set()
        """Those that are connected."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        """Drop all connections, also those that are just being made."""
        for _ in range(100):
            for viewer in tuple(self.viewers):
                viewer.transport.abort()
            await asyncio.sleep(0.01)
            if not self.viewers:
                return

    def token(self, room: str, user: str) -> str:
        """Return a token with every capability, sealed as the service does, without asking it."""
        now = time.time()
        claims = ChatTokenClaims(
            token_id=secrets.token_urlsafe(12),
            room_arn=room,
            user_id=user,
            capabilities=tuple(Capability),
            attributes={},
            token_expires=int((now + TOKEN_VALIDITY_SECONDS) * 1000),
            session_expires=int((now + SESSION_SECONDS) * 1000),
        )
        return seal_claims(self._ring, claims, os.urandom(NONCE_BYTES))

    async def begin(self, request: bytes, receive_buffer: int | None = None) -> Viewer:
        """Connect and send the bytes.

        Raises:
            OSError: the service cannot be reached.
        """
        return await self._connect(lambda: Viewer(self, request), receive_buffer)

    async def stream(self, receive_buffer: int | None = None) -> Stream:
        """Connect, for whatever bytes; raises as `begin` does."""
        return await self._connect(Stream, receive_buffer)

    async def _connect(self, protocol: Callable[[], P], receive_buffer: int | None) -> P:
        connection = socket.socket()
        try:
            connection.setblocking(False)
            if receive_buffer is not None:
                # Before connecting: it bounds the window that the service is told.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(connection, self._address)
        except BaseException:
            connection.close()
            raise
        try:
            _, made = await loop.create_connection(protocol, sock=connection, **self._tls)
        except (ConnectionError, ssl.SSLError) as error:
            if not self._tls:
                raise
            # Who is not wanted is let go of before TLS has begun: in clear it ends right after.
            made = protocol()
            made.connection_made(Gone())
            made.connection_lost(error)
        return made

    async def attempt(self, token: str, receive_buffer: int | None = None) -> Viewer:
        """Connect with a token; return the connection with its answer, whatever it is."""
        request = upgrade_bytes(token_line(token), key=b64encode(os.urandom(16)))
        viewer = await self.begin(request, receive_buffer)
        try:
            async with asyncio.timeout(PATIENCE):
                await viewer.answered
        except BaseException:
            viewer.transport.abort()
            raise
        return viewer

    async def enter(self, room: str, user: str = "viewer", **options: Any) -> Viewer:
        """Return an open connection of a user to a room."""
        viewer = await self.attempt(self.token(room, user), **options)
        assert viewer.status == 101, (viewer.status, user)
        return viewer

    async def fill(self, room: str, count: int, user: str = "viewer") -> list[Viewer]:
        """Return so many open connections to a room, whose users are numbered."""
        return await at_once(self.enter(room, f"{user}-{number}") for number in range(count))

    async def speakers(self, room: str, count: int, name: str = "speaker") -> list[Speaker]:
        """Return so many connections to a room that send, whose users are numbered."""
        viewers = await self.fill(room, count, name)
        return [Speaker(f"{name}-{number}", each) for number, each in enumerate(viewers)]


async def at_once(jobs: Iterable[Awaitable[T]], limit: int = AT_ONCE) -> list[T]:
    """Run jobs, so many at the same time; return their results in order."""
    results: dict[int, T] = {}
    waiting = iter(enumerate(jobs))

    async def work() -> None:
        for number, job in waiting:
            results[number] = await job

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(limit):
                tasks.create_task(work())
    except ExceptionGroup as group:
        # They fail by the hundred, and for the same reason.
        raise group.exceptions[0] from None
    return [results[number] for number in range(len(results))]


async def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: it never did; the message says what.
    """
    began = time.monotonic()
    deadline = began + seconds
    while not condition():
        looked = time.monotonic()
        assert looked < deadline, f"never happened: {what}"
        await asyncio.sleep(pause_after(looked - began))
        began = time.monotonic()


def assert_same_streams(viewers: Sequence[Viewer]) -> list[Seen]:
    """Check that all saw the same frames in one order, each once; return what they say."""
    stream = viewers[0].texts
    for number, viewer in enumerate(viewers):
        assert len(viewer.texts) == len(stream), f"viewer {number} saw more or fewer frames"
        if viewer.texts != stream:
            index = next(
                index
                for index, (one, other) in enumerate(zip(viewer.texts, stream, strict=True))
                if one != other
            )
            raise AssertionError(f"viewer {number} saw another order from frame {index} on")
    frames = [seen(text) for text in stream]
    assert len({frame.id for frame in frames}) == len(frames), "a frame came twice"
    return frames


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value below which a share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
