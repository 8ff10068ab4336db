"""Connections that are taken by the process itself, on real sockets."""

import asyncio
import socket

from greenroom.acceptor import Acceptor, Entrance
from greenroom.visitors import Visit
from tests.messaging.stage import stage

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
            acceptor = Acceptor(listening, PLAIN, protocol, made.plane)
            acceptor.start()
            with socket.socket() as first, socket.socket() as second:
                for client in (first, second):
                    client.setblocking(False)
                    await loop.sock_connect(client, listening.getsockname())
                assert await loop.sock_recv(first, 1) == b""
                async with asyncio.timeout(20):
                    await both.wait()
            acceptor.stop()
        assert made.plane.visitors.total == 1
