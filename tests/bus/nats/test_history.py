"""What is read of a room's stream when somebody asks for what is not in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from structlog.testing import capture_logs

from greenroom.bus.base import (
    MOST_KEPT,
    Before,
    Deliver,
    History,
    Older,
    Recovered,
    RoomEnvelope,
)
from greenroom.bus.nats import headers, history, lines, stored, subjects
from greenroom.bus.nats.bus import NatsBus
from greenroom.bus.nats.codec import Batch, encode
from greenroom.bus.nats.connection import Connection, NoAnswer
from greenroom.bus.nats.history import KEPT_NS, SPANS, earlier
from greenroom.bus.nats.stored import Message
from greenroom.model.errors import ServiceUnavailableException
from scripts.servers.nats_server import NatsServer, nats_server
from tests.running.buses import buses_at, until

NOW_NS = 1_900_000_000 * headers.NANOSECONDS
ROOM = "room"


def kept(number: int, state: History = History.KEPT) -> RoomEnvelope:
    """Return an envelope whose id is its number."""
    return Deliver(b"{}", "SendMessage", id=f"{number}", history=state)


class RoomReader:
    """A room whose messages a test puts in place, three of which are read at once."""

    stream = "ROOMS_00"

    def __init__(self, apart: int = 3) -> None:
        self._apart = apart
        self.messages: list[Message] = []
        self.reads: list[Mapping[str, object]] = []
        self.behind = 0
        """So many reads are answered by a server that has nothing of it yet."""

    def put(self, seconds_ago: float, *envelopes: RoomEnvelope) -> None:
        """Store a message, some numbers of the stream behind the one before."""
        sequence = self._apart * (len(self.messages) + 1)
        stamp = headers.written(NOW_NS - int(seconds_ago * 1e9)).encode()
        batch = encode(Batch("there", sequence, 2 * NOW_NS, envelopes))
        self.messages.append(Message(sequence, stamp, batch))

    async def some(self, start: Mapping[str, object]) -> list[Message]:
        self.reads.append(start)
        if self.behind:
            self.behind -= 1
            return []
        first, since = start.get("seq", 0), str(start.get("start_time", ""))
        assert isinstance(first, int)
        here = (each for each in self.messages if each.sequence >= first)
        return [each for each in here if each.stamp.decode() >= since][:3]

    async def before(self, begin: int | None = None) -> list[str]:
        """Return the ids of what is found before a position; that is behind everything."""
        position = self.messages[-1].sequence + 1 if begin is None else begin
        # What is asked of a reader is what it has here.
        found = await earlier(self, self.messages[-1].stamp_ns, position)  # type: ignore[arg-type]
        return [each.id for each in found]


async def test_what_is_read_in_spans() -> None:
    """Each is put before those behind it, until the hour is over: nothing twice, without a gap."""
    reader = RoomReader()
    for number, ago in enumerate((4000, 3000, 900, 800, 700, 200, 100, 50, 20, 10, 5, 1, 0)):
        reader.put(ago, kept(number))
    assert await reader.before() == [f"{number}" for number in range(1, 13)]
    assert [each["start_time"] for each in reader.reads if "start_time" in each] == [
        headers.written(NOW_NS - seconds * headers.NANOSECONDS) for seconds in SPANS
    ]
    assert await reader.before(reader.messages[5].sequence) == ["1", "2", "3", "4"]
    # The place before which it is read may be a little behind another room's message.
    assert await reader.before(reader.messages[5].sequence - 1) == ["1", "2", "3", "4"]


async def test_a_room_that_has_its_stream_for_itself() -> None:
    """What was read is gone on behind, at the next number."""
    reader = RoomReader(apart=1)
    for number in range(8):
        reader.put(1, kept(number))
    assert await reader.before() == [f"{number}" for number in range(8)]


async def test_no_more_is_read_than_is_kept() -> None:
    """When a span has enough, no longer one is read; of a batch all is read."""
    reader = RoomReader()
    reader.put(30, kept(-1))
    for number in range(10):
        reader.put(1, *(kept(100 * number + each) for each in range(MOST_KEPT // 10)))
    assert await reader.before() == [f"{number}" for number in range(MOST_KEPT)]
    assert sum("start_time" in each for each in reader.reads) == 1


async def test_a_room_without_history() -> None:
    """Its last message says so: nothing before that is looked at, and nothing of it is found."""
    reader = RoomReader()
    reader.put(100, kept(1))
    reader.put(10, kept(2), kept(3, History.NONE), kept(4), kept(5, History.PASSING))
    reader.put(0, kept(6))
    assert await reader.before() == ["4", "6"]
    assert sum("start_time" in each for each in reader.reads) == 1


async def test_a_server_that_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again until it has what is known to be there, and not for ever."""
    monkeypatch.setattr(history, "BEHIND_SECONDS", 0)
    reader = RoomReader()
    for number in range(4):
        reader.put(0, kept(number))
    reader.behind = 5
    assert await reader.before() == ["0", "1", "2", "3"]
    reader.behind = 2 * history.BEHIND_TIMES
    with pytest.raises(NoAnswer):
        await reader.before()
    reader.behind, last = 0, reader.messages.pop()
    with pytest.raises(NoAnswer):
        await earlier(reader, last.stamp_ns, last.sequence + 1)  # type: ignore[arg-type]


async def test_a_span_with_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up, and what is behind it is found: that has no gap."""
    monkeypatch.setattr(history, "MOST_READS", 2)
    reader = RoomReader()
    for number in range(8):
        reader.put(40, kept(number))
    reader.put(5, kept(8))
    reader.put(0, kept(9))
    assert await reader.before() == ["8", "9"]


async def test_bytes_of_strangers() -> None:
    """They are passed over; what is void was shown to nobody."""
    reader = RoomReader()
    reader.put(2, kept(1))
    reader.messages.append(Message(6, headers.written(NOW_NS).encode(), b"\xff"))
    late = encode(Batch("there", 1, NOW_NS - 1, (kept(2),)))
    reader.messages.append(Message(9, headers.written(NOW_NS).encode(), late))
    assert await reader.before() == ["1"]


# Over a server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """Give a server of the test's own."""
    with nats_server(tmp_path) as started:
        yield started


@pytest.fixture
async def nodes(server: NatsServer) -> AsyncIterator[list[NatsBus]]:
    """Give two nodes."""
    async with buses_at(server.url, 2) as opened:
        for bus in opened:
            await bus.start()
        yield opened


async def say(bus: NatsBus, numbers: Sequence[int]) -> list[RoomEnvelope]:
    """Publish what is kept; return it."""
    said = [kept(number) for number in numbers]
    await asyncio.gather(*(bus.publish(ROOM, partial(_granted, each)) for each in said))
    return said


def _granted(envelope: RoomEnvelope, _: Before) -> RoomEnvelope:
    return envelope


async def since(bus: NatsBus, number: int) -> Recovered:
    """Return what is behind an id."""
    found = bus.since(ROOM, f"{number}")
    return found if isinstance(found, Recovered) else await found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the streams that are read: it grows with each read."""
    asked: list[str] = []
    read = stored.some

    async def some(
        connection: Connection, stream: str, subject: str, start: Mapping[str, object]
    ) -> list[Message]:
        asked.append(stream)
        return await read(connection, stream, subject, start)

    monkeypatch.setattr(stored, "some", some)
    return asked


async def test_a_node_that_is_new_to_the_room(nodes: list[NatsBus], reads: list[str]) -> None:
    """It gives all that the room has kept, and reads it once, however many ask."""
    first, second = nodes
    said = await say(first, range(20))
    said += await say(first, range(20, 30))
    following = second.follow(ROOM)
    assert following is not None
    await following
    said += await say(first, range(30, 32))
    await until(lambda: second.newest(ROOM) == said[-1])
    # What a node reads when it follows a room is the last seconds only.
    second._lines.rings.forget(ROOM)
    del reads[:]
    storm = await asyncio.gather(*(since(second, number) for number in list(range(32)) * 30))
    for number, found in zip(list(range(32)) * 30, storm, strict=True):
        assert list(found.envelopes) == said[number + 1 :]
        assert found.complete
    assert 0 < len(reads) <= len(SPANS)
    del reads[:]
    assert not (await since(second, 99)).complete
    recent = second.recent(ROOM, 50)
    assert isinstance(recent, Recovered)
    assert list(recent.envelopes) == said
    assert reads == []


async def test_the_seam_of_a_room_that_is_read_meanwhile(nodes: list[NatsBus]) -> None:
    """What arrives while the stream is read is in the answer, or behind its position: once."""
    first, second = nodes
    said = await say(first, range(10))
    arrived: list[tuple[int, Sequence[RoomEnvelope]]] = []
    second.on_arrival(lambda each: arrived.append((each.position, each.envelopes)))
    for number in range(10, 40):
        second._lines.rings.forget(ROOM)
        following = second.follow(ROOM)
        if following is not None:
            await following
        speaking = asyncio.ensure_future(say(first, range(10 * number, 10 * number + 5)))
        recovered = await since(second, 0)
        said += await speaking
        await until(partial(_has, second, said[-1]))
        live = [
            each for position, some in arrived if position > recovered.position for each in some
        ]
        assert [*recovered.envelopes, *live] == said[1:]
        assert recovered.complete


def _has(bus: NatsBus, newest: RoomEnvelope) -> bool:
    return bus.newest(ROOM) == newest


async def test_nobody_follows(nodes: list[NatsBus], monkeypatch: pytest.MonkeyPatch) -> None:
    """The room is read all the same, and forgotten like any that nobody needs."""
    monkeypatch.setattr(lines, "LINGER_SECONDS", 0.1)
    monkeypatch.setattr(lines, "SWEEP_TICKS", 1)
    first, second = nodes
    said = await say(first, range(5))
    assert list((await since(second, 2)).envelopes) == said[3:]
    await until(lambda: second.figures.rooms == 0)
    assert second.rings.bytes == 0
    assert second.newest(ROOM) is None
    assert list((await since(second, 3)).envelopes) == said[4:]


async def test_without_a_connection(nodes: list[NatsBus], server: NatsServer) -> None:
    """What is in memory is given; nobody waits for more, and nothing is said to be complete.

    When the connection is back, what was missed is behind the position.
    """
    first, second = nodes
    for bus in nodes:
        following = bus.follow(ROOM)
        if following is not None:
            await following
    said = await say(first, range(5))
    await until(lambda: second.newest(ROOM) == said[-1])
    await asyncio.to_thread(server.kill)
    await until(lambda: not second.figures.connected)
    found = second.since(ROOM, "2")
    assert isinstance(found, Recovered)
    assert (list(found.envelopes), found.complete) == (said[3:], True)
    unknown = await since(second, 77)
    assert (list(unknown.envelopes), unknown.complete) == (said, False)
    await asyncio.to_thread(server.start)
    more = await say(first, range(5, 8))
    await until(lambda: second.newest(ROOM) == more[-1])
    assert list((await since(second, 2)).envelopes) == [*said[3:], *more]
    assert second._lines.position(ROOM) > found.position


async def test_who_asks_no_longer(nodes: list[NatsBus]) -> None:
    """Others who wait for the same are answered; so are those who wait when the bus is closed."""
    first, second = nodes
    said = await say(first, range(5))
    asking = [asyncio.ensure_future(since(second, 1)) for _ in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(isinstance(each, Recovered) and each.complete for each in found[1:])
    assert len(said) == 5
    second._lines.rings.forget(ROOM)
    late = asyncio.ensure_future(since(second, 1))
    await asyncio.sleep(0)
    await second.close()
    assert not (await late).complete


async def test_a_room_whose_last_message_is_too_old(nodes: list[NatsBus], reads: list[str]) -> None:
    """The stream has nothing of it any more: nobody looks for it."""
    first, second = nodes
    await say(first, range(3))
    assert (await since(second, 1)).complete
    second._lines.rings.forget(ROOM)
    stream = subjects.stream_of(ROOM)
    ahead = second._lines._ahead_ns
    ahead[stream] += KEPT_NS + 60 * headers.NANOSECONDS  # that clock is known in part
    del reads[:]
    assert not (await since(second, 1)).complete
    assert reads == []


async def test_what_is_kept_for_longer_is_tried_again(nodes: list[NatsBus]) -> None:
    """While it cannot be read there is what the stream has, and not everybody asks for more."""
    first, second = nodes
    said = await say(first, range(5))
    older = [kept(-2), kept(-1), *said]
    keeper = AsyncMock(side_effect=ServiceUnavailableException("not now"))
    second._history.keeper = keeper
    for _ in range(3):
        found = await since(second, -1)
        assert (list(found.envelopes), found.complete, found.is_unread) == (said, False, True)
    assert (await since(second, 2)).complete
    assert keeper.call_count == 1
    ring = second._lines.rings.of(ROOM, 0)
    ring.tried_at -= history.AGAIN_SECONDS
    keeper.side_effect, keeper.return_value = None, Older(older)
    found = await since(second, -1)
    assert (list(found.envelopes), found.complete, found.is_unread) == (said, True, False)
    assert list((await since(second, -2)).envelopes) == older[1:]
    assert keeper.call_count == 2


async def test_a_fault_of_reading_ends_nothing() -> None:
    """It is told where it is, without what may have been read."""
    kept: Any = Mock(_turn=asyncio.Lock(), _read=AsyncMock(side_effect=KeyError("secret")))
    with capture_logs() as logs:
        await history.StreamHistory._fill(kept, "room")
    assert [(line["event"], line["error"]) for line in logs] == [
        ("reading a room's history crashed", "KeyError")
    ]
    assert "secret" not in str(logs)
    kept._rooms.figures.tell.assert_not_called()


@pytest.mark.parametrize(
    ("error", "reason"), [(NoAnswer("why"), "why"), (TimeoutError(), "it takes too long")]
)
async def test_what_cannot_be_read_is_told(error: Exception, reason: str) -> None:
    """Whoever asked is shown what there is; the log says why there is no more."""
    kept: Any = Mock(_turn=asyncio.Lock(), _read=AsyncMock(side_effect=error))
    await history.StreamHistory._fill(kept, "room")
    kept._rooms.figures.tell.assert_called_once_with(
        "a room's history cannot be read now", reason=reason
    )
