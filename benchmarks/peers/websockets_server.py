"""The `websockets` library with its `broadcast`, on uvloop; `websockets_server.py PORT`."""
# ruff: noqa: INP001 - a program of its own

import asyncio
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

CONNECTIONS: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    """Send what the connection says to everybody."""
    CONNECTIONS.add(connection)
    try:
        async for message in connection:
            broadcast(CONNECTIONS, message)
    finally:
        CONNECTIONS.remove(connection)


async def main() -> None:
    """Serve until killed."""
    async with serve(handle, "127.0.0.1", int(sys.argv[1]), compression=None):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
