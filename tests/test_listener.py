"""The one port: which requests reach whom, and how those are refused that reach nobody."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from greenroom.listener import HeadLimits, Listener
from greenroom.protocol.addresses import Networks, packed
from greenroom.protocol.forwarded import TrustedProxies
from greenroom.visitors import Visitors
from tests.messaging.stage import Stage, action, frames_of, stage, token

LIMITS = HeadLimits(size=2048, count=10, seconds=60)
REQUEST = b"GET /path HTTP/1.1\r\nhost: h\r\n\r\n"


class Port:
    """A listener on a loopback socket, and the requests that the application saw."""

    def __init__(self, made: Stage, limits: HeadLimits) -> None:
        self.made = made
        self.limits = limits
        self.seen: list[tuple[str, bytes, bytes]] = []
        self.scopes: list[Any] = []
        self.listeners: list[Listener] = []
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

    def accept(self) -> Listener:
        """Make the protocol of one connection."""
        plane = self.made.plane
        visit = plane.visitors.enter(packed("127.0.0.1"), 0)
        made = Listener(plane, self.limits, self.config, ServerState(), {}, visit=visit)
        self.listeners.append(made)
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
        for listener in opened.listeners:
            listener.transport.abort()
        await server.wait_closed()


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
        visitors = Visitors(proxies=TrustedProxies(Networks(trusted)))
        opened.made.plane = msgspec.structs.replace(opened.made.plane, visitors=visitors)
        await opened.exchange(
            b"GET / HTTP/1.1\r\nx-forwarded-for: 203.0.113.1, 192.0.2.1\r\n"
            b"x-forwarded-proto: https\r\nconnection: close\r\n\r\n"
        )
        (scope,) = opened.scopes
        assert (scope["client"][0], scope["scheme"]) == (client, scheme)


async def test_requests_reach_the_application() -> None:
    """Requests are served one after another on a connection, in whatever pieces they come."""
    post = b"POST /a%2Fb HTTP/1.1\r\ncontent-length: 4\r\n\r\nbody"
    last = b"GET /last HTTP/1.1\r\nconnection: close\r\n\r\n"
    async with port() as opened:
        status, _ = await opened.exchange(*(post[at : at + 5] for at in range(0, 60, 5)), last)
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
    headers = b"".join(b"h%d: %s\r\n" % (number, b"x" * 180) for number in range(9))
    head = b"GET / HTTP/1.1\r\n" + headers + b"connection: close\r\n\r\n"
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
    head = (
        b"GET /any/path HTTP/1.1\r\nhost: h\r\nConnection: keep-alive, Upgrade\r\n"
        b"Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Protocol: " + token().encode() + b"\r\n\r\n"
    )
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
        assert opened.listeners[0]._deadline is None
        assert opened.seen == []
        writer.close()


async def test_refused_upgrade() -> None:
    """An upgrade without a token is refused by the messaging plane, in JSON."""
    head = b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    async with port() as opened:
        status, body = await opened.exchange(head)
        assert (status, msgspec.json.decode(body)["ErrorCode"]) == (426, 426)


async def test_other_upgrades_are_requests() -> None:
    """Who asks for another protocol, as some clients do for HTTP/2, is served as usual."""
    head = b"GET / HTTP/1.1\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n"
    async with port() as opened:
        assert (await opened.exchange(head))[0] == 200
        assert opened.seen == [("GET", b"/", b"")]


async def test_upgrade_behind_an_unanswered_request() -> None:
    """An upgrade that does not wait for the last answer is refused after it, never in it."""
    async with port() as opened:
        opened.hold.clear()
        exchange = asyncio.create_task(
            opened.exchange(
                REQUEST + b"GET / HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\n"
                b"connection: upgrade\r\n\r\n"
            )
        )
        await asyncio.wait_for(opened.waiting.wait(), 5)
        opened.hold.set()
        status, rest = await exchange
        assert status == 200
        assert rest.startswith(b"HTTP/1.1 400 ")
