"""What every node is to forget or to learn, over NATS: the port `Control`.

- This node hears its own news at once, the others by the control stream, each in its order.
- News wait while they cannot be sent, and are sent again until the stream has them. Beyond
  `MOST_WAITING` the others are told to forget everything instead.
- Where nothing waits, no news are sent now and then: so it is known whether NATS stores anything.
  Where it does not, another server may: one that is cut off from the others answers all the same.
- Whatever was perhaps missed, for a connection that ended, a gap, a new leader or news that are not
  understood, all is forgotten.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from greenroom.bus.base import ControlEnvelope, E, Renew
from greenroom.bus.figures import Figures
from greenroom.bus.nats import headers, stored, subjects
from greenroom.bus.nats.codec import ForgetAll, News, Undecodable, decode_news, encode
from greenroom.bus.nats.connection import Connection, NoAnswer
from greenroom.bus.receivers import Receivers

MOST_WAITING = 10_000
MOST_AT_ONCE = 500
ANSWER_SECONDS = 1.0
READ_SECONDS = 3.0
"""How long what was forgotten may take to be read again: a store that is away holds up nothing."""

PAUSE_SECONDS = 0.1

PATIENCE_SECONDS = 10.0
"""How long NATS may store nothing before that is said, and another server is tried."""

MOST_PAUSES = 16
"""How many times as long as at first it is waited at most until another server is tried."""

PROBE_SECONDS = 2.0
"""How long nothing is sent before it is found out whether anything would be stored: servers that
lost their quorum answer, and store nothing."""

log = structlog.get_logger()


class ControlNews:
    """Tells and hears."""

    def __init__(
        self,
        connection: Connection,
        node: str,
        figures: Figures,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Make it; what does not store for `patience` seconds is said not to."""
        self._connection = connection
        self._node = node
        self._figures = figures
        self._receivers = Receivers()
        self._resets: list[Renew] = []
        self._waiting: deque[ControlEnvelope | ForgetAll] = deque()
        self._wake, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._patience = self._pause = patience
        self._stored_at = time.monotonic()
        self._last = 0
        self._known = False
        # Whether the receivers are told, and whether there was something before they were.
        self._told = self._missed = False

    def on(self, kind: type[E], receiver: Callable[[E], None]) -> None:
        self._receivers.on(kind, receiver)

    def on_reset(self, receiver: Renew) -> None:
        self._resets.append(receiver)

    def broadcast(self, envelope: ControlEnvelope) -> None:
        # Before the start, too: the others are to hear what a node changes while it starts.
        self._tell(envelope)
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.clear()
            self._waiting.append(ForgetAll())
        else:
            self._waiting.append(envelope)
        self._idle.clear()
        self._wake.set()

    def tell(self, *, told: bool) -> None:
        """Tell the receivers what is to be told, or no longer."""
        self._told = told
        if told and self._missed:
            # What was read of the store before it came is out of date.
            self._missed = False
            self.reset()

    async def prepare(self, connection: Connection) -> None:
        """Hear what is told over a new connection; forget what may have been missed before.

        Raises:
            NoAnswer: the connection has ended.
        """
        self._known = False
        await connection.listen(subjects.CONTROL_DELIVERED, self._heard)
        # Without a leader nothing is told; the next thing that is comes from a new one.
        with contextlib.suppress(NoAnswer):
            newest = await stored.last(connection, subjects.CONTROL_STREAM, subjects.CONTROL)
            heard = self._last if self._known else 0
            self._last = max(heard, newest.sequence if newest else 0)
            self._known = True
        await _done(self._forget())

    async def led_anew(self) -> None:
        """Forget everything if the leader before has stored what it told nobody."""
        connection = self._connection
        try:
            newest = await stored.last(connection, subjects.CONTROL_STREAM, subjects.CONTROL)
        except NoAnswer:
            self.reset()
            return
        if newest is not None and newest.sequence != self._last:
            self._last = newest.sequence
            self.reset()

    def reset(self) -> None:
        """Have every cache forgotten, and read again what has to be."""
        reading = self._forget()
        if reading:
            self._connection.start(partial(_done, reading))

    def _forget(self) -> list[Awaitable[object]]:
        """Have every cache forgotten; return what is done when it was read again."""
        reading: list[Awaitable[object]] = []
        if not self._told:
            self._note_missed()
        for receiver in self._resets if self._told else ():
            try:
                awaited = receiver()
            except Exception as error:
                log.exception("who forgets crashed", error=type(error).__name__)
                continue
            if awaited is not None:
                reading.append(awaited)
        return reading

    async def send(self) -> None:
        """Send what waits, for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            if not self._waiting:
                await self._is_stored(encode(News(self._node, ())))
            while self._waiting:
                some = [
                    self._waiting[each] for each in range(min(len(self._waiting), MOST_AT_ONCE))
                ]
                data = encode(News(self._node, tuple(some)))
                if not await self._is_stored(data):
                    await asyncio.sleep(PAUSE_SECONDS)
                    continue
                # At the bound those that wait have given way to one that says all.
                for each in some:
                    if self._waiting and self._waiting[0] is each:
                        self._waiting.popleft()
            self._idle.set()

    async def flush(self, seconds: float) -> None:
        """Return when nothing waits to be sent, or after so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("news for the other nodes were not sent", waiting=len(self._waiting))

    async def _is_stored(self, data: bytes) -> bool:
        connection = self._connection
        if not connection.is_up:
            # That is told by itself, and what a new connection stores is not known yet.
            self._stored_at = time.monotonic()
            return False
        try:
            _, answer = await connection.request(subjects.CONTROL, data, ANSWER_SECONDS)
        except NoAnswer as error:
            await self._note_unstored(str(error))
            return False
        if b'"error"' in answer:
            await self._note_unstored("it refuses what is sent")
            return False
        self._note_stored()
        return True

    def _note_stored(self) -> None:
        """Tell when NATS stores again."""
        self._stored_at = time.monotonic()
        self._pause = self._patience
        if not self._figures.storing:
            log.info("NATS stores again")
        self._figures.storing = True

    async def _note_unstored(self, reason: str) -> None:
        """Tell when NATS stores nothing for a while, for a reason, and try another server."""
        if time.monotonic() - self._stored_at < self._pause:
            return
        self._figures.storing = False
        self._figures.tell("NATS stores nothing: what is sent gets 503", reason=reason)
        # Where no server stores, as on full disks, what they still deliver is rarely interrupted.
        self._stored_at = time.monotonic()
        self._pause = min(2 * self._pause, MOST_PAUSES * self._patience)
        await self._connection.move_on()

    def _heard(self, _subject: bytes, raw: bytes, data: bytes) -> None:
        sequence, previous = headers.sequence(raw), headers.previous(raw)
        missed = self._known and (previous > self._last or sequence <= self._last)
        self._last, self._known = sequence, True
        if missed:
            self.reset()
        try:
            news = decode_news(data)
        except Undecodable:
            self._figures.undecodable += 1
            self._figures.tell("news on the bus are not of this service")
            # Those of a newer version, perhaps, with others among them that concern this one.
            if not missed:
                self.reset()
            return
        if news.node == self._node:
            return
        for each in news.envelopes:
            self._tell_safely(each)

    def _tell_safely(self, envelope: ControlEnvelope | ForgetAll) -> None:
        try:
            if isinstance(envelope, ForgetAll):
                self.reset()
            else:
                self._tell(envelope)
        except Exception as error:
            log.exception("who is told of changes crashed", error=type(error).__name__)

    def _tell(self, envelope: ControlEnvelope) -> None:
        if self._told:
            self._receivers.tell(envelope)
        else:
            self._note_missed()

    def _note_missed(self) -> None:
        """Have all forgotten at the start, unless nobody knows anything yet."""
        self._missed |= bool(self._resets)


async def _done(reading: list[Awaitable[object]]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READ_SECONDS):
            await asyncio.gather(*reading, return_exceptions=True)
