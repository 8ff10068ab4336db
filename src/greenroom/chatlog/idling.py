"""How long the reader of a stream waits until it reads again.

At rest each read costs the node and the servers more than a message does; so messages that come one
at a time share them, and a stream in which nothing happens says itself when something does.
"""

import asyncio

from greenroom.bus.streams import Hearing, Streams
from greenroom.chatlog.waiting import Wait

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.25
"""Seconds until a stream without anything new is read again; each pause is twice the last one. When
it is the longest, the stream is listened to instead."""

UNKEPT_PAUSE = 0.1
"""Seconds until a stream is read again whose place alone was noted: nothing new in it is to be on
record or kept. Else it is the first pause. Without any each message costs a read and a transaction.
"""

MANY = 100
"""From so many messages of one read on the next one follows at once."""

IDLE_SECONDS = 1.0
"""How often a stream is read that says nothing: what it says may be lost on the way."""


class Idling:
    """Waits for one stream; `end` it."""

    def __init__(self, streams: Streams, stream: int, wait: Wait) -> None:
        self._streams, self._stream, self._wait = streams, stream, wait
        self._pause = FIRST_PAUSE
        self._hearing: Hearing | None = None
        self._never = asyncio.Event()

    async def nothing_came(self) -> None:
        """Wait until something may have come.

        Raises:
            StreamUnavailable: no server can be listened to.
        """
        if self._pause < LONGEST_PAUSE:
            pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
            await self._wait(self._never, pause)
        elif self._hearing is None:
            # What came before that is not told: it is read at once.
            self._hearing = await self._streams.hear(self._stream)
        else:
            await self._wait(self._hearing.told, IDLE_SECONDS)
            if self._hearing.told.is_set():
                # Who answers the next read may not have it yet.
                self._pause = FIRST_PAUSE
                await self.end()

    async def something_came(self, number: int, *, is_kept: bool) -> None:
        """Wait for more than so many messages, which share what is done for each read."""
        self._pause = FIRST_PAUSE
        await self.end()
        if number < MANY:
            await self._wait(self._never, FIRST_PAUSE if is_kept else UNKEPT_PAUSE)

    async def end(self) -> None:
        """Listen no more."""
        hearing, self._hearing = self._hearing, None
        if hearing is not None:
            await hearing.end()
