"""What the streams of rooms hold, for who looks from outside; nothing is made or changed."""

import asyncio

from greenroom.bus.base import BusUnreachable
from greenroom.bus.figures import Figures
from greenroom.bus.nats import provided, subjects
from greenroom.bus.nats.connection import Connection, Options
from greenroom.bus.nats.inspection import SECONDS
from greenroom.bus.nats.stored import StoredStreams
from greenroom.bus.streams import StreamState, StreamUnavailable
from greenroom.process.randomness import new_id


async def states(options: Options) -> dict[int, StreamState]:
    """Return what each stream holds that is there, by its number.

    Raises:
        BusRefused: a start would be refused, or a stream does not answer.
    """
    missing: list[str] = []

    async def look() -> None:
        missing[:] = await provided.look(connection, options)

    def say_nothing() -> None:
        """Nobody waits for it."""

    connection = Connection(
        options, new_id(), Figures(), prepare=look, up=say_nothing, down=say_nothing
    )
    try:
        await connection.open(SECONDS)
        # What looks after the connection begins before it is ended.
        await asyncio.sleep(0)
        stored, found = StoredStreams(connection), range(subjects.STREAMS)
        there = [each for each in found if subjects.stream_name(each) not in missing]
        return {each: await stored.state(each) for each in there}
    except StreamUnavailable as error:
        raise BusUnreachable(f"NATS does not answer for all streams: {error}") from None
    finally:
        await connection.close()
