"""The clients of a measurement: WebSockets that cost little, so that one process holds thousands.

A client takes what Greenroom sends, whole unmasked frames without extensions. Anything else ends
its connection, which counts as lost.
"""

import asyncio
import os
import time
from base64 import b64encode
from hashlib import sha1
from typing import cast

from greenroom.cli.bench.ledger import Ledger, Sight
from greenroom.protocol.client_frames import CLOSE, KEY_BYTES, PING, PONG, TEXT, encode_frame
from greenroom.protocol.errors import CloseCode

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SHORT_LIMIT = 125
_MEDIUM = 126
_MASKED = 0x80
_HEAD_LIMIT = 65_536
_FRAME_LIMIT = 1_048_576
OPENED = ""
"""What a client's answer is when its connection was accepted."""


def upgrade_request(authority: str, token: str, key: bytes, path: str = "/") -> bytes:
    """Return the request that opens a WebSocket with a chat token."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key.decode()}\r\n"
        f"Sec-WebSocket-Protocol: {token}\r\n\r\n"
    ).encode("ascii")


class Client(asyncio.Protocol):
    """One connection to the room.

    `answer` becomes OPENED, or why the connection was refused: the status of an HTTP answer.
    """

    __slots__ = ("_answer", "_early", "_key", "_request", "is_open", "sight", "transport")

    def __init__(
        self,
        ledger: Ledger,
        authority: str,
        token: str,
        answer: asyncio.Future[str],
        path: str = "/",
    ) -> None:
        self._key = b64encode(os.urandom(16))
        self._request = upgrade_request(authority, token, self._key, path)
        self._early = b""
        self.sight = Sight(ledger)
        self.is_open = False
        self.transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[str] | None = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)
        self._request = b""

    def data_received(self, data: bytes) -> None:
        """Take the answer to the upgrade, then frames."""
        if self._early:
            data = self._early + data
            self._early = b""
        if self.is_open:
            self._take_frames(data, time.monotonic_ns())
        elif self._answer is not None:
            self._take_answer(data)

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end."""
        self.is_open = False
        self.transport = None
        self._settle("closed")

    def send(self, payload: bytes) -> None:
        """Send a text message."""
        self._write(TEXT, payload)

    def close(self) -> None:
        """Say goodbye and close."""
        if self.is_open and self.transport is not None:
            self._write(CLOSE, CloseCode.NORMAL.to_bytes(2, "big"))
            self.transport.close()

    def abort(self) -> None:
        """End the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    def _write(self, first: int, payload: bytes) -> None:
        if self.transport is not None:
            self.transport.write(encode_frame(first, payload, os.urandom(KEY_BYTES)))

    def _settle(self, answer: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)
        self._answer = None

    def _take_answer(self, data: bytes) -> None:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            self._early = data
            if len(data) > _HEAD_LIMIT:
                self.abort()
            return
        status = head[9:12].decode("latin-1")
        digest = b64encode(sha1(self._key + _GUID, usedforsecurity=False).digest())
        if status == "101" and digest in head:
            self.is_open = True
            self._settle(OPENED)
            if rest:
                self.data_received(rest)
        else:
            self._settle(status if status != "101" else "no WebSocket")
            self.abort()

    def _take_frames(self, data: bytes, now: int) -> None:
        # Not by `frame_at`: the load shares the machine with what it measures, so no call for each.
        start, size, see = 0, len(data), self.sight.see
        position = self.sight.ledger.position
        while size - start >= 2:
            first, length, body = data[start], data[start + 1], start + 2
            if length > _SHORT_LIMIT:
                if length & _MASKED:
                    self._fault()
                    return
                body += 2 if length == _MEDIUM else 8
                length = int.from_bytes(data[start + 2 : body], "big")
            end = body + length
            if end > size:
                break
            if first == TEXT:
                see(position(data[body:end]), now)
            elif not self._take_control(first, data[body:end]):
                return
            start = end
        self._early = data[start:]
        if len(self._early) > _FRAME_LIMIT:
            self._fault()

    def _take_control(self, first: int, payload: bytes) -> bool:
        """Answer a control frame; return whether the connection goes on."""
        if first == PING:
            self._write(PONG, payload)
        elif first == CLOSE:
            self.close()
            self.is_open = False
        elif first != PONG:
            self._fault()
        return self.is_open

    def _fault(self) -> None:
        self.is_open = False
        self.abort()
