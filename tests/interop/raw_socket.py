"""A WebSocket client that does what no library would: send any bytes, in any pieces."""

import base64
import http.client
import json
import os
import socket
from collections.abc import Sequence
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from tests.service import Service

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA

SECONDS = 30
"""After which a read gives up."""

Headers = Sequence[tuple[str, str]]


class Answer(msgspec.Struct):
    """The HTTP answer to a refused upgrade."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


def upgrade_headers(token: str | None, **replaced: str) -> Headers:
    """Return the headers of an upgrade request; `_` in names stands for `-`."""
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        **({} if token is None else {"Sec-WebSocket-Protocol": token}),
        **{name.replace("_", "-"): value for name, value in replaced.items()},
    }
    return tuple(headers.items())


def refusal(service: Service, headers: Headers, method: str = "GET") -> Answer:
    """Ask for an upgrade and return the answer, which must be a refusal as JSON."""
    connection = http.client.HTTPConnection(_host(service), timeout=SECONDS)
    try:
        connection.putrequest(method, "/")
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        body = json.loads(response.read())
    finally:
        connection.close()
    named = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, named, body)


def frame(opcode: int, payload: bytes, *, final: bool = True, masked: bool = True) -> bytes:
    """Return one frame as a client sends it, by default whole and masked."""
    size = len(payload)
    head = bytes((opcode | (0x80 if final else 0),))
    flag = 0x80 if masked else 0
    if size < 126:
        head += bytes((flag | size,))
    elif size < 65_536:
        head += bytes((flag | 126,)) + size.to_bytes(2, "big")
    else:
        head += bytes((flag | 127,)) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    mask = os.urandom(4)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


def action(**members: object) -> bytes:
    """Return an action as a text frame."""
    return frame(TEXT, json.dumps(members).encode())


class RawSocket:
    """An open connection."""

    def __init__(
        self,
        service: Service,
        token: str,
        *,
        path: str = "/",
        behind: bytes = b"",
        headers: Headers | None = None,
    ) -> None:
        """Connect; `behind` is sent in one piece with the request."""
        host = _host(service)
        name, _, port = host.rpartition(":")
        self.socket = socket.create_connection((name, int(port)), timeout=SECONDS)
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}"]
        lines += [f"{key}: {value}" for key, value in headers or upgrade_headers(token)]
        self.send("\r\n".join((*lines, "", "")).encode() + behind)
        self._pending = b""
        self.head = self._until(b"\r\n\r\n").decode()
        assert self.head.startswith("HTTP/1.1 101 "), self.head

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def receive(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame, which must be whole and not masked."""
        first, length = self._take(2)
        assert first & 0xF0 == 0x80
        if length == 126:
            length = int.from_bytes(self._take(2), "big")
        elif length == 127:
            length = int.from_bytes(self._take(8), "big")
        return first & 0x0F, self._take(length)

    def entity(self) -> dict[str, Any]:
        """Return the next frame, which must be text, decoded."""
        opcode, payload = self._receive_no_ping()
        assert opcode == TEXT, (opcode, payload)
        decoded: dict[str, Any] = json.loads(payload)
        return decoded

    def closed(self) -> tuple[int, str]:
        """Return code and reason of the next frame, which must be a close frame; answer it."""
        opcode, payload = self._receive_no_ping()
        assert opcode == CLOSE, (opcode, payload)
        self.send(frame(CLOSE, payload[:2]))
        assert self.ended()
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    def ended(self) -> bool:
        """Wait for the end of the connection; return whether it came with no further frame."""
        try:
            return not self._pending and not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def _receive_no_ping(self) -> tuple[int, bytes]:
        """Return the next frame that is not a ping; answer the pings before it."""
        opcode, payload = self.receive()
        while opcode == PING:
            self.send(frame(PONG, payload))
            opcode, payload = self.receive()
        return opcode, payload

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._pending:
            self._more()
        found, _, self._pending = self._pending.partition(mark)
        return found

    def _take(self, size: int) -> bytes:
        while len(self._pending) < size:
            self._more()
        taken, self._pending = self._pending[:size], self._pending[size:]
        return taken

    def _more(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise EOFError("the connection ended")
        self._pending += data


def _host(service: Service) -> str:
    return urlsplit(service.api_url).netloc
