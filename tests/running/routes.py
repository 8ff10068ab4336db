"""NATS servers that replicate, and whose routes to each other a test can cut."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from scripts.servers.nats_server import NatsServer, Routes
from scripts.servers.ports import free_port
from tests.running.links import Link

NOWHERE = "127.0.0.1:9"
"""Where servers are told to find each other besides: all go by their links."""


class Routed(msgspec.Struct, frozen=True):
    """The servers, and the link by which each reaches each other one."""

    servers: list[NatsServer]
    links: dict[tuple[int, int], Link]

    def around(self, server: NatsServer) -> list[Link]:
        """Return all links from and to a server."""
        number = self.servers.index(server)
        return [link for pair, link in self.links.items() if number in pair]


@contextlib.asynccontextmanager
async def routed_nats(directory: Path, size: int = 3) -> AsyncIterator[Routed]:
    """Run as many servers for the length of a `with` block."""
    ports = [free_port() for _ in range(size)]
    async with contextlib.AsyncExitStack() as stack:
        links = {
            (here, there): await stack.enter_async_context(Link(ports[there]).open())
            for here in range(size)
            for there in range(size)
            if here != there
        }
        servers = [
            NatsServer(
                directory / f"nats-{number + 1}",
                f"nats-{number + 1}",
                routes=Routes(
                    port,
                    tuple(link.port for (here, _), link in links.items() if here == number),
                    NOWHERE,
                ),
            )
            for number, port in enumerate(ports)
        ]
        for server in servers:
            stack.callback(server.kill)
            server.start(wait=False)
        for server in servers:
            # The links are carried meanwhile.
            await asyncio.to_thread(server.until_ready)
        yield Routed(servers, links)
