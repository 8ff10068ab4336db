"""Nodes that speak in a room over NATS, and write down what they were told and shown."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial

from greenroom.bus.base import Arrival, Before, BusUnavailable, Deliver, History, RoomEnvelope
from greenroom.bus.nats import subjects
from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.lines import Patience
from tests.running.buses import buses_at, until

ROOM = "room"


class Speaker:
    """A node that speaks in a room, and writes down what it was told and shown."""

    def __init__(self, name: str, bus: NatsBus, room: str = ROOM) -> None:
        self.name, self.bus, self.room = name, bus, room
        self.said: list[bytes] = []
        self.unknown: list[bytes] = []
        self.shown: list[bytes] = []
        self.times: list[int] = []
        self.number = 0
        bus.on_arrival(self._receive)

    async def begin(self) -> "Speaker":
        """Follow the room."""
        await self.bus.start()
        following = self.bus.follow(self.room)
        if following is not None:
            await following
        return self

    async def say(self) -> None:
        """Say one thing, and write down what became of it."""
        self.number += 1
        payload = f"{self.name}-{self.number}".encode()
        try:
            await self.bus.publish(self.room, partial(message, payload))
        except BusUnavailable:
            self.unknown.append(payload)
        else:
            self.said.append(payload)

    async def speak(self, end: asyncio.Event) -> None:
        """Say one thing after another, some at once."""
        while not end.is_set():
            await asyncio.gather(*(self.say() for _ in range(3)))
            await asyncio.sleep(0.01)

    @property
    def kept(self) -> list[bytes]:
        """Return what the node has of the room in memory."""
        ring = self.bus._lines.rings.find(self.room)
        return [] if ring is None else [each.payload for each in ring.kept.values()]

    def _receive(self, arrival: Arrival) -> None:
        if arrival.room != self.room:
            return
        self.shown += [envelope.payload for envelope in arrival.envelopes]
        self.times += [envelope.time_ns for envelope in arrival.envelopes]


def message(payload: bytes, before: Before) -> RoomEnvelope:
    """Grant a message behind all others."""
    time_ns = max(time.time_ns(), before.time_ns + 1)
    return Deliver(
        payload, "SendMessage", time_ns=time_ns, id=payload.decode(), history=History.KEPT
    )


@contextlib.asynccontextmanager
async def speakers(
    url: str, number: int = 3, patience: Patience | None = None
) -> AsyncIterator[list[Speaker]]:
    """Give nodes in one room."""
    async with buses_at(url, number, patience=patience) as buses:
        yield [await Speaker(f"{each}", bus).begin() for each, bus in enumerate(buses)]


@contextlib.asynccontextmanager
async def speaking(all_of_them: list[Speaker]) -> AsyncIterator[None]:
    """Let them speak for the length of a `with` block."""
    end = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for speaker in all_of_them:
            tasks.create_task(speaker.speak(end))
        try:
            yield
        finally:
            end.set()


async def until_said(speaker: Speaker) -> None:
    """Let somebody speak until it is published."""
    before = len(speaker.said)
    while len(speaker.said) == before:
        await speaker.say()


async def agree(all_of_them: list[Speaker]) -> None:
    """Check that what was told is in everybody's list, once, and that there is one list.

    What a node keeps of the room is the end of that list.
    """
    for speaker in all_of_them:
        await speaker.say()
    said = {payload for speaker in all_of_them for payload in speaker.said}
    await until(lambda: all(said <= set(speaker.shown) for speaker in all_of_them))
    first, *others = (speaker.shown for speaker in all_of_them)
    assert all(other == first for other in others)
    assert len(first) == len(set(first))
    unknown = {payload for speaker in all_of_them for payload in speaker.unknown}
    assert said <= set(first) <= said | unknown
    assert all(speaker.kept == first[-len(speaker.kept) :] != [] for speaker in all_of_them)
    times = all_of_them[0].times
    assert times == sorted(set(times))


async def stored(bus: NatsBus, room: str = ROOM) -> list[bytes]:
    """Return what a room's stream shows of the room, whichever server answers."""
    number, found, first = subjects.stream_of(room), list[bytes](), 1
    end = await bus.streams.end(number)
    while first <= end.last:
        some = await bus.streams.read(number, first)
        if not some:
            await asyncio.sleep(0.05)
            continue
        here = [each for each in some if each.room == room]
        found += [envelope.payload for each in here for envelope in each.envelopes]
        first = some[-1].sequence + 1
    return found
