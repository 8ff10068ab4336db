"""Connections that are taken by the process itself, on real sockets."""

import asyncio
import socket

import pytest

from greenroom.entrance.acceptor import Acceptor, Entrance, _speaks_http
from greenroom.network.visitors import Visit
from tests.stand_ins.stage import settle, stage

PLAIN = Entrance(context=None, proxy_protocol=False, handshake_seconds=60, close_seconds=1)


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
            with socket.socket() as first, socket.socket() as second:
                for client in (first, second):
                    client.setblocking(False)
                    await loop.sock_connect(client, listening.getsockname())
                assert await loop.sock_recv(first, 1) == b""
                async with asyncio.timeout(20):
                    await both.wait()
            acceptor.stop()
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


@pytest.mark.parametrize(("first", "is_http"), [(b"GET", True), (b"p", True), (b"\x16\x03", False)])
async def test_what_a_client_speaks(first: bytes, is_http: bool) -> None:
    """Its first byte says it, which is waited for and left where it is."""
    client, accepted = socket.socketpair()
    with client, accepted:
        accepted.setblocking(False)
        speaking = asyncio.create_task(_speaks_http(accepted))
        await settle()
        assert not speaking.done()
        client.send(first)
        async with asyncio.timeout(5):
            assert await speaking is is_http
        assert accepted.recv(10) == first
