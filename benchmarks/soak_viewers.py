"""Viewers of a soak: they come, see what is said in their room, and go; each checks what it sees.

A room's messages are numbered. Who is in must see each one from then on, once and in order, up to
the last whose echo the sender had when the viewer said that it leaves.
"""

import asyncio
import itertools
import os
import random
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlsplit

import msgspec

from greenroom.cli.bench.clients import upgrade_request
from greenroom.protocol.client_frames import (
    CLOSE,
    KEY_BYTES,
    PING,
    PONG,
    TEXT,
    encode_frame,
    frame_at,
)

AT_ONCE = 20
"""Viewers that connect at the same time."""

PATIENCE = 30.0
"""Far more seconds than anything takes."""

_GOING = (1000).to_bytes(2, "big")


class Message(msgspec.Struct, rename="pascal"):
    """What a frame says, as far as it is looked at."""

    type: str
    content: str = ""
    error_message: str = ""


class Room:
    """A room, what was said in it, and who is in it; the first one says everything."""

    def __init__(self, arn: str, tokens: Iterator[str]) -> None:
        self.arn = arn
        self.tokens = tokens
        self.viewers: list[Viewer] = []
        self.said = 0
        """Messages that were sent: the next one's number."""
        self.echoed = 0
        """Messages that the sender has seen."""
        self._newest: tuple[bytes, int, int] = (b"", 0, 0)

    def say(self) -> None:
        """Send the next message."""
        content = f"{self.said} {time.monotonic_ns()} {'x' * 200}"
        self.said += 1
        self.viewers[0].send(
            TEXT, msgspec.json.encode({"Action": "SEND_MESSAGE", "Content": content})
        )

    def read(self, payload: bytes) -> tuple[int, int]:
        """Return the number of a message, and when it was sent, in nanoseconds.

        Raises:
            ValueError: it is something else.
        """
        if payload != self._newest[0]:
            message = msgspec.json.decode(payload, type=Message)
            if message.type != "MESSAGE":
                raise ValueError(f"{message.type} {message.error_message}")
            number, sent, _ = message.content.split(" ")
            self._newest = payload, int(number), int(sent)
        return self._newest[1:]


class Seen:
    """What all viewers saw together."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.delivered = 0
        self.connected = 0
        self.open = 0
        self.latencies: list[float] = []
        """In milliseconds, since somebody took them away."""

    def fault(self, what: str) -> None:
        """Note what must not be; a thousand of them say no more."""
        if len(self.faults) < 1000:
            self.faults.append(what)


class Viewer(asyncio.Protocol):
    """One connection to a room."""

    def __init__(self, room: Room, seen: Seen, authority: str) -> None:
        self.room = room
        self.opened: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._seen = seen
        self._authority = authority
        self._rest = b""
        self._is_open = self._goes = False
        # What it may have missed, and what it must see next; nothing was seen as long as it is -1.
        self._first_at_most = 0
        self._next = -1
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP has no other
        self.transport = transport
        key = b64encode(os.urandom(16))
        transport.write(upgrade_request(self._authority, next(self.room.tokens), key))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_open:
            self._seen.open -= 1
            if not self._goes:
                self._seen.fault(f"a connection was closed: {exc or 'no reason'}")
        if not self.opened.done():
            self._seen.fault(f"a connection was refused: {exc or self._rest[:60]!r}")
            self.opened.set_result(False)
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        data, at = self._rest + data, 0
        if not self._is_open:
            at = data.find(b"\r\n\r\n") + 4
            if at < 4 or b" 101 " not in data[:20]:
                self._rest = data
                return
            self._enter()
        while found := frame_at(data, at):
            first, payload, at = found
            self._take(first, payload)
        self._rest = data[at:]

    def send(self, first: int, payload: bytes) -> None:
        """Send a frame, if the connection is there."""
        if not self.transport.is_closing():
            self.transport.write(encode_frame(first, payload, os.urandom(KEY_BYTES)))

    async def leave(self) -> None:
        """Close, and see that nothing is missing that was confirmed before."""
        confirmed = self.room.echoed
        self._goes = True
        self.send(CLOSE, _GOING)
        async with asyncio.timeout(PATIENCE):
            await self.ended
        self.check(confirmed)

    def vanish(self) -> None:
        """Be gone, without a word."""
        self._goes = True
        self.transport.abort()

    def check(self, confirmed: int) -> None:
        """See that all came of so many messages which is for this viewer."""
        has = self._first_at_most if self._next < 0 else self._next
        if has < confirmed:
            self._seen.fault(f"a viewer missed {confirmed - has} messages at the end")

    def _enter(self) -> None:
        self._is_open = True
        self._first_at_most = self.room.said
        self._seen.open += 1
        self._seen.connected += 1
        self.opened.set_result(True)

    def _take(self, first: int, payload: bytes) -> None:
        if first == TEXT:
            self._see(payload)
        elif first == PING:
            self.send(PONG, payload)
        elif first == CLOSE:
            if not self._goes:
                self._seen.fault(f"the service closed a connection: {payload[2:]!r}")
            self.transport.close()

    def _see(self, payload: bytes) -> None:
        try:
            number, sent = self.room.read(payload)
        except ValueError as error:
            self._seen.fault(f"not a message: {error}")
            return
        if (self._next < 0 and number > self._first_at_most) or 0 <= self._next != number:
            expected = self._first_at_most if self._next < 0 else self._next
            self._seen.fault(f"message {number} came where {expected} was to come")
        self._next = number + 1
        self._seen.delivered += 1
        self._seen.latencies.append((time.monotonic_ns() - sent) / 1e6)
        if self.room.viewers[0] is self:
            self.room.echoed = self._next


class Crowd:
    """All viewers, and who has them come, go and speak."""

    def __init__(self, url: str, trusted: str, rooms: list[Room], seed: int) -> None:
        self.seen = Seen()
        self.rooms = rooms
        self.over = False
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port or 0
        self._context = ssl.create_default_context(cafile=trusted)
        self._chance = random.Random(seed)  # noqa: S311 - who goes is no secret

    async def fill(self, connections: int) -> None:
        """Have so many viewers come, as many to each room."""
        places = itertools.islice(itertools.cycle(self.rooms), connections)

        async def some() -> None:
            for room in places:
                await self._enter(room)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(some())

    async def speak(self, per_second: float) -> None:
        """Have something said in one room after the other, until `over`."""
        await self._every(1 / per_second, itertools.cycle(self.rooms), Room.say)

    async def churn(self, per_second: float) -> None:
        """Have viewers go, and others come in their place, until `over`."""
        async with asyncio.TaskGroup() as tasks:
            rooms = (self._chance.choice(self.rooms) for _ in itertools.count())
            await self._every(1 / per_second, rooms, lambda room: self._begin(room, tasks))

    async def empty(self) -> None:
        """Have everybody leave, when all have what was said."""
        async with asyncio.timeout(PATIENCE):
            while any(room.echoed < room.said for room in self.rooms):  # noqa: ASYNC110 - a hundred rooms have no one event
                await asyncio.sleep(0.02)
        for room in self.rooms:
            await asyncio.gather(*(viewer.leave() for viewer in room.viewers))

    def _begin(self, room: Room, tasks: asyncio.TaskGroup) -> None:
        if len(room.viewers) > 1:
            index = self._chance.randrange(1, len(room.viewers))
            tasks.create_task(self._replace(room, room.viewers.pop(index)))

    async def _replace(self, room: Room, viewer: Viewer) -> None:
        if self._chance.random() < 0.5:
            viewer.vanish()
        else:
            await viewer.leave()
        await self._enter(room)

    async def _enter(self, room: Room) -> None:
        authority = f"{self._host}:{self._port}"
        try:
            async with asyncio.timeout(PATIENCE):
                _, viewer = await asyncio.get_running_loop().create_connection(
                    lambda: Viewer(room, self.seen, authority),
                    self._host,
                    self._port,
                    ssl=self._context,
                )
                if await viewer.opened:
                    room.viewers.append(viewer)
        except OSError as error:
            self.seen.fault(f"nobody could come: {error!r}")

    async def _every(
        self, seconds: float, rooms: Iterable[Room], do: Callable[[Room], None]
    ) -> None:
        due = time.monotonic()
        for room in rooms:
            if self.over:
                return
            do(room)
            due = max(due + seconds, time.monotonic() - 1)
            await asyncio.sleep(due - time.monotonic())
