"""The HTTP server: who takes connections, and from when on nobody does."""

import asyncio
import socket
from typing import Any
from unittest import mock

import msgspec
import pytest
import uvicorn
from uvicorn.config import Config

from greenroom.entrance import http_server as module
from greenroom.entrance.acceptor import Acceptor, Entrance
from greenroom.entrance.first_bytes import FirstBytes
from greenroom.entrance.http_connection import LINGER_SECONDS, EntranceServices, HeadLimits
from greenroom.entrance.http_server import HttpServer, entrance, http_config
from greenroom.entrance.sockets import BACKLOG
from greenroom.messaging.deadlines import Deadlines
from greenroom.settings.load import load
from greenroom.telemetry.metrics import Metrics
from greenroom.tls.keys import Times
from tests.stand_ins.stage import settle, stage

PLAIN = Entrance(keys=None, proxy_protocol=False, handshake_seconds=60)


async def test_nothing_is_accepted_after_it_was_stopped() -> None:
    """From that instant on new connections wait for another process, or for ever."""
    async with stage() as made:
        server = HttpServer(Config(lambda: None), lambda: None, PLAIN, made.acceptors)
        with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
            acceptor = Acceptor(listening, PLAIN, lambda _: asyncio.Protocol(), made.acceptors)
            server._acceptors = [acceptor]
            acceptor.start()
            server.servers = []
            server.stop_accepting()
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, listening.getsockname())
            await settle()
            assert made.visitors.total == 0
            assert server.should_exit


@pytest.mark.parametrize("gate", [None, PLAIN])
async def test_who_listens(gate: Entrance | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something comes before the first byte, acceptors do; else the loop's own server."""
    told: list[str] = []
    starting = mock.AsyncMock(side_effect=lambda _: told.append("listening"))
    stopping = mock.AsyncMock()
    monkeypatch.setattr(uvicorn.Server, "startup", starting)
    monkeypatch.setattr(uvicorn.Server, "shutdown", stopping)
    made = mock.Mock()
    sockets: list[Any] = [mock.Mock(), mock.Mock()]
    monkeypatch.setattr(module, "Acceptor", made)
    async with stage() as plane:
        config = Config(lambda: None)
        server = HttpServer(config, lambda: told.append("told"), gate, plane.acceptors)
        await server.startup(sockets)
        assert told == ["listening", "told"]
        starting.assert_awaited_once_with(sockets if gate is None else [])
        acceptors = [mock.call(each, gate, server._protocol, server._services) for each in sockets]
        assert [each for each in made.mock_calls if each in acceptors] == (
            [] if gate is None else acceptors
        )
        assert made.return_value.start.call_count == (0 if gate is None else 2)
        assert len(server._acceptors) == made.return_value.start.call_count
        await server.shutdown(sockets)
        assert made.return_value.stop.call_count == (0 if gate is None else 2)
        stopping.assert_awaited_once_with(sockets)


async def test_the_loops_own_server_is_closed_too() -> None:
    """It accepts nothing more, either."""
    async with stage() as made:
        server = HttpServer(Config(lambda: None), lambda: None, None, made.acceptors)
        server.servers = [mock.Mock()]
        server.stop_accepting()
        assert server.servers[0].close.called  # type: ignore[attr-defined]


@pytest.mark.parametrize("gate", [None, PLAIN])
async def test_one_more_socket(gate: Entrance | None) -> None:
    """It is accepted from until that is ended, and no longer; the other ones are as they were."""
    made: asyncio.Queue[asyncio.Protocol] = asyncio.Queue()

    def protocol(**_: object) -> asyncio.Protocol:
        made.put_nowait(asyncio.Protocol())
        return asyncio.Protocol()

    async with stage() as plane:
        config = Config(lambda: None)
        config.http_protocol_class = protocol  # type: ignore[assignment]
        server = HttpServer(config, lambda: None, gate, plane.acceptors)
        server.lifespan, server.servers = mock.Mock(), []
        with socket.create_server(("127.0.0.1", 0)) as listening:
            end = await server.accept_from(listening.dup())
            with socket.create_connection(listening.getsockname()):
                await made.get()
            end()
            await settle()
            with socket.create_connection(listening.getsockname()):
                await settle()
                listening.settimeout(5)
                listening.accept()[0].close()
            assert made.empty()
            server.stop_accepting()


@pytest.mark.parametrize("gate", [None, PLAIN])
async def test_one_more_socket_when_all_stops(gate: Entrance | None) -> None:
    """It is closed with the others: who comes is refused, or waits for who holds it as well."""
    async with stage() as plane:
        config = Config(lambda: None)
        making: Any = mock.Mock()
        config.http_protocol_class = making
        server = HttpServer(config, lambda: None, gate, plane.acceptors)
        server.lifespan, server.servers = mock.Mock(), []
        with socket.create_server(("127.0.0.1", 0)) as listening:
            await server.accept_from(listening.dup())
            server.stop_accepting()
            await settle()
            with socket.create_connection(listening.getsockname()):
                await settle()
                listening.settimeout(5)
                listening.accept()[0].close()
        assert (making.called, plane.visitors.total) == (False, 0)


async def test_who_is_on_the_way_comes_through() -> None:
    """One more socket is closed when they have had their time, and not before."""
    gate = msgspec.structs.replace(PLAIN, handshake_seconds=0.01)
    async with stage() as plane:
        server = HttpServer(Config(lambda: None), lambda: None, gate, plane.acceptors)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            copy = listening.dup()
            end = await server.accept_from(copy)
            end()
            assert copy.fileno() >= 0
            async with asyncio.timeout(10):
                while copy.fileno() >= 0:  # noqa: ASYNC110 - nothing tells of a socket's end
                    await asyncio.sleep(0.001)
        assert server._more == {}


async def test_the_end_of_one_more_socket() -> None:
    """Its acceptor ends before its number may be another socket's; both end once."""
    async with stage() as plane:
        server = HttpServer(Config(lambda: None), lambda: None, PLAIN, plane.acceptors)
        ended = mock.Mock()
        server._more[ended.acceptor] = ended.listening
        for _ in range(2):
            server._close(ended.acceptor)
        assert ended.mock_calls == [mock.call.acceptor.stop(), mock.call.listening.close()]


async def test_the_protocol_of_an_accepted_connection() -> None:
    """It is told of the visit, and of the server that it belongs to."""
    async with stage() as made:
        config = Config(lambda: None)
        server = HttpServer(config, lambda: None, PLAIN, made.acceptors)
        making: Any = mock.Mock()
        config.http_protocol_class = making
        server.lifespan = mock.Mock()
        visit = made.visitors.enter(b"", 0.0)
        assert server._protocol(visit) is making.return_value
        making.assert_called_once_with(
            config=config,
            server_state=server.server_state,
            app_state=server.lifespan.state,
            visit=visit,
        )


def test_what_uvicorn_does_not_do() -> None:
    """Its lines, its header and its trust in proxies are switched off; times are the settings'."""
    given = {
        "head_bytes": "9000",
        "header_count": "50",
        "handshake_timeout_seconds": "11",
        "drain_timeout_seconds": "13",
    }
    services = mock.Mock()
    config = http_config(load(given, {}, None), mock.Mock(), services)
    assert (config.ws, config.lifespan, config.log_config) == ("none", "off", None)
    assert (config.access_log, config.server_header, config.proxy_headers) == (False, False, False)
    assert (config.timeout_keep_alive, config.timeout_graceful_shutdown) == (75, 13)
    assert config.backlog == BACKLOG
    assert config.http.func is FirstBytes  # type: ignore[union-attr]
    assert config.http.args == (services, HeadLimits(size=9000, count=50, seconds=11))  # type: ignore[union-attr]


@pytest.mark.parametrize("proxied", [True, False])
@pytest.mark.parametrize("encrypted", [True, False])
async def test_what_comes_before_the_first_byte(proxied: bool, encrypted: bool) -> None:
    """TLS, a PROXY header, both or nothing, with the times of the settings."""
    given = {"handshake_timeout_seconds": "11", "close_timeout_seconds": "3"}
    if proxied:
        given.update(proxy_protocol="on", trusted_proxies="10.0.0.1")
    certificate = mock.Mock() if encrypted else None
    services = mock.Mock(EntranceServices, deadlines=Deadlines(), metrics=Metrics())
    found = entrance(load(given, {}, None), certificate, services)
    if not (proxied or encrypted):
        assert found is None
        return
    assert found is not None
    assert (found.proxy_protocol, found.handshake_seconds) == (proxied, 11)
    if certificate is None:
        assert found.keys is None
        return
    assert found.keys is not None
    assert found.keys.context is certificate.context
    assert found.keys.seconds == Times(handshake=11, close=3, linger=LINGER_SECONDS)
