"""The one port: which requests reach whom, and how those are refused that reach nobody."""

import asyncio
import contextlib
import gc
import socket
import time
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any
from unittest import mock

import msgspec
import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from greenroom.entrance import http_connection as module
from greenroom.entrance.http_connection import HELD_BYTES, PARTS_AT_ONCE, HeadLimits, HttpConnection
from greenroom.network.addresses import Networks, packed
from greenroom.network.forwarded import TrustedProxies
from greenroom.network.visitors import Visitors
from greenroom.protocol.pieces import CHUNKED_BYTES
from greenroom.telemetry.metrics import UNREAD
from greenroom.tls.transport import TlsTransport
from tests.running.wire import token_line, upgrade_bytes
from tests.stand_ins.stage import Stage, Transport, action, frames_of, settle, stage, token

LIMITS = HeadLimits(size=2048, count=10, seconds=60)
REQUEST = b"GET /path HTTP/1.1\r\nhost: h\r\n\r\n"
UPGRADE = upgrade_bytes(token_line("TOKEN"), path=b"/any/path").replace(
    b"Connection: Upgrade", b"Connection: keep-alive, Upgrade"
)


class Port:
    """A connection on a loopback socket, and the requests that the application saw."""

    def __init__(self, made: Stage, limits: HeadLimits) -> None:
        self.made = made
        self.limits = limits
        self.seen: list[tuple[str, bytes, bytes]] = []
        self.scopes: list[Any] = []
        self.connections: list[HttpConnection] = []
        self.address: tuple[str, int] = ("", 0)
        self.waiting = asyncio.Event()
        self.hold = asyncio.Event()
        self.hold.set()
        self.config = Config(
            self.application,
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
        )
        self.config.load()

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer every request with its body."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.seen.append((scope["method"], scope["raw_path"], body))
        self.scopes.append(scope)
        self.waiting.set()
        await self.hold.wait()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def accept(self) -> HttpConnection:
        """Make the protocol of one connection."""
        visit = self.made.visitors.enter(packed("127.0.0.1"), 0)
        made = HttpConnection(
            self.made.entrance, self.limits, self.config, ServerState(), {}, visit=visit
        )
        self.connections.append(made)
        return made

    async def exchange(self, *parts: bytes) -> tuple[int, bytes]:
        """Send parts, one read of the server each; return status and rest until the close."""
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.005)
            data = await reader.read()
        finally:
            writer.close()
        head, _, rest = data.partition(b"\r\n\r\n")
        return int(head.split()[1]), rest


@contextlib.asynccontextmanager
async def port(limits: HeadLimits = LIMITS) -> AsyncIterator[Port]:
    """Listen on a free port."""
    async with stage() as made:
        opened = Port(made, limits)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(opened.accept, "127.0.0.1", 0)
        opened.address = server.sockets[0].getsockname()[:2]
        yield opened
        server.close()
        made.hub.drain()
        for connection in opened.connections:
            connection.transport.abort()
        await server.wait_closed()
        await until(lambda: made.visitors.total == 0)


def refusal(body: bytes) -> str:
    """Return the message of a refusal, which is a JSON error."""
    decoded = msgspec.json.decode(body)
    assert decoded["__type"] == "ValidationException"
    return str(decoded["message"])


@pytest.mark.parametrize(
    ("trusted", "client", "scheme"),
    [
        (["127.0.0.1"], "192.0.2.1", "https"),
        (["10.0.0.0/8"], "127.0.0.1", "http"),
        ([], "127.0.0.1", "http"),
    ],
)
async def test_trusted_proxies_name_the_client(
    trusted: list[str], client: str, scheme: str
) -> None:
    """The application sees the client that a trusted proxy names, and nobody else's word."""
    async with port() as opened:
        visitors = Visitors(proxies=TrustedProxies(Networks(trusted), proto=True))
        opened.made.visitors = visitors
        await opened.exchange(
            b"GET / HTTP/1.1\r\nhost: h\r\nx-forwarded-for: 203.0.113.1, 192.0.2.1\r\n"
            b"x-forwarded-proto: https\r\nconnection: close\r\n\r\n"
        )
        (scope,) = opened.scopes
        assert (scope["client"], scope["scheme"]) == ((client, 0), scheme)


@pytest.mark.parametrize("proto", [False, True])
@pytest.mark.parametrize("relayed", [False, True])
async def test_what_is_believed(proto: bool, relayed: bool) -> None:
    """A scheme is, of proxies that write it; nothing is of a connection that they only relay."""
    async with port() as opened:
        visitors = Visitors(proxies=TrustedProxies(Networks(["127.0.0.1"]), proto=proto))
        opened.made.visitors = visitors
        connection, transport = opened.accept(), Transport()
        connection._visit.is_relayed = relayed
        connection.connection_made(transport)
        connection.data_received(
            b"GET / HTTP/1.1\r\nhost: h\r\nx-forwarded-for: 192.0.2.1\r\n"
            b"x-forwarded-proto: https\r\n\r\n"
        )
        await opened.waiting.wait()
        (scope,) = opened.scopes
        client = "127.0.0.1" if relayed else "192.0.2.1"
        assert (scope["client"][0], scope["scheme"] == "https") == (client, proto and not relayed)
        connection.connection_lost(None)


@pytest.mark.parametrize(
    "head",
    [
        b"GET http://other/ HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nHost: other\r\n\r\n",
        b"CONNECT h:80 HTTP/1.1\r\nhost: h:80\r\n\r\n",
        UPGRADE.replace(b"/any/path", b"http://other/any/path"),
        UPGRADE.replace(b"Host: localhost\r\n", b"Host: localhost\r\nHost: other\r\n"),
    ],
)
async def test_requests_for_somebody_else(head: bytes) -> None:
    """A request whose target and `Host` do not agree is refused, as an upgrade, too."""
    async with port() as opened:
        status, body = await opened.exchange(head)
        assert status == 400
        assert "Host" in refusal(body)
        assert opened.seen == []


async def test_a_target_in_absolute_form() -> None:
    """A URL with the authority that `Host` names is the request for its path."""
    async with port() as opened:
        head = b"GET http://H:80/path HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
        assert (await opened.exchange(head))[0] == 200
        assert opened.seen == [("GET", b"/path", b"")]


async def test_requests_reach_the_application() -> None:
    """Requests are served one after another on a connection, in whatever pieces they come."""
    post = b"POST /a%2Fb HTTP/1.1\r\nhost:\r\ncontent-length: 4\r\n\r\nbody"
    last = b"GET /last HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
    async with port() as opened:
        status, _ = await opened.exchange(
            *(post[at : at + 5] for at in range(0, len(post), 5)), last
        )
        assert status == 200
        assert opened.seen == [("POST", b"/a%2Fb", b"body"), ("GET", b"/last", b"")]


@pytest.mark.parametrize(
    "request_head",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["nonsense", "version", "header", "length", "tls"],
)
async def test_malformed_requests(request_head: bytes) -> None:
    """What is not HTTP/1.1 is answered with a 400 in JSON, and the connection closed."""
    async with port() as opened:
        status, body = await opened.exchange(request_head)
        assert (status, refusal(body)) == (400, "The request is not valid HTTP/1.1")
        assert opened.seen == []


@pytest.mark.parametrize(
    "parts",
    [
        [b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\n\r\n"],
        [b"GET / HTTP/1.1\r\na: " + b"x" * 3000 + b"\r\n\r\n"],
        [b"GET / HTTP/1.1\r\n", b"x" * 3000],
        [b"GET / HTTP/1.1\r\na: ", *[b"x" * 500] * 6],
        [b"GET / HTTP/1.1\r\n", *[b"a: b\r\n"] * 13],
        [b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 11 + b"\r\n"],
        [b"GET / HTTP/1.1\r\n" + b"upgrade: websocket\r\nconnection: upgrade\r\n" * 6 + b"\r\n"],
    ],
    ids=["line", "header", "unfinished", "endless", "slow-count", "count", "upgrade"],
)
async def test_too_large_heads(parts: list[bytes]) -> None:
    """A head of too many bytes or headers is a 431, as soon as it is, however it arrives."""
    async with port() as opened:
        status, body = await opened.exchange(*parts)
        assert (status, refusal(body)) == (431, "The request line and headers are too large")
        assert opened.seen == []


async def test_largest_head() -> None:
    """A head just below both bounds passes, also in two reads."""
    headers = b"".join(b"h%d: %s\r\n" % (number, b"x" * 180) for number in range(8))
    head = b"GET / HTTP/1.1\r\nhost: h\r\n" + headers + b"connection: close\r\n\r\n"
    async with port() as opened:
        assert (await opened.exchange(head))[0] == 200
        assert (await opened.exchange(head[:1500], head[1500:]))[0] == 200
        assert len(opened.seen) == 2


@pytest.mark.parametrize(
    "parts", [[], [b"GET / HTTP/1.1\r\nhost"], [REQUEST, b"GET"]], ids=["idle", "begun", "second"]
)
async def test_slow_heads(parts: list[bytes]) -> None:
    """A head that does not end in time is a 408, on a new connection and on a kept one."""
    async with port(HeadLimits(size=2048, count=10, seconds=0.03)) as opened:
        status, rest = await opened.exchange(*parts)
        if parts == [REQUEST, b"GET"]:
            assert status == 200
            rest = rest.partition(b"\r\n\r\n")[2]
        else:
            assert status == 408
        assert refusal(rest) == "The request headers took too long"


async def test_upgrades_reach_the_messaging_plane() -> None:
    """An upgrade, and frames that came with it, go to the room; the application sees nothing."""
    head = UPGRADE.replace(b"TOKEN", token().encode())
    async with port() as opened:
        reader, writer = await asyncio.open_connection(*opened.address)
        writer.write(head + action(Content="early", RequestId="r"))
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 ")
        start = await reader.readexactly(4)
        data = start + await reader.readexactly(int.from_bytes(start[2:], "big"))
        ((_, payload),) = frames_of([data])
        assert msgspec.json.decode(payload)["Content"] == "early"
        assert opened.made.hub.connections == 1
        assert opened.connections[0]._deadline is None
        assert opened.seen == []
        writer.close()


async def test_refused_upgrade() -> None:
    """An upgrade without a token is refused by the messaging plane, in JSON."""
    head = b"GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    async with port() as opened:
        status, body = await opened.exchange(head)
        assert (status, msgspec.json.decode(body)["ErrorCode"]) == (426, 426)


@pytest.mark.parametrize(
    ("lost", "missing"),
    [
        ((b"Connection: keep-alive, Upgrade\r\n",), "Connection: upgrade"),
        ((b"Upgrade: websocket\r\n",), "Upgrade: websocket"),
        (
            (b"Connection: keep-alive, Upgrade\r\n", b"Upgrade: websocket\r\n"),
            "Upgrade: websocket, Connection: upgrade",
        ),
        ((b"keep-alive, Upgrade",), "Connection: upgrade"),
        ((b"websocket\r",), "Upgrade: websocket"),
    ],
)
async def test_a_websocket_whose_upgrade_was_lost(lost: tuple[bytes, ...], missing: str) -> None:
    """What a proxy did not pass on is named, and is no fault of the token, which stays good."""
    head = UPGRADE.replace(b"TOKEN", token().encode())
    for line in lost:
        head = head.replace(line, b"" if line.endswith(b"\n") else b"close" + line[9:10])
    async with port() as opened:
        status, body = await opened.exchange(head)
        said = msgspec.json.decode(body)
        assert (status, said["Type"], said["ErrorCode"]) == (426, "ERROR", 426)
        assert said["ErrorMessage"].endswith(f". Missing: {missing}")
        refusals = opened.made.metrics.registry.get_sample_value
        assert refusals("greenroom_handshake_refusals_total", {"reason": "upgrade"}) == 1
        assert opened.seen == []


async def test_a_websocket_whose_connection_header_was_split() -> None:
    """A proxy that adds a `Connection` of its own does not take the client's away."""
    head = UPGRADE.replace(b"keep-alive, Upgrade", b"Upgrade\r\nConnection: keep-alive")
    async with port() as opened, connected(opened) as (reader, writer):
        writer.write(head.replace(b"TOKEN", token().encode()))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")


async def test_other_upgrades_are_requests() -> None:
    """Who asks for another protocol, as some clients do for HTTP/2, is served as usual."""
    head = b"GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n"
    async with port() as opened:
        assert (await opened.exchange(head))[0] == 200
        assert opened.seen == [("GET", b"/", b"")]


@contextlib.asynccontextmanager
async def connected(opened: Port) -> AsyncIterator[tuple[asyncio.StreamReader, Any]]:
    """Connect to the port."""
    reader, writer = await asyncio.open_connection(*opened.address)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_upgrade_behind_an_unanswered_request() -> None:
    """An upgrade that does not wait for the last answer comes after it, never in it."""
    async with port() as opened, connected(opened) as (reader, writer):
        opened.hold.clear()
        writer.write(REQUEST + UPGRADE.replace(b"TOKEN", token().encode()))
        await asyncio.wait_for(opened.waiting.wait(), 5)
        assert opened.made.hub.connections == 0
        opened.hold.set()
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert opened.made.hub.connections == 1


async def test_requests_that_do_not_wait_for_answers() -> None:
    """One read brings thousands: one is looked at, the others wait as bytes, and all are served."""
    count = HELD_BYTES // len(REQUEST)
    async with port() as opened, connected(opened) as (reader, writer):
        opened.hold.clear()
        writer.write(REQUEST * count)
        await asyncio.wait_for(opened.waiting.wait(), 5)
        (connection,) = opened.connections
        for _ in range(20):
            await asyncio.sleep(0)
            assert not connection.pipeline
            assert len(connection._held) <= HELD_BYTES
        assert len(opened.seen) == 1
        assert connection.flow.read_paused
        opened.hold.set()
        for _ in range(count):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        assert opened.seen == [("GET", b"/path", b"")] * count
        assert not connection._held
        assert not connection.flow.read_paused


async def test_too_many_requests_before_their_answers() -> None:
    """What has no place to wait is refused, after the answers to what came before."""
    async with port() as opened:
        status, rest = await opened.exchange(REQUEST * (HELD_BYTES // len(REQUEST) * 2))
        assert status == 200
        *_, last = rest.split(b"HTTP/1.1 ")
        assert last.startswith(b"400 ")
        assert refusal(last.partition(b"\r\n\r\n")[2]).startswith("Too many requests")
        assert len(opened.seen) < 2 * HELD_BYTES // len(REQUEST)


async def test_what_is_held_does_not_grow() -> None:
    """While answers are written one by one, no more is read than what has a place."""
    async with port() as opened, connected(opened) as (reader, writer):
        writer.write(REQUEST * 1000)
        for _ in range(4000):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            writer.write(REQUEST)
            assert len(opened.connections[0]._held) <= HELD_BYTES


async def test_nothing_is_kept_of_a_request_that_was_answered() -> None:
    """A connection that rests holds no head, whether its answer or its body ended first."""
    large = b"x-large: " + b"x" * 1500 + b"\r\n"
    requests = (
        REQUEST.replace(b"\r\n\r\n", b"\r\n" + large + b"\r\n"),
        CHUNKED.replace(b"host", large + b"host") + b"1\r\nx\r\n0\r\n\r\n",
    )
    async with port() as opened, connected(opened) as (reader, writer):
        for request in requests * 2:
            writer.write(request)
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0)
            (connection,) = opened.connections
            kept = (connection.headers, connection.url, connection.scope, connection.cycle.scope)
            assert not any(kept)
        await asyncio.sleep(0.01)
        writer.write(UPGRADE.replace(b"TOKEN", token().encode()))
        await reader.readuntil(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("cut", range(1, len(REQUEST), 5))
async def test_requests_cut_anywhere(cut: int) -> None:
    """Where reads end between requests and in them makes no difference."""
    last = b"GET /last HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
    chunked = (
        b"PUT /c HTTP/1.1\r\nhost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    )
    sent = (
        b"POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 7\r\n\r\n\r\n\r\nabc"
        + chunked
        + REQUEST
        + last
    )
    async with port() as opened:
        status, rest = await opened.exchange(
            *(sent[at : at + cut] for at in range(0, len(sent), cut))
        )
        assert (status, rest.count(b"HTTP/1.1 200 ")) == (200, 3)
        assert [path for _, path, _ in opened.seen] == [b"/a", b"/c", b"/path", b"/last"]
        assert [body for _, _, body in opened.seen] == [b"\r\n\r\nabc", b"ab", b"", b""]


CHUNKED = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("name", [b"authorization", b"Host", b"x-amz-date", b"connection", b"a"])
async def test_trailers(name: bytes) -> None:
    """Fields behind the body are refused: they would count as if they had come before it."""
    async with port() as opened:
        status, body = await opened.exchange(CHUNKED + b"0\r\n" + name + b": x\r\n\r\n")
        assert (status, refusal(body)) == (400, "A request must not have trailers")
        assert opened.scopes == [] or b"x" not in dict(opened.scopes[0]["headers"]).values()


@pytest.mark.parametrize(
    "end", [b"0\r\n" + b"x" * 3000, b"0\r\na: " + b"x" * 3000, b"1;a=" + b"x" * 3000, b"0" * 3000]
)
async def test_what_stands_around_chunks(end: bytes) -> None:
    """Whatever is no content of a body in chunks is bounded like a head, and refused at once."""
    async with port() as opened:
        status, body = await opened.exchange(CHUNKED + b"1\r\nx\r\n", end)
        assert status in {400, 431}
        assert refusal(body)


@pytest.mark.parametrize(
    "codings", [b"gzip, chunked", b"gzip\r\ntransfer-encoding: chunked", b"x,Chunked"]
)
async def test_a_coding_that_is_not_known(codings: bytes) -> None:
    """A body is never taken for plain that is coded otherwise; in chunks it may come."""
    async with port() as opened:
        head = CHUNKED.replace(b"chunked", codings)
        status, body = await opened.exchange(head + b"2\r\n{}\r\n0\r\n\r\n")
        assert status == 501
        assert refusal(body) == "Transfer-Encoding may be chunked, and no other coding"
        assert opened.seen == []


async def test_a_body_of_small_chunks() -> None:
    """Its frame is larger than the bound, and between two parts of the content it is not."""
    async with port() as opened:
        chunks = b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n"
        status, body = await opened.exchange(CHUNKED[:-2] + b"connection: close\r\n\r\n" + chunks)
        assert (status, body) == (200, b"x" * 5000)


async def test_small_chunks_take_turns() -> None:
    """One read brings thousands of chunks: a few are taken, and everybody else has a turn."""
    count = 10_000
    async with port() as opened:
        connection = opened.accept()
        connection.connection_made(Transport())
        connection.data_received(CHUNKED + b"1\r\nx\r\n" * count + b"0\r\n\r\n")
        rounds, left = 0, count * 6
        while connection._held:
            assert connection.flow.read_paused
            assert left - len(connection._held) < 2 * 6 * PARTS_AT_ONCE
            rounds, left = rounds + 1, len(connection._held)
            await asyncio.sleep(0)
        await until(lambda: bool(opened.seen))
        assert rounds > count // (2 * PARTS_AT_ONCE)
        assert opened.seen == [("POST", b"/", b"x" * count)]
        assert not connection.flow.read_paused
        connection.connection_lost(None)


async def test_small_chunks_have_no_more_time() -> None:
    """What waits for its turn does not make the time longer that a body may take."""
    async with port() as opened:
        connection, transport = opened.accept(), Transport()
        connection.connection_made(transport)
        connection.data_received(CHUNKED + b"1\r\nx\r\n" * 10_000)
        assert connection._held
        connection.too_slow("body")
        assert transport.written[0].startswith(b"HTTP/1.1 408 ")
        connection.connection_lost(None)


async def test_requests_behind_a_body_in_chunks() -> None:
    """Of these a few begin in one piece: all are answered in order."""
    last = b"GET /last HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
    many = b"GET /n HTTP/1.1\r\nhost: h\r\n\r\n" * 100
    async with port() as opened:
        status, rest = await opened.exchange((CHUNKED + b"0\r\n\r\n") * 3 + many + last)
        assert (status, rest.count(b"HTTP/1.1 200 ")) == (200, 103)
        assert [path for _, path, _ in opened.seen] == [b"/"] * 3 + [b"/n"] * 100 + [b"/last"]


async def test_answers_that_nobody_reads() -> None:
    """A client that sends requests and reads no answer is let go of in time."""
    limits = HeadLimits(size=2048, count=10, seconds=0.1)
    post = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 30000\r\n\r\n" + bytes(30_000)
    async with port(limits) as opened:
        connection = socket.socket()
        with connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(connection, opened.address)

            async def send_on() -> None:
                for _ in range(2000):
                    await loop.sock_sendall(connection, post)
                    await asyncio.sleep(0.001)

            with pytest.raises(ConnectionError):
                await asyncio.wait_for(send_on(), 20)
        assert opened.made.visitors.total == 0


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", b"x\r\n\r\n"]
)
async def test_a_last_answer_that_nobody_reads(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is to end with its answer does not wait for ever to be rid of it."""
    monkeypatch.setattr("greenroom.entrance.http_connection.LINGER_SECONDS", 0.05)
    async with port(HeadLimits(size=2048, count=10, seconds=0.05)) as opened:
        connection, transport = opened.accept(), Unread()
        connection.connection_made(transport)
        connection.data_received(sent)
        await asyncio.wait_for(transport.gone.wait(), 10)
        connection.connection_lost(None)


@pytest.mark.parametrize("sent", [REQUEST, REQUEST * 50, (CHUNKED + b"0\r\n\r\n") * 50, b"GET /"])
@pytest.mark.parametrize("error", [None, ConnectionResetError()])
async def test_a_connection_that_ended_is_freed_at_once(
    sent: bytes, error: Exception | None
) -> None:
    """Nothing of it waits for the collector of garbage, whatever was left to do."""
    async with port() as opened:
        opened.hold.clear()
        connection = opened.accept()
        connection.connection_made(Transport())
        gc.collect()
        gc.disable()
        try:
            connection.data_received(sent)
            await settle()
            connection.connection_lost(error)
            opened.hold.set()
            ended = weakref.ref(connection)
            del connection
            opened.connections.clear()
            await settle()
            assert ended() is None
        finally:
            gc.enable()


async def test_clients_that_go_with_requests_unanswered() -> None:
    """Over a socket, too, nothing is left of a client that did not wait for its answers."""
    async with port() as opened:
        opened.hold.clear()
        async with connected(opened) as (_, writer):
            writer.write(REQUEST * 2000)
            await asyncio.wait_for(opened.waiting.wait(), 5)
        connections = [weakref.ref(each) for each in opened.connections]
        opened.connections.clear()
        gc.collect()
        gc.disable()
        try:
            opened.hold.set()
            await until(lambda: connections[0]() is None)
        finally:
            gc.enable()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


class Unread(Transport):
    """A transport whose peer takes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.gone = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.written))

    def abort(self) -> None:
        super().abort()
        self.gone.set()


async def test_answers_wait_for_a_peer_that_does_not_read() -> None:
    """While the transport holds bytes the application waits, and goes on when they are gone."""
    async with port() as opened:
        connection = opened.accept()
        connection.connection_made(Transport())
        for paused in (True, False, True):
            (connection.pause_writing if paused else connection.resume_writing)()
            assert connection.flow.write_paused is paused
            assert (connection._unread is not None) is paused
        unread = connection._unread
        assert unread is not None
        connection.connection_lost(None)
        assert unread.cancelled()


# ------------------------------------------------------------- step by step, without a socket


async def begun(opened: Port, data: bytes = b"") -> tuple[HttpConnection, Transport]:
    """Return a connection that has got some bytes, when the application had its turn."""
    connection, transport = opened.accept(), Transport()
    connection.connection_made(transport)
    if data:
        connection.data_received(data)
    await settle()
    return connection, transport


def counted(opened: Port, name: str, **labels: str) -> float | None:
    """Return what a metric says."""
    return opened.made.metrics.registry.get_sample_value(name, labels)


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
async def test_an_end_stops_every_timer(error: Exception | None) -> None:
    """Whatever a connection waits for, nothing of it is done when it has ended."""
    async with port() as opened:
        connection, _ = await begun(opened, REQUEST)
        resting = connection.timeout_keep_alive_task
        assert resting is not None
        connection.data_received(b"GET")
        connection.pause_writing()
        timers = [resting, connection._deadline, connection._unread]
        again, _ = await begun(opened, REQUEST)
        timers.append(again.timeout_keep_alive_task)
        for each in (connection, again):
            each.connection_lost(error)
            assert (each._deadline, each._unread) == (None, None)
            assert each.timeout_keep_alive_task is None
            assert (each._ended, each._held, each._part) == (True, b"", "")
        assert all(each is not None and each.cancelled() for each in timers)


async def test_a_request_that_begins_ends_the_rest() -> None:
    """However slowly it comes, the connection is not closed as one that nobody uses."""
    async with port() as opened:
        connection, _ = await begun(opened, REQUEST)
        resting = connection.timeout_keep_alive_task
        assert resting is not None
        connection.data_received(b"GET / HTTP/1.1\r\n")
        assert resting.cancelled()
        assert connection.timeout_keep_alive_task is None
        connection.connection_lost(None)


async def test_an_end_with_requests_that_wait() -> None:
    """They are forgotten, and the answer to the one before them is told to nobody."""
    async with port() as opened:
        opened.hold.clear()
        sent = CHUNKED + b"0\r\n\r\n" + b"GET / HTTP/1.0\r\n\r\n" * 2 + REQUEST * 20
        connection, _ = await begun(opened, sent)
        assert connection.pipeline
        assert connection._held
        connection.connection_lost(None)
        assert not connection.pipeline
        assert connection._held == b""
        assert vars(connection)["parser"] is None
        assert connection.cycle.on_response is module._nothing
        with mock.patch.object(type(connection).__mro__[1], "on_response_complete") as told:
            connection.on_response_complete()
        assert not told.called
        opened.hold.set()
        await settle()
        assert [path for _, path, _ in opened.seen] == [b"/"]


@pytest.mark.parametrize(("sent", "status"), [(b"nonsense\r\n\r\n", "400"), (b"", "408")])
async def test_nothing_is_read_after_a_refusal(sent: bytes, status: str) -> None:
    """It is answered once, counted once, and whatever comes then is nobody's."""
    async with port() as opened:
        connection, transport = await begun(opened, sent)
        if not sent:
            connection.too_slow("headers")
        connection.data_received(REQUEST)
        connection._answer(408, "again")
        await settle()
        assert len(transport.written) == 1
        assert opened.seen == []
        labels = {"operation": "unknown", "status": status}
        assert counted(opened, "greenroom_control_requests_total", **labels) == 1
        connection.connection_lost(None)


async def test_nothing_overtakes_what_is_held() -> None:
    """What comes before the turn of what is held is taken behind it."""
    async with port() as opened:
        connection, _ = await begun(opened)
        connection._held = REQUEST.replace(b"/path", b"/first")[:-2]
        connection.data_received(b"\r\n")
        connection.data_received(REQUEST)
        await settle()
        assert opened.seen == []
        connection._go_on()
        await settle(30)
        assert [path for _, path, _ in opened.seen] == [b"/first", b"/path"]
        connection.connection_lost(None)


async def test_what_closes_is_not_refused() -> None:
    """Nothing is written behind the end, nor counted."""
    async with port() as opened:
        connection, transport = await begun(opened)
        transport.closed = True
        connection.too_slow("headers")
        assert (transport.written, connection._refused) == ([], False)
        connection.connection_lost(None)


async def test_a_request_that_waits_is_the_last_that_is_read() -> None:
    """Nothing more is read until those that came in one piece are answered."""
    async with port() as opened:
        opened.hold.clear()
        made = [(await begun(opened, REQUEST * number))[0] for number in (1, 2)]
        paused = [each.flow.read_paused for each in made]
        opened.hold.set()
        await settle(30)
        paused += [each.flow.read_paused for each in made]
        assert paused == [False, True, False, False]
        for each in made:
            each.connection_lost(None)


@pytest.mark.parametrize("more", [0, 1])
async def test_as_much_as_may_wait(more: int) -> None:
    """So many bytes have a place; one more is refused, behind the answer that is waited for."""
    async with port() as opened:
        opened.hold.clear()
        connection, transport = await begun(opened, REQUEST)
        connection.data_received(b"x" * (HELD_BYTES - 10))
        assert connection.flow.read_paused
        connection.data_received(b"x" * (10 + more))
        assert len(connection._held) == (0 if more else HELD_BYTES)
        assert (transport.written, connection._refused) == ([], bool(more))
        if more:
            opened.hold.set()
            await settle()
            assert [each[:12] for each in transport.written] == [b"HTTP/1.1 200", b"HTTP/1.1 400"]
            assert (transport.ended, transport.reading) == (True, True)
        connection.connection_lost(None)


@pytest.mark.parametrize(("size", "status"), [(LIMITS.size, b"200"), (LIMITS.size + 1, b"431")])
async def test_the_largest_head_of_all(size: int, status: bytes) -> None:
    """It is as large as the bound says, and one byte more is refused."""
    start = b"GET / HTTP/1.1\r\nhost: h\r\nx: "
    async with port() as opened:
        head = start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"
        connection, transport = await begun(opened, head)
        assert transport.written[0].startswith(b"HTTP/1.1 " + status)
        assert len(opened.seen) == (status == b"200")
        connection.connection_lost(None)


async def test_a_share_is_so_many_parts() -> None:
    """After as many parts of a body everybody else has a turn, and not after one more piece."""
    chunk = b"3\r\nabc\r\n"
    assert CHUNKED_BYTES % len(chunk) == 0
    async with port() as opened:
        connection = opened.accept()
        connection.connection_made(Transport())
        connection.data_received(CHUNKED + chunk * 1000)
        assert len(connection._held) == len(chunk) * (1000 - PARTS_AT_ONCE)
        connection.connection_lost(None)


@pytest.mark.parametrize(("number", "refused"), [(2, False), (3, True)])
async def test_how_many_may_begin_behind_a_body(
    number: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond that a request is refused, when those before it are answered."""
    monkeypatch.setattr(module, "MOST_QUEUED", 2)
    async with port() as opened:
        opened.hold.clear()
        sent = CHUNKED + b"0\r\n\r\n" + b"GET / HTTP/1.1\r\nhost: h\r\n\r\n" * number
        connection, _ = await begun(opened, sent)
        assert (len(connection.pipeline), connection._refused) == (2, refused)
        assert bool(connection._farewell) is refused
        connection.connection_lost(None)


@pytest.mark.parametrize(
    ("expected", "told"), [(b"100-Continue", True), (b"200-ok", False), (None, False)]
)
async def test_a_client_that_waits_before_its_body(expected: bytes | None, told: bool) -> None:
    """It is told to go on when the application asks for the body."""
    expect = b"" if expected is None else b"Expect: " + expected + b"\r\n"
    async with port() as opened:
        head = b"POST / HTTP/1.1\r\nhost: h\r\n" + expect + b"content-length: 1\r\n\r\n"
        connection, transport = await begun(opened, head)
        assert transport.take() == ([b"HTTP/1.1 100 Continue\r\n\r\n"] if told else [])
        connection.data_received(b"x")
        await settle()
        assert transport.take()[0].startswith(b"HTTP/1.1 200 ")
        connection.connection_lost(None)


async def test_what_has_a_deadline() -> None:
    """Head and body have one from when they begin; what is whole has none."""
    async with port() as opened:
        loop = asyncio.get_running_loop()
        opened.hold.clear()
        visit = opened.made.visitors.enter(packed("127.0.0.1"), 0)
        connection = HttpConnection(
            opened.made.entrance, LIMITS, opened.config, ServerState(), {}, due=5.0, visit=visit
        )
        connection.connection_made(Transport())
        assert connection._deadline is not None
        assert connection._deadline.when() == 5.0
        head = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n"
        for data, timed in ((head, "body"), (b"x", "body"), (b"x", "")):
            before = connection._deadline
            connection.data_received(data)
            assert connection._timed == timed
            assert (connection._deadline is not None) is bool(timed)
            if data == head:
                assert connection._deadline is not None
                assert 59 < connection._deadline.when() - loop.time() <= 60
            elif timed:
                assert connection._deadline is before
        assert opened.made.visitors.unfinished == 0
        await settle()
        connection.data_received(REQUEST)
        connection.too_slow("headers")
        assert not connection._refused
        opened.hold.set()
        await settle()
        assert [path for _, path, _ in opened.seen] == [b"/", b"/path"]
        connection.connection_lost(None)


async def test_a_head_whose_rest_is_held() -> None:
    """It is not late as long as its turn has not come; then it has its time once more."""
    async with port() as opened:
        opened.hold.clear()
        connection, _ = await begun(opened, CHUNKED + b"0\r\n\r\nGET / HTTP/1.1\r\nhost")
        before = connection._deadline
        connection.data_received(b": h\r\n\r\n")
        assert (connection._timed, connection._held) == ("headers", b": h\r\n\r\n")
        connection.too_slow("headers")
        assert not connection._refused
        assert connection._deadline is not None
        assert connection._deadline is not before
        connection.connection_lost(None)


async def test_a_body_that_comes_with_the_end_of_another() -> None:
    """Each has its own time: that of the second begins with it."""
    async with port() as opened:
        opened.hold.clear()
        connection, _ = await begun(opened, CHUNKED + b"1\r\nx\r\n")
        before = connection._deadline
        connection.data_received(b"0\r\n\r\n" + CHUNKED + b"1\r\ny\r\n")
        assert (connection._timed, len(connection.pipeline)) == ("body", 1)
        assert connection._deadline is not None
        assert connection._deadline is not before
        connection.connection_lost(None)


@pytest.mark.parametrize("lost", [b"", b"connection: upgrade\r\n", b"sec-websocket-key: x\r\n"])
async def test_an_upgrade_that_comes_with_the_end_of_a_body(lost: bytes) -> None:
    """One that does not wait for the answer is refused behind it, whatever it lacks."""
    asks = b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: x\r\n\r\n"
    head = b"GET / HTTP/1.1\r\nhost: h\r\n" + asks.replace(lost, b"")
    async with port() as opened:
        opened.hold.clear()
        connection, transport = await begun(opened, CHUNKED + b"0\r\n\r\n" + head)
        assert transport.take() == []
        opened.hold.set()
        await settle()
        answer, refused, *_ = transport.take()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert refusal(refused.partition(b"\r\n\r\n")[2]) == (
            "An upgrade cannot be asked for before the last answer is there"
        )
        connection.connection_lost(None)


async def test_what_came_after_it_was_over() -> None:
    """A connection that has ended, was refused or closes takes nothing more from what it held."""
    async with port() as opened:
        for number in range(4):
            connection, transport = await begun(opened)
            connection._held = b"GET"
            connection._ended, connection._refused = number == 1, number == 2
            transport.closed = number == 3
            with mock.patch.object(connection, "_feed") as feeding:
                connection._go_on()
            assert feeding.called is (number == 0)
            connection.connection_lost(None)


@pytest.mark.parametrize("answered", [False, True])
async def test_a_body_that_breaks(answered: bool) -> None:
    """The application is told that nothing more comes; an answer that it gave is the only one."""
    async with port() as opened:
        connection, transport = await begun(opened, CHUNKED + b"1\r\nx\r\n")
        if answered:
            await connection.cycle.send({"type": "http.response.start", "status": 200})
            await connection.cycle.send({"type": "http.response.body", "body": b""})
            transport.take()
        connection.data_received(b"nonsense\r\n")
        assert connection.cycle.disconnected
        assert connection.cycle.message_event.is_set()
        refusals = [each[:12] for each in transport.take() if each]
        assert refusals == ([] if answered else [b"HTTP/1.1 400"])
        assert (transport.ended, transport.reading) == (True, True)
        await settle()
        connection.connection_lost(None)


async def test_how_a_refused_connection_ends() -> None:
    """It is read for a moment more; over TLS, which has no half end, it is closed at once."""
    async with port() as opened:
        loop = asyncio.get_running_loop()
        connection, transport = await begun(opened, b"x\r\n\r\n")
        assert (transport.ended, transport.closed, transport.reading) == (True, False, True)
        assert connection._deadline is not None
        assert 1 < connection._deadline.when() - loop.time() <= module.LINGER_SECONDS
        connection.timeout_keep_alive_handler()
        assert (transport.closed, transport.aborted) == (True, False)
        connection.connection_lost(None)
        encrypted, whole = opened.accept(), Whole()
        encrypted.connection_made(whole)
        encrypted.data_received(b"x\r\n\r\n")
        assert whole.closed
        assert encrypted._unread is not None
        assert 59 < encrypted._unread.when() - loop.time() <= 60
        encrypted.connection_lost(None)


class Whole(Transport):
    """A transport that has no half end."""

    def can_write_eof(self) -> bool:
        return False

    def write_eof(self) -> None:
        raise NotImplementedError


async def test_an_answer_that_is_not_taken() -> None:
    """A connection that rests is closed; one that holds an answer is reset, which is counted."""
    async with port() as opened:
        connection, transport = await begun(opened, REQUEST)
        transport.queued = 1
        connection.timeout_keep_alive_handler()
        assert (transport.closed, transport.aborted) == (False, True)
        assert counted(opened, "greenroom_limits_met_total", limit=UNREAD) == 1
        transport.aborted = False
        connection.pause_writing()
        waiting = connection._unread
        connection._set_unread()
        assert connection._unread is waiting
        transport.closed = True
        connection.resume_writing()
        assert connection._unread is waiting
        connection.on_response_complete()
        assert connection._unread is waiting
        connection.connection_lost(None)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("answered", [False, True])
async def test_the_end_of_the_service(encrypted: bool, answered: bool) -> None:
    """A connection at rest ends at once; one whose answer is under way ends behind that."""
    async with port() as opened:
        if not answered:
            opened.hold.clear()
        connection, transport = await begun(opened, REQUEST)
        whole: Any = mock.Mock(spec=TlsTransport, is_closing=lambda: False)
        connection.transport = whole if encrypted else transport
        connection.shutdown()
        assert whole.close_at_rest.called is (encrypted and answered)
        assert transport.closed is (answered and not encrypted)
        assert answered or not connection.cycle.keep_alive
        connection.connection_lost(None)


async def test_what_an_upgrade_leaves() -> None:
    """Nothing of the connection is left when the plane has it: no deadline, no place at uvicorn."""
    async with port() as opened:
        connection, transport = await begun(opened)
        connection.pause_writing()
        timers = (connection._deadline, connection._unread)
        connection.data_received(UPGRADE.replace(b"TOKEN", token().encode()))
        assert connection not in connection.connections
        assert all(each is not None and each.cancelled() for each in timers)
        assert opened.made.visitors.unfinished == 1
        ended = weakref.ref(connection)
        gc.disable()
        try:
            opened.connections.clear()
            del connection
            await settle()
            assert ended() is None
        finally:
            gc.enable()
        assert transport.written[0].startswith(b"HTTP/1.1 101 ")
        assert opened.made.visitors.unfinished == 0
        transport.protocol.connection_lost(None)


async def test_what_an_upgrade_leaves_that_was_lost_on_the_way() -> None:
    """The same: who is told what is missing is not told later that he was too slow."""
    async with port() as opened:
        connection, transport = await begun(opened)
        timer = connection._deadline
        head = UPGRADE.replace(b"TOKEN", token().encode())
        connection.data_received(head.replace(b"Connection: keep-alive, Upgrade\r\n", b""))
        assert timer is not None
        assert timer.cancelled()
        assert connection._deadline is None
        await settle()
        assert transport.written[0].startswith(b"HTTP/1.1 426 ")
        transport.protocol.connection_lost(None)


async def test_an_upgrade_that_had_to_wait_is_not_read_from() -> None:
    """Its turn comes behind an answer; until it is decided itself, nothing more is read."""
    async with port() as opened:
        opened.hold.clear()
        opened.made.store.gate.clear()
        upgrade = UPGRADE.replace(b"TOKEN", token().encode())
        connection, transport = await begun(opened, REQUEST + upgrade)
        assert connection._held
        opened.hold.set()
        await settle(30)
        assert connection._ended
        assert transport.is_reading() is False
        opened.made.store.gate.set()
        await settle(30)
        assert transport.is_reading() is True
        transport.protocol.connection_lost(None)


@pytest.mark.parametrize(
    "body", [b"content-length: 3\r\n\r\nabc", b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n"]
)
async def test_another_protocol_behind_a_body(body: bytes) -> None:
    """Whoever asks for one and sends a body is refused: the one would be taken for the other."""
    head = b"POST / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: h2c\r\n"
    async with port() as opened:
        connection, transport = await begun(opened, head + body)
        status, _, answer = transport.written[0].partition(b"\r\n\r\n")
        assert status.startswith(b"HTTP/1.1 400 ")
        assert refusal(answer) == "A request with a body cannot ask for another protocol"
        assert opened.seen == []
        connection.connection_lost(None)
