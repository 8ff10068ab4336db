"""HTTP endpoints as handlers: real servers, and names that a test resolves."""

import asyncio
import datetime as dt
import hmac
import ipaddress
import re
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from greenroom.review.addresses import Network
from greenroom.review.answers import ANSWER_BYTES
from greenroom.review.http import HttpTarget, _Checked, signature
from greenroom.review.target import Failure, InvocationFailed
from tests.stand_ins.hand_clock import START_MS, HandClock

SECRET = "a secret of the tests"
ONE = (ipaddress.ip_network("127.0.0.1/32"),)
EVENT = b'{"Content":"hi"}'

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Names(AbstractResolver):
    """Resolves every name to the addresses that a test gives, a new list each time it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        await self.gate.wait()
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in addresses
        ]

    async def close(self) -> None:
        """Do nothing."""


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    """Answer with the body that came."""
    return web.Response(body=await request.read())


@asynccontextmanager
async def serving(
    handle: Handle, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve requests on a free port."""
    runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0, ssl_context=tls)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def target(
    url: str, names: Names | None = None, networks: tuple[Network, ...] = ONE
) -> AsyncIterator[HttpTarget]:
    """Give a target that is closed at the end."""
    made = HttpTarget(url, SECRET, networks, HandClock().clock, names)
    try:
        yield made
    finally:
        await made.close()


async def failure(made: HttpTarget) -> Failure:
    """Return how asking fails."""
    with pytest.raises(InvocationFailed) as failed:
        await made.invoke("uri", EVENT)
    return failed.value.failure


async def test_request() -> None:
    """The event is posted as it is, signed with the time, to exactly the URL."""
    requests = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        requests.append((request.method, request.raw_path, request.headers, await request.read()))
        return web.Response(body=b"answer")

    async with serving(handle) as port, target(f"http://127.0.0.1:{port}/a%2Fb?c=d%20e") as made:
        assert await made.invoke("uri", EVENT) == b"answer"
        assert await made.problem("uri") is None
    ((method, path, headers, body),) = requests
    assert (method, path, body) == ("POST", "/a%2Fb?c=d%20e", EVENT)
    assert headers["Content-Type"] == "application/json"
    assert "Accept-Encoding" not in headers
    seconds = START_MS // 1000
    mac = hmac.new(SECRET.encode(), f"{seconds}.".encode() + EVENT, "sha256").hexdigest()
    assert headers["Greenroom-Signature"] == f"t={seconds},v1={mac}"


def test_the_documented_check_of_a_signature() -> None:
    """The code in the how-to accepts our requests, and no others."""
    page = (Path(__file__).parents[2] / "docs" / "howto" / "review-messages.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(import hmac.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own documentation
    is_genuine, secret = names["is_genuine"], SECRET.encode()
    now = int(time.time())
    header = signature(secret, now, EVENT)
    assert is_genuine(header, EVENT, secret)
    assert not is_genuine(header, EVENT + b" ", secret)
    assert not is_genuine(header, EVENT, secret + b"x")
    assert not is_genuine(signature(secret, now - 301, EVENT), EVENT, secret)
    assert not is_genuine(header.replace(f"t={now}", f"t={now + 1}"), EVENT, secret)


async def test_connections_are_kept() -> None:
    """Requests one after the other use one connection; requests at a time do not wait in line."""
    peers = []
    together = asyncio.Barrier(20)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        peers.append(request.transport and request.transport.get_extra_info("peername"))
        if await request.read() == b"wait":
            await together.wait()
        return web.Response()

    async with serving(handle) as port, target(f"http://127.0.0.1:{port}/") as made:
        for _ in range(5):
            await made.invoke("uri", EVENT)
        assert len(set(peers)) == 1
        await asyncio.gather(*(made.invoke("uri", b"wait") for _ in range(20)))
        assert len(set(peers)) == 20


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (201, Failure.BAD_STATUS),
        (204, Failure.BAD_STATUS),
        (302, Failure.BAD_STATUS),
        (307, Failure.BAD_STATUS),
        (401, Failure.BAD_STATUS),
        (404, Failure.BAD_STATUS),
        (429, Failure.THROTTLED),
        (500, Failure.BAD_STATUS),
        (503, Failure.BAD_STATUS),
    ],
)
async def test_only_200_is_an_answer(status: int, expected: Failure) -> None:
    """Any other status fails; where it redirects to is never asked."""
    paths = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        paths.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with serving(handle) as port, target(f"http://127.0.0.1:{port}/") as made:
        assert await failure(made) is expected
    assert paths == ["/"]


async def test_answers_are_bounded() -> None:
    """Of an endless answer only a little more than the bound is read; none is unpacked."""

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(4096))
        except ConnectionError:
            return response

    async with serving(endless) as port, target(f"http://127.0.0.1:{port}/") as made:
        assert len(await made.invoke("uri", EVENT)) == ANSWER_BYTES + 1

    async def packed(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"packed", headers={"Content-Encoding": "gzip"})

    async with serving(packed) as port, target(f"http://127.0.0.1:{port}/") as made:
        assert await made.invoke("uri", EVENT) == b"packed"


async def test_broken_endpoints() -> None:
    """No connection, no HTTP, or half an answer: it is unreachable."""

    async def talk(answer: bytes) -> Failure:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with target(f"http://127.0.0.1:{port}/") as made:
                return await failure(made)

    for answer in (b"", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"):
        assert await talk(answer) is Failure.UNREACHABLE
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with target(f"http://127.0.0.1:{unused.getsockname()[1]}/") as made:
            assert await failure(made) is Failure.UNREACHABLE


class Dropping:
    """A server whose connections answer once; what it does with later requests is for a test."""

    def __init__(self, drop: Callable[[asyncio.StreamWriter], object], answered: int = 1) -> None:
        self.requests = self.connections = 0
        self._drop = drop
        self._answered = answered
        self._arrived = asyncio.Condition()
        self.gate = asyncio.Event()
        self.gate.set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Give the URL."""
        async with await asyncio.start_server(self._connected, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

    async def came(self, requests: int) -> None:
        """Wait until so many requests came."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self.requests >= requests)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for number in range(2):
            try:
                await reader.readexactly(len(await reader.readuntil(b"\r\n\r\n")) and len(EVENT))
            except asyncio.IncompleteReadError:
                break
            async with self._arrived:
                self.requests += 1
                self._arrived.notify_all()
            await self.gate.wait()
            if number >= self._answered:
                self._drop(writer)
                break
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()


def close(writer: asyncio.StreamWriter) -> None:
    """End the connection as a server does that has waited long enough."""
    writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection as a load balancer does that has forgotten it."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


def answer_by_half(writer: asyncio.StreamWriter) -> None:
    """End the connection in the middle of the answer."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")


@pytest.mark.parametrize("drop", [close, reset])
async def test_a_kept_connection_that_ends(drop: Callable[[asyncio.StreamWriter], object]) -> None:
    """An idle connection that is closed, or reset, as it is taken costs no review."""
    server = Dropping(drop)
    async with server.serving() as url, target(url) as made:
        for _ in range(2):
            assert await made.invoke("uri", EVENT) == b"ok"
        assert (server.requests, server.connections) == (3, 2)


async def test_kept_connections_that_end_together() -> None:
    """However many idle connections are dead, the second attempt is on a fresh one."""
    server = Dropping(reset)
    async with server.serving() as url, target(url) as made:
        server.gate.clear()
        asking = [asyncio.create_task(made.invoke("uri", EVENT)) for _ in range(5)]
        await server.came(5)
        server.gate.set()
        assert await asyncio.gather(*asking) == [b"ok"] * 5
        for number in range(1, 6):
            assert await made.invoke("uri", EVENT) == b"ok"
            assert (server.requests, server.connections) == (5 + 2 * number, 5 + number)


@pytest.mark.parametrize("drop", [close, reset])
async def test_a_fresh_connection_that_ends(drop: Callable[[asyncio.StreamWriter], object]) -> None:
    """Who ends a connection that was made for the request has seen it: it is not sent again."""
    server = Dropping(drop, answered=0)
    async with server.serving() as url, target(url) as made:
        assert await failure(made) is Failure.UNREACHABLE
        assert server.requests == 1


async def test_an_answer_that_breaks_off() -> None:
    """An answer that has begun is not asked for again, on a kept connection either."""
    server = Dropping(answer_by_half)
    async with server.serving() as url, target(url) as made:
        assert await made.invoke("uri", EVENT) == b"ok"
        assert await failure(made) is Failure.UNREACHABLE
        assert server.requests == 2


async def test_connecting_that_takes_longer_than_the_limit() -> None:
    """Whoever gave up before a connection stood leaves one to the next; no event is sent twice."""
    names = Names(["127.0.0.1"])
    names.gate.clear()
    methods = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        methods.append(request.method)
        return web.Response(body=b"answer")

    async with serving(handle) as port, target(f"http://reviews.example:{port}/", names) as made:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await made.invoke("uri", EVENT)
        connecting = made._client._connecting
        assert connecting is not None
        names.gate.set()
        await connecting
        assert methods == ["HEAD"]
        names.gate.clear()
        assert await made.invoke("uri", EVENT) == b"answer"
        assert methods == ["HEAD", "POST"]


async def test_a_request_that_is_given_up_opens_nothing() -> None:
    """Where the handler is slow, and not the connection, none is opened in the background."""
    gate, entered = asyncio.Event(), asyncio.Event()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        entered.set()
        await gate.wait()
        return web.Response()

    async with serving(handle) as port, target(f"http://127.0.0.1:{port}/") as made:
        asking = asyncio.create_task(made.invoke("uri", EVENT))
        await entered.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert made._client._connecting is None
        gate.set()


async def test_closing_while_connecting() -> None:
    """What connects in the background ends with the target."""
    names = Names(["127.0.0.1"])
    names.gate.clear()
    async with target("http://reviews.example:1/", names) as made:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await made.invoke("uri", EVENT)
        connecting = made._client._connecting
        assert connecting is not None
    assert connecting.cancelled()


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.2"], ["10.0.0.1", "169.254.169.254"], ["::1"], ["::ffff:127.0.0.2"], ["fd00::1"]],
)
async def test_names_of_closed_addresses(addresses: list[str]) -> None:
    """A name that resolves to nothing permitted is refused, and nothing is connected to."""
    async with target("http://reviews.example:1/", Names(addresses)) as made:
        assert await failure(made) is Failure.ADDRESS_REFUSED


@pytest.mark.parametrize("host", ["127.0.0.2", "[::1]", "169.254.169.254", "[::ffff:7f00:2]"])
async def test_closed_addresses_in_the_url(host: str) -> None:
    """An address in the URL is checked, too."""
    async with target(f"http://{host}:1/") as made:
        assert await failure(made) is Failure.ADDRESS_REFUSED


@pytest.mark.parametrize("host", ["2130706434", "127.2", "0x7f000002", "0177.0.0.2", "localhost."])
async def test_other_spellings_of_closed_addresses(host: str) -> None:
    """No spelling of an address leads past the check."""
    none = (ipaddress.ip_network("127.9.9.9/32"),)
    async with (
        serving(echo, "127.0.0.2") as port,
        target(f"http://{host}:{port}/", None, none) as made,
    ):
        assert await failure(made) in {Failure.ADDRESS_REFUSED, Failure.UNREACHABLE}


async def test_what_resolves_is_closed_with_the_target() -> None:
    """By whoever closes it, if anything was ever resolved."""
    names = Mock(AbstractResolver)
    await _Checked((), names).close()
    names.close.assert_awaited_once_with()
    await _Checked((), None).close()


async def test_only_permitted_addresses_are_connected_to() -> None:
    """Of several addresses the closed ones are left out."""
    names = Names(["127.0.0.2", "::1", "127.0.0.1"])
    async with serving(echo) as port, target(f"http://reviews.example:{port}/", names) as made:
        assert await made.invoke("uri", EVENT) == EVENT
    assert names.asked == ["reviews.example"]


async def test_dns_rebinding() -> None:
    """CVE-2024-39713, H1 3473145: what was checked is connected to, whatever a name becomes then.

    The second answer is a closed address where a server listens: it must never see a connection.
    """
    closed = 0

    async def never(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal closed
        closed += 1
        return web.Response(body=b"stolen")

    async def once(request: web.BaseRequest) -> web.StreamResponse:
        response = web.Response(body=b"fine")
        response.force_close()
        return response

    async with serving(once) as port:
        listening = socket.create_server(("127.0.0.2", port))
        runner = web.ServerRunner(web.Server(never), shutdown_timeout=0)
        await runner.setup()
        await web.SockSite(runner, listening).start()
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        async with target(f"http://reviews.example:{port}/", names) as made:
            assert await made.invoke("uri", EVENT) == b"fine"
            # As after the ten seconds for which a checked address is remembered.
            assert made._client._session is not None
            made._client._session.connector.clear_dns_cache()  # type: ignore[union-attr]
            assert await failure(made) is Failure.ADDRESS_REFUSED
            names.answers = [["127.0.0.1"], ["127.0.0.2"]]
            assert await made.invoke("uri", EVENT) == b"fine"
        await runner.cleanup()
    assert closed == 0
    assert len(names.asked) == 3


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would connect to where it likes."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with serving(echo) as port, target(f"http://127.0.0.1:{port}/") as made:
        assert await made.invoke("uri", EVENT) == EVENT


async def test_tls_asks_for_the_name(tmp_path: Path) -> None:
    """The server is asked for the name in the URL, and its certificate must be one to trust."""
    asked: list[str | None] = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(_certificate(tmp_path / "pem", "reviews.example"))
    tls.sni_callback = lambda connection, name, context: asked.append(name)
    names = Names(["127.0.0.1"])
    async with (
        serving(echo, tls=tls) as port,
        target(f"https://reviews.example:{port}/", names) as made,
    ):
        assert await failure(made) is Failure.UNREACHABLE
    assert set(asked) == {"reviews.example"}


async def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that the system trusts is accepted for its own name, and for no other."""
    pem = _certificate(tmp_path / "pem", "reviews.example")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    trusting = ssl.create_default_context(cafile=str(pem))
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
    async with serving(echo, tls=tls) as port:
        async with target(f"https://reviews.example:{port}/", Names(["127.0.0.1"])) as made:
            assert await made.invoke("uri", EVENT) == EVENT
        async with target(f"https://others.example:{port}/", Names(["127.0.0.1"])) as made:
            assert await failure(made) is Failure.UNREACHABLE


def _certificate(path: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
