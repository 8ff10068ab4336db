"""Bytes on real sockets: a signing client of the API, and WebSockets that may misbehave.

Everything blocks, and gives up after `PATIENCE` seconds: a test that waits for an event sees it
when it comes, and fails with a timeout when it never does.
"""

import contextlib
import json
import secrets
import socket
import ssl
import struct
import time
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import quote, urlsplit

import msgspec

from greenroom.aws.signature import sigv4
from greenroom.protocol.client_frames import encode_frame, frame_at
from tests.running.asked import OVER_TLS
from tests.running.over_tls import trusting
from tests.running.service import Service

PATIENCE = 20.0
"""Far more than anything takes; a busy machine must not fail a test."""

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A

_MASK = b"\x11\x22\x33\x44"
_JSON = {"content-type": "application/json"}


class Closed(Exception):
    """The service closed or reset the connection."""


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body's JSON."""
        return json.loads(self.body)


class Frame(msgspec.Struct, frozen=True):
    """A frame as the service sent it; `first` is its first byte."""

    first: int
    payload: bytes

    @property
    def close_code(self) -> int:
        """Return the status code of a close frame."""
        assert self.first == CLOSE
        return int.from_bytes(self.payload[:2], "big")

    @property
    def close_reason(self) -> str:
        """Return the reason in a close frame."""
        assert self.first == CLOSE
        return self.payload[2:].decode()


class Peer:
    """One TCP connection to the service, with what was received and not yet read."""

    def __init__(self, service: Service, receive_buffer: int | None = None) -> None:
        url = urlsplit(service.api_url)
        assert url.hostname
        assert url.port
        family = socket.AF_INET6 if ":" in url.hostname else socket.AF_INET
        self.socket: socket.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            # Before connecting: it bounds the window that the service is told.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.buffer = b""
        try:
            self.socket.connect((url.hostname, url.port))
            if OVER_TLS and url.scheme == "https":
                self.socket = trusting().wrap_socket(self.socket, server_hostname=url.hostname)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes; that the service has closed shows when reading."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self.socket.sendall(data)

    def end(self) -> None:
        """Say that nothing more will be sent."""
        with contextlib.suppress(OSError):
            # TCP's end: that of TLS would have the socket forget its keys, and read in clear.
            socket.socket.shutdown(self.socket, socket.SHUT_WR)

    def vanish(self) -> None:
        """Reset the connection, as a peer does whose process is gone."""
        linger = struct.pack("ii", 1, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes.

        Raises:
            Closed: there are not as many.
        """
        while len(self.buffer) < size:
            self.buffer += self._receive()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def read_until(self, end: bytes) -> bytes:
        """Return the next bytes up to and with `end`; raises as `read` does."""
        while end not in self.buffer:
            self.buffer += self._receive()
        return self.read(self.buffer.index(end) + len(end))

    def read_all(self) -> bytes:
        """Return everything up to the end of the connection."""
        with contextlib.suppress(Closed):
            while True:
                self.buffer += self._receive()
        data, self.buffer = self.buffer, b""
        return data

    def read_answer(self, method: str = "GET") -> Answer:
        """Return the next HTTP answer; raises as `read` does."""
        status_line, *lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")[:-2]
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        status = int(status_line.split(" ")[1])
        bodiless = method == "HEAD" or status in {100, 101, 204}
        size = 0 if bodiless else int(headers["content-length"])
        return Answer(status, headers, self.read(size))

    def _receive(self) -> bytes:
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            raise Closed
        return data


class Api:
    """A client of the control plane on one connection: for one thread."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._peer: Peer | None = None
        self.preface = b""
        """What a proxy sends first on each connection."""

    def request(self, operation: str, **parameters: Any) -> Answer:
        """Perform an operation; return the answer, whatever it says.

        Raises:
            ConnectionError, Closed: there is no answer.
        """
        if self._peer is None:
            self._peer = Peer(self._service)
            self._peer.send(self.preface)
        try:
            self._peer.socket.sendall(signed(self._service, operation, **parameters))
            return self._peer.read_answer()
        except BaseException:
            self.close()
            raise

    def call(self, operation: str, **parameters: Any) -> Any:
        """Return the result of an operation that must succeed."""
        answer = self.request(operation, **parameters)
        assert answer.status in {200, 204}, (operation, answer)
        return answer.json if answer.body else {}

    def room(self, **parameters: Any) -> str:
        """Create a room; return its ARN."""
        return str(self.call("CreateRoom", **parameters)["arn"])

    def token(self, room: str, user: str = "user", **options: Any) -> str:
        """Return a chat token, by default with every capability."""
        options.setdefault("capabilities", ["SEND_MESSAGE", "DELETE_MESSAGE", "DISCONNECT_USER"])
        answer = self.call("CreateChatToken", roomIdentifier=room, userId=user, **options)
        return str(answer["token"])

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        if self._peer is not None:
            self._peer.socket.close()
            self._peer = None


@contextlib.contextmanager
def api_of(service: Service) -> Iterator[Api]:
    """Return a client that is closed at the end."""
    api = Api(service)
    try:
        yield api
    finally:
        api.close()


def signed(service: Service, operation: str, **parameters: Any) -> bytes:
    """Return the bytes of a signed request for an operation."""
    if operation in {"TagResource", "ListTagsForResource", "UntagResource"}:
        path = "/tags/" + quote(parameters.pop("resourceArn"), safe="")
        keys = "&".join(f"tagKeys={quote(key, safe='')}" for key in parameters.pop("tagKeys", ()))
        methods = {"TagResource": "POST", "ListTagsForResource": "GET", "UntagResource": "DELETE"}
        body = json.dumps(parameters).encode() if parameters else b""
        return signed_bytes(service, methods[operation], path, body, keys)
    return signed_bytes(service, "POST", f"/{operation}", json.dumps(parameters).encode())


def signed_bytes(
    service: Service,
    method: str,
    path: str,
    body: bytes = b"",
    query: str = "",
    headers: dict[str, str] | None = None,
    scope: str = "ivschat",
) -> bytes:
    """Return the bytes of a request, signed as it is for a service, whatever it holds."""
    given = {"host": urlsplit(service.api_url).netloc, **_JSON, **(headers or {})}
    request = sigv4.Request(method, path, query, tuple(given.items()), body)
    added = sigv4.sign(
        request,
        service.ready["access_key_id"],
        service.ready["secret_access_key"],
        "us-east-1",
        scope,
        time.time(),
    )
    target = f"{path}?{query}" if query else path
    return http_bytes(method, target, {**given, **added}, body)


def http_bytes(method: str, target: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """Return the bytes of a request, with a Host and the length of its body."""
    lines = [
        f"{method} {target} HTTP/1.1",
        *(() if "host" in {name.lower() for name in headers} else ("host: localhost",)),
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    if body or method == "POST":
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


def upgrade_bytes(*lines: bytes, path: bytes = b"/", key: bytes | None = None) -> bytes:
    """Return an upgrade request; `lines` are more headers, the token's among them."""
    return b"\r\n".join(
        (
            b"GET %b HTTP/1.1" % path,
            b"Host: localhost",
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: " + (key or b64encode(secrets.token_bytes(16))),
            *lines,
            b"",
            b"",
        )
    )


def token_line(token: str | bytes) -> bytes:
    """Return the header that carries a token."""
    value = token.encode() if isinstance(token, str) else token
    return b"Sec-WebSocket-Protocol: " + value


def client_frame(payload: bytes, first: int = TEXT, mask: bytes | None = _MASK) -> bytes:
    """Return a frame as a client sends it; without a mask, as one must not."""
    return encode_frame(first, payload, mask)


def action(**members: object) -> bytes:
    """Return an action as a text frame."""
    return client_frame(json.dumps(members).encode())


class WebSocket(Peer):
    """A connection to the messaging plane, that answers nothing unless it is told to."""

    @classmethod
    def connect(
        cls, service: Service, token: str, receive_buffer: int | None = None, behind: bytes = b""
    ) -> Self:
        """Return an open connection; `behind` is sent in one piece with the request."""
        peer = cls(service, receive_buffer)
        peer.send(upgrade_bytes(token_line(token)) + behind)
        answer = peer.read_answer()
        assert answer.status == 101, answer
        return peer

    def upgrade(self, token: str) -> Answer:
        """Send the upgrade request and return the answer."""
        self.send(upgrade_bytes(token_line(token)))
        return self.read_answer()

    def say(self, **members: Any) -> None:
        """Send one action."""
        self.send(action(**members))

    def read_frame(self) -> Frame:
        """Return the next frame.

        Raises:
            Closed: there is none.
        """
        while (found := frame_at(self.buffer)) is None:
            self.buffer += self._receive()
        first, payload, end = found
        self.buffer = self.buffer[end:]
        return Frame(first, payload)

    def read_json(self) -> Any:
        """Return the next text frame's JSON; pings before it are answered."""
        frame = self._read_no_ping()
        assert frame.first == TEXT, frame
        return json.loads(frame.payload)

    def read_close(self) -> tuple[int, str]:
        """Return code and reason of the next frame, a close frame; answer it and see the end."""
        frame = self._read_no_ping()
        assert frame.first == CLOSE, frame
        self.send(client_frame(frame.payload[:2], CLOSE))
        assert self.read_all() == b""
        return frame.close_code, frame.close_reason

    def read_frames(self) -> list[Frame]:
        """Return all frames up to the end of the connection."""
        frames = []
        with contextlib.suppress(Closed):
            while True:
                frames.append(self.read_frame())
        return frames

    def _read_no_ping(self) -> Frame:
        """Return the next frame that is not a ping; answer the pings before it."""
        while (frame := self.read_frame()).first == PING:
            self.send(client_frame(frame.payload, PONG))
        return frame
