"""The bus of a single node: publishing is a call (its guarantees: tests/contracts)."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from structlog.testing import capture_logs

from greenroom.bus import memory as memory_module
from greenroom.bus.base import (
    Arrival,
    Before,
    ControlEnvelope,
    Deliver,
    History,
    Older,
    Recovered,
    RoomChanged,
    RoomEnvelope,
)
from greenroom.bus.memory import MemoryBus
from greenroom.model.errors import ServiceUnavailableException
from tests.stand_ins.loose_tasks import LooseTasks

FRAME = Deliver(b"{}", "SendMessage")


def kept(name: str) -> Deliver:
    """Return a message that is kept."""
    return Deliver(b"{}", "SendMessage", id=name, history=History.KEPT)


class Keeping:
    """Keeps what it is told, and gives again what a test says."""

    def __init__(self) -> None:
        self.rooms: set[str] = set()
        self.taken: list[RoomEnvelope] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = 0

    def take(self, _room: str, envelope: RoomEnvelope) -> None:
        self.taken.append(envelope)

    async def appended(self) -> None:
        """Have it kept."""

    async def older(self, _room: str) -> Older:
        self.asked += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return Older([kept("older")])


async def read(found: Recovered | Awaitable[Recovered]) -> Recovered:
    """Return what was found, when it is there."""
    return found if isinstance(found, Recovered) else await found


async def test_delivers_at_once() -> None:
    """What is sent has been received when the call returns: no tick of the loop is lost."""
    bus, arrived, heard = MemoryBus(), list[Arrival](), list[ControlEnvelope]()
    bus.on_arrival(arrived.append)
    bus.on(RoomChanged, heard.append)
    bus.follow("room")
    await bus.start()
    position = bus.publish("room", lambda _: FRAME)
    assert arrived == [Arrival("room", position, (FRAME,))]
    bus.broadcast(RoomChanged("room"))
    assert heard == [RoomChanged("room")]


async def test_who_is_told_nothing() -> None:
    """Nobody before the start and after the end, nor of a room that is not followed any more."""
    bus, arrived, heard = MemoryBus(), list[Arrival](), list[ControlEnvelope]()
    bus.on_arrival(arrived.append)
    bus.on(RoomChanged, heard.append)
    bus.follow("room")

    def told() -> tuple[int, int]:
        bus.publish("room", lambda _: FRAME)
        bus.broadcast(RoomChanged("room"))
        counts = len(arrived), len(heard)
        arrived.clear()
        heard.clear()
        return counts

    assert told() == (0, 0)
    await bus.start()
    assert told() == (1, 1)
    bus.unfollow("room")
    assert told() == (0, 1)
    bus.follow("room")
    assert told() == (1, 1)
    await bus.close()
    assert told() == (0, 0)


async def test_what_counts_for_a_rate() -> None:
    """It is told to whoever counts, whether anybody follows the room or not."""
    bus, debits = MemoryBus(), list[tuple[str, int, float]]()
    bus.on_debit(lambda room, rate, seconds_ago: debits.append((room, rate, seconds_ago)))
    bus.publish("room", lambda _: Deliver(b"{}", "SendMessage", rate=5))
    bus.publish("room", lambda _: FRAME)
    assert debits == [("room", 5, 0.0)]


async def test_a_grant_is_asked_once() -> None:
    """Nobody else can have been faster; so it is before the start, and where nobody follows."""
    bus, asked = MemoryBus(), list[Before]()

    def grant(before: Before) -> Deliver:
        asked.append(before)
        return Deliver(b"{}", "SendMessage", time_ns=before.time_ns + 7)

    positions = [bus.publish("room", grant)]
    await bus.start()
    positions.append(bus.publish("other", grant))
    bus.follow("room")
    positions.append(bus.publish("room", grant))
    assert asked == [Before(0, 0), Before(7, 0), Before(14, 0)]
    assert positions == sorted(set(positions))


async def test_what_a_keeper_is_told() -> None:
    """What is kept or deletes; of what is not, where something is kept, which that ends."""
    bus, keeper, given = MemoryBus(), Keeping(), list[RoomEnvelope]()
    assert bus.kept() is None
    bus.keep_with(keeper, LooseTasks())
    deletion = Deliver(b"{}", "DeleteMessage", id="d", deletes=("m",))

    def put(envelope: RoomEnvelope, *, told: bool) -> None:
        bus.put("room", envelope)
        given.extend([envelope] if told else [])
        assert keeper.taken == given

    put(FRAME, told=False)
    put(deletion, told=True)
    put(FRAME, told=False)
    keeper.rooms.add("another")
    put(FRAME, told=True)
    keeper.rooms.clear()
    put(kept("m"), told=True)
    put(FRAME, told=True)
    put(FRAME, told=False)
    waiting = bus.kept()
    assert waiting is not None
    await waiting


@pytest.mark.parametrize(
    "error", [ServiceUnavailableException("away"), ValueError("secret"), TimeoutError()]
)
async def test_what_cannot_be_read(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be more then, and it is said; the next one who asks has it read again."""
    bus, keeper = MemoryBus(), Keeping()
    bus.keep_with(keeper, LooseTasks())
    bus.put("room", kept("m"))
    if isinstance(error, TimeoutError):
        monkeypatch.setattr(memory_module, "FILL_SECONDS", 0.001)
        keeper.gate.clear()
    else:
        keeper.error = error
    with capture_logs() as logs:
        found = await asyncio.gather(*(read(bus.since("room", "older")) for _ in range(3)))
    assert {(each.is_unread, each.complete) for each in found} == {(True, False)}
    assert (keeper.asked, len(logs)) == (1, 1)
    keeper.error = None
    keeper.gate.set()
    monkeypatch.undo()
    again = await read(bus.since("room", "older"))
    assert ([each.id for each in again.envelopes], again.complete) == (["m"], True)
    assert not again.is_unread
    assert keeper.asked == 2


async def test_what_is_in_memory_is_not_waited_for() -> None:
    """An id that is known, as many as are asked for; and all, when it was read once."""
    bus, keeper = MemoryBus(), Keeping()
    alone: list[Any] = [bus.since("room", "m"), bus.recent("room", 1)]
    assert all(isinstance(each, Recovered) for each in alone), "there is nothing else to read"
    bus.keep_with(keeper, LooseTasks())
    bus.put("room", kept("m"))
    for found in (bus.since("room", "m"), bus.recent("room", 1)):
        assert isinstance(found, Recovered)
    recent = await read(bus.recent("room", 2))
    assert [each.id for each in recent.envelopes] == ["older", "m"]
    for found in (bus.since("room", "x"), bus.recent("room", 9)):
        assert isinstance(found, Recovered)
    assert keeper.asked == 1
    newest = bus.newest("room")
    assert newest is not None
    assert newest.id == "m"
    assert bus.newest("other") is None
