"""Look at the servers and streams as a start would, and change nothing."""

import asyncio

from greenroom.bus.figures import Figures
from greenroom.bus.nats import provided
from greenroom.bus.nats.connection import Connection, Options
from greenroom.process.randomness import new_id

SECONDS = 5.0
"""How long servers may take to answer."""


async def inspect(options: Options) -> str:
    """Return what there is, in a few words.

    Raises:
        BusRefused: a start would be refused; see `NatsBus.open`.
    """
    missing: list[str] = []

    async def look() -> None:
        missing[:] = await provided.look(connection, options)

    connection = Connection(
        options, new_id(), Figures(), prepare=look, up=_say_nothing, down=_say_nothing
    )
    try:
        await connection.open(SECONDS)
        servers = connection.servers
        # What looks after the connection begins before it is ended.
        await asyncio.sleep(0)
    finally:
        await connection.close()
    there = "its streams are there" if not missing else f"{len(missing)} streams are to be made"
    return f"NATS, servers: {servers}; {there}"


def _say_nothing() -> None:
    """Nobody waits for it."""
