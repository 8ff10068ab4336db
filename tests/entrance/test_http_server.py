"""The HTTP server: who takes connections, and from when on nobody does."""

import asyncio
import socket

from uvicorn.config import Config

from greenroom.entrance.acceptor import Acceptor, Entrance
from greenroom.entrance.http_server import HttpServer
from tests.stand_ins.stage import settle, stage

PLAIN = Entrance(context=None, proxy_protocol=False, handshake_seconds=60, close_seconds=1)


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
