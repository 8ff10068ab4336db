"""Rooms over TLS whose viewers change their keys, while the fan-out encrypts for all of them.

Covers: greenroom.messaging.sealed
"""

import asyncio
import contextlib
import json
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.running.service import Service, running
from tests.running.wire import PATIENCE

VIEWERS = 40
"""Enough for one system call to write to all of them, where there is one."""

OPENSSL = shutil.which("openssl")


class Client:
    """`openssl s_client`, which changes its keys when it is told to."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._seen = b""

    async def write(self, data: bytes) -> None:
        """Send bytes, or a command of its own where they are one."""
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    async def until(self, text: bytes) -> None:
        """Read until a text has come, and forget what was before its end."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while text not in self._seen:
                piece = await self._process.stdout.read(65_536)
                assert piece, self._seen
                self._seen += piece
        self._seen = self._seen.partition(text)[2]


@contextlib.asynccontextmanager
async def upgraded(service: Service, room: str) -> AsyncIterator[Client]:
    """Give openssl's client, in the room."""
    assert OPENSSL is not None
    host = service.api_url.removeprefix("https://")
    process = await asyncio.create_subprocess_exec(
        OPENSSL,
        *("s_client", "-connect", host, "-CAfile", service.ready["certificate_to_trust"]),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        client = Client(process)
        token = await asyncio.to_thread(service.token, room, "openssl")
        await client.write(
            f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Protocol: {token}\r\n\r\n".encode()
        )
        await client.until(b"HTTP/1.1 101 ")
        yield client
    finally:
        process.kill()
        await process.wait()


@pytest.mark.skipif(OPENSSL is None, reason="needs the command openssl")
@pytest.mark.parametrize("io_uring", ["auto", "off"])
async def test_a_viewer_changes_its_keys(tmp_path: Path, io_uring: str) -> None:
    """Its service answers in the middle of everybody's records, and nobody misses anything."""
    with running(tmp_path / "data", "--dev-tls", GREENROOM_IO_URING=io_uring) as service:
        room = service.boto3().create_room(maximumMessageRatePerSecond=100)["arn"]
        context = ssl.create_default_context(cafile=service.ready["certificate_to_trust"])
        async with contextlib.AsyncExitStack() as stack:
            first = await stack.enter_async_context(upgraded(service, room))
            tokens = [service.token(room, f"user{number}") for number in range(VIEWERS)]
            viewers = [
                await stack.enter_async_context(
                    connect(service.websocket_url, ssl=context, subprotocols=[Subprotocol(token)])
                )
                for token in tokens
            ]
            for number in range(4):
                # "K": change the keys, and ask the service to change its own.
                await first.write(b"K\n")
                await first.until(b"KEYUPDATE")
                text = f"message {number}"
                await viewers[-1].send(json.dumps({"Action": "SEND_MESSAGE", "Content": text}))
                await first.until(f'"Content":"{text}"'.encode())
                async with asyncio.timeout(PATIENCE):
                    heard = [json.loads(await each.recv())["Content"] for each in viewers]
                assert heard == [text] * VIEWERS
