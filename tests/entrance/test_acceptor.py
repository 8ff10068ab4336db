"""Connections that are taken by the process itself, on real sockets.

Covers: greenroom.entrance.in_clear
"""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom.entrance import acceptor as module
from greenroom.entrance.acceptor import Acceptor, Entrance
from greenroom.entrance.dev_certificate import dev_certificate
from greenroom.entrance.in_clear import InClear
from greenroom.messaging.deadlines import Deadlines
from greenroom.messaging.turns import Turns
from greenroom.network.addresses import Networks, packed
from greenroom.network.forwarded import TrustedProxies
from greenroom.network.visitors import Visit, VisitorLimits, Visitors
from greenroom.process import steps
from greenroom.protocol.errors import TLS_ONLY
from greenroom.telemetry.metrics import Metrics
from greenroom.tls.keys import Times, TlsKeys
from tests.stand_ins.stage import Stage, settle, stage

PLAIN = Entrance(keys=None, proxy_protocol=False, handshake_seconds=60)
BEHIND = msgspec.structs.replace(PLAIN, proxy_protocol=True)
HERE = packed("127.0.0.1")
PATIENCE = 20


class Served(asyncio.Protocol):
    """A connection that came through, and what it sent."""

    def __init__(self, port: "Port", visit: Visit) -> None:
        self.port, self.visit = port, visit
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.visit.is_held = True
        self.port.served.append(self)
        self.port.came.set()

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.port.came.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.port.made.visitors.leave(self.visit)


class Port:
    """An acceptor that listens, and who came through."""

    def __init__(self, made: Stage, entrance: Entrance) -> None:
        self.made = made
        self.served: list[Served] = []
        self.came = asyncio.Event()
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.acceptor = Acceptor(
            self.listening, entrance, lambda visit: Served(self, visit), made.acceptors
        )

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect."""
        return await asyncio.open_connection(*self.listening.getsockname())

    async def until(self, data: bytes) -> Served:
        """Wait until the last one that came has sent this; return it."""
        async with asyncio.timeout(PATIENCE):
            while not self.served or self.served[-1].data != data:
                self.came.clear()
                await self.came.wait()
        return self.served[-1]


@contextlib.asynccontextmanager
async def port(
    entrance: Entrance = PLAIN, *, trusted: str = "127.0.0.1", **limits: int
) -> AsyncIterator[Port]:
    """Accept on a free port; at the end nobody may be left."""
    async with stage() as made:
        made.visitors = Visitors(
            VisitorLimits(**limits), TrustedProxies(Networks([trusted]), proto=False)
        )
        opened = Port(made, entrance)
        opened.acceptor.start()
        with opened.listening:
            yield opened
            opened.acceptor.stop()
        for each in opened.served:
            assert isinstance(each.transport, asyncio.Transport)
            each.transport.abort()
        await until(lambda: not (made.visitors.total or opened.acceptor._entering))


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


async def gone(reader: asyncio.StreamReader) -> bytes:
    """Return what still comes until the other side has closed or reset the connection."""
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def test_who_comes_in() -> None:
    """A connection is its peer's, and not kept among those that are coming once it is through."""
    async with port(trusted="10.0.0.1") as opened:
        _, writer = await opened.client()
        writer.write(b"GET")
        served = await opened.until(b"GET")
        assert served.visit.address == HERE
        assert not served.visit.is_relayed
        await settle()
        assert not opened.acceptor._entering
        writer.close()


async def test_who_is_refused() -> None:
    """The connection is closed before it costs anything, and the next one is looked at."""
    async with port(connections=1) as opened:
        pairs = [await opened.client() for _ in range(3)]
        assert [await gone(reader) for reader, _ in pairs[1:]] == [b"", b""]
        assert len(opened.served) == opened.made.visitors.total == 1
        for _, writer in pairs:
            writer.close()


@pytest.mark.parametrize("end", ["another comes", "stop"])
async def test_who_dawdles_is_let_go(end: str) -> None:
    """Who has not come through makes place for others, and waits for nothing at the end."""
    async with port(BEHIND, unfinished=1) as opened:
        reader, writer = await opened.client()
        await until(lambda: bool(opened.acceptor._entering))
        if end == "stop":
            opened.acceptor.stop()
        else:
            _, other = await opened.client()
            other.write(b"PROXY UNKNOWN\r\nx")
            await opened.until(b"x")
            other.close()
        assert await gone(reader) == b""
        writer.close()


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("header", "address", "relayed"),
    [
        (b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 443\r\n", "192.0.2.1", False),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1", True),
    ],
)
async def test_a_proxy_header(header: bytes, address: str, relayed: bool, whole: bool) -> None:
    """It is taken, however it comes, and not a byte of what follows."""
    async with port(BEHIND) as opened:
        _, writer = await opened.client()
        for part in [header + b"GET"] if whole else [header[:9], header[9:20], header[20:] + b"GE"]:
            writer.write(part)
            await asyncio.sleep(0.03)  # time for a look at a part
        if not whole:
            writer.write(b"T")
        served = await opened.until(b"GET")
        assert (served.visit.address, served.visit.is_relayed) == (packed(address), relayed)
        writer.close()


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n", b"", b"PROXY\r\n", b"PROXY TCP4 192.0.2.1 "]
)
async def test_no_proxy_header(sent: bytes) -> None:
    """A connection that begins otherwise is closed, as one that ends before."""
    async with port(BEHIND) as opened:
        reader, writer = await opened.client()
        writer.write(sent)
        writer.write_eof()
        with capture_logs() as logs:
            assert await gone(reader) == b""
        assert opened.served == []
        told = [(each["event"], each["error"]) for each in logs]
        assert told == [("connection did not begin", "ProxyFault")]
        writer.close()


@pytest.mark.parametrize(("entrance", "trusted"), [(BEHIND, "10.0.0.1"), (PLAIN, "127.0.0.1")])
async def test_a_header_that_is_not_looked_for(entrance: Entrance, trusted: str) -> None:
    """Only trusted proxies send one, and only where the settings say so."""
    header = b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 443\r\n"
    async with port(entrance, trusted=trusted) as opened:
        _, writer = await opened.client()
        writer.write(header)
        assert (await opened.until(header)).visit.address == HERE
        writer.close()


async def test_who_takes_too_long() -> None:
    """A connection that does not come through in time is closed."""
    async with port(msgspec.structs.replace(BEHIND, handshake_seconds=0.01)) as opened:
        reader, writer = await opened.client()
        assert await gone(reader) == b""
        writer.close()


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """Return a server's context, and the certificate to trust."""
    certificate, key = dev_certificate(tmp_path_factory.mktemp("tls"), "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


def encrypting(context: ssl.SSLContext, metrics: Metrics, **times: float) -> Entrance:
    """Return an entrance with TLS."""
    keys = TlsKeys(
        context,
        wait_turn=Turns().wait,
        after=Deadlines().after,
        seconds=Times(**{"handshake": PATIENCE, "close": PATIENCE, "linger": PATIENCE, **times}),
        in_clear=InClear(metrics),
    )
    return msgspec.structs.replace(PLAIN, keys=keys)


async def test_tls(certified: tuple[ssl.SSLContext, Path]) -> None:
    """What comes over TLS is given on in clear, to one who is told what encrypts it."""
    context, trusted = certified
    metrics = Metrics()
    async with port(encrypting(context, metrics)) as opened:
        trusting = ssl.create_default_context(cafile=str(trusted))
        _, writer = await asyncio.open_connection(
            *opened.listening.getsockname(), ssl=trusting, server_hostname="localhost"
        )
        writer.write(b"GET")
        served = await opened.until(b"GET")
        assert served.transport.get_extra_info("sslcontext") is context
        assert not opened.acceptor._shaking
        writer.close()
        assert metrics.registry.get_sample_value(*BAD_REQUESTS) == 0


BAD_REQUESTS = (
    "greenroom_control_requests_total",
    {"operation": "unknown", "status": "400"},
)


@pytest.mark.parametrize("ends", [True, False])
async def test_a_request_in_clear(certified: tuple[ssl.SSLContext, Path], ends: bool) -> None:
    """It is told what the port speaks, in clear, and read for a moment; then it is over."""
    metrics = Metrics()
    async with port(encrypting(certified[0], metrics, linger=PATIENCE if ends else 0.01)) as opened:
        reader, writer = await opened.client()
        writer.write(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n" + b"x" * 100_000)
        if ends:
            writer.write_eof()
        head, _, body = (await gone(reader)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"connection: close" in head
        assert msgspec.json.decode(body)["message"] == TLS_ONLY
        assert opened.served == []
        await until(lambda: not opened.made.visitors.total)
        assert metrics.registry.get_sample_value(*BAD_REQUESTS) == 1
        writer.close()


@pytest.mark.parametrize("end", ["silence", "garbage", "stop", "leaves"])
async def test_a_handshake_that_does_not_end(
    certified: tuple[ssl.SSLContext, Path], end: str
) -> None:
    """Whoever does not come through is let go, and leaves no trace."""
    seconds = 0.01 if end == "silence" else PATIENCE
    async with port(encrypting(certified[0], Metrics(), handshake=seconds)) as opened:
        reader, writer = await opened.client()
        await until(lambda: bool(opened.acceptor._shaking) or end == "silence")
        if end == "garbage":
            writer.write(b"\x16\x03\x01" + b"\xff" * 60_000)
        elif end == "stop":
            opened.acceptor.stop()
        elif end == "leaves":
            writer.close()
        if end != "leaves":
            await gone(reader)
            writer.close()
        await until(lambda: not (opened.made.visitors.total or opened.acceptor._shaking))
        assert opened.served == []


@pytest.mark.parametrize("at_once", [True, False])
async def test_who_dawdles_in_a_handshake_makes_place(
    certified: tuple[ssl.SSLContext, Path], at_once: bool
) -> None:
    """Also who was accepted in the same turn of the loop as the one who needs it."""
    async with port(encrypting(certified[0], Metrics()), unfinished=1) as opened:
        loop, address = asyncio.get_running_loop(), opened.listening.getsockname()
        with socket.create_connection(address) as first:
            first.setblocking(False)
            if not at_once:
                await until(lambda: bool(opened.acceptor._shaking))
            with socket.create_connection(address):
                async with asyncio.timeout(PATIENCE):
                    with contextlib.suppress(ConnectionError):
                        assert await loop.sock_recv(first, 1) == b""
                await until(lambda: len(opened.acceptor._shaking) == 1)
                assert opened.made.visitors.total == 1


@pytest.mark.parametrize("encrypted", [True, False])
async def test_a_socket_that_the_loop_does_not_take(
    certified: tuple[ssl.SSLContext, Path], encrypted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is closed, and nothing is left of it."""
    entrance = encrypting(certified[0], Metrics()) if encrypted else PLAIN
    async with port(entrance) as opened:
        refusing = mock.AsyncMock(side_effect=OSError(errno.EBADF, "gone"))
        monkeypatch.setattr(asyncio.get_running_loop(), "connect_accepted_socket", refusing)
        reader, writer = await opened.client()
        assert await gone(reader) == b""
        await until(lambda: not opened.made.visitors.total)
        assert refusing.await_count == 1
        assert (opened.served, opened.acceptor._shaking) == ([], set())
        writer.close()


@pytest.mark.parametrize(
    ("number", "waits", "shortages", "lines"),
    [
        (errno.EMFILE, True, 1, 0),
        (errno.ENFILE, True, 1, 0),
        (errno.ENOBUFS, True, 0, 1),
        (errno.ENOMEM, True, 0, 1),
        (errno.EAGAIN, False, 0, 0),
        (errno.ECONNABORTED, False, 0, 0),
        (None, False, 0, 0),
    ],
)
@pytest.mark.parametrize("stopped", [True, False])
async def test_what_cannot_be_accepted(
    number: int | None,
    waits: bool,
    shortages: int,
    lines: int,
    stopped: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the machine has nothing left, that is told, and tried again; else nobody is there."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    error = OSError() if number is None else OSError(number, os.strerror(number))
    async with stage() as made, port() as opened:
        listening = mock.Mock(wraps=opened.listening)
        listening.accept.side_effect = error
        opened.acceptor._listening = listening
        opened.acceptor._descriptors = made.descriptors
        with mock.patch.object(opened.acceptor._logger, "write") as writing:
            opened.acceptor._accept()
        assert (made.descriptors.shortages, writing.call_count) == (shortages, lines)
        assert (opened.acceptor._retry is not None) is waits
        if stopped and opened.acceptor._retry is not None:
            opened.acceptor.stop()
            assert opened.acceptor._retry.cancelled()
            return
        # It does not answer while it waits, and does afterwards.
        opened.acceptor._listening = opened.listening
        _, writer = await opened.client()
        writer.write(b"x")
        await opened.until(b"x")
        writer.close()


async def test_a_connection_that_crashes_ends_alone() -> None:
    """A fault with one connection closes it, and the acceptor goes on with the next."""
    served: list[Visit] = []
    both = asyncio.Event()

    def protocol(visit: Visit) -> asyncio.Protocol:
        served.append(visit)
        if len(served) == 1:
            raise RuntimeError("a fault of ours")
        both.set()
        return asyncio.Protocol()

    async with stage() as made:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            acceptor = Acceptor(listening, PLAIN, protocol, made.acceptors)
            acceptor.start()
            with capture_logs() as logs, socket.socket() as first, socket.socket() as second:
                for client in (first, second):
                    client.setblocking(False)
                    await loop.sock_connect(client, listening.getsockname())
                assert await loop.sock_recv(first, 1) == b""
                async with asyncio.timeout(20):
                    await both.wait()
            acceptor.stop()
        (crash,) = [each for each in logs if each["event"] == "connection crashed"]
        assert crash["address"] == "127.0.0.1"
        assert made.visitors.total == 1


@pytest.mark.parametrize(("seconds", "accepted"), [(3600.0, 1), (0.0, 3)])
async def test_a_flood_waits_for_its_turn(
    seconds: float, accepted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the visitors say so nobody is accepted for that long; else all that are there are."""
    served: list[Visit] = []
    enough = asyncio.Event()

    def protocol(visit: Visit) -> asyncio.Protocol:
        served.append(visit)
        if len(served) == accepted:
            enough.set()
        return asyncio.Protocol()

    async with stage() as made:
        monkeypatch.setattr(made.visitors, "delay", lambda _: seconds)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            clients = [socket.create_connection(listening.getsockname()) for _ in range(3)]
            acceptor = Acceptor(listening, PLAIN, protocol, made.acceptors)
            acceptor.start()
            async with asyncio.timeout(20):
                await enough.wait()
            await settle()
            assert len(served) == accepted
            assert (acceptor._retry is not None) is bool(seconds)
            acceptor.stop()
            for client in clients:
                client.close()


@pytest.mark.parametrize(
    ("encrypted", "behind", "in_a_task"),
    [(False, False, True), (False, True, True), (True, False, False), (True, True, True)],
)
async def test_who_comes_in_without_a_task(
    monkeypatch: pytest.MonkeyPatch, encrypted: bool, behind: bool, in_a_task: bool
) -> None:
    """Whoever is encrypted from the first byte on: nothing is waited for that has a limit."""
    begun, tasks = mock.Mock(), mock.Mock()
    keys: Any = mock.Mock() if encrypted else None
    entrance = Entrance(keys=keys, proxy_protocol=behind, handshake_seconds=60)
    async with stage() as made:
        opened = Port(made, entrance)
        opened.listening.close()
        made.visitors.proxies = TrustedProxies(Networks(["127.0.0.1"]), proto=False)
        opened.acceptor._visitors = made.visitors
        monkeypatch.setattr(opened.acceptor, "_enter", mock.Mock(return_value="entering"))
        monkeypatch.setattr(steps, "begin", begun)
        monkeypatch.setattr(opened.acceptor, "_tasks", tasks)
        visit = made.visitors.enter(HERE, 0)
        opened.acceptor._begin(mock.Mock(), visit)
        made.visitors.leave(visit)
    expected = [mock.call("entering")]
    assert begun.mock_calls == ([] if in_a_task else expected)
    assert tasks.create_task.mock_calls[:1] == (expected if in_a_task else [])
