"""The line of one node whose rooms may log: places, rates, and what waits for a record."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from unittest import mock

import pytest

from greenroom.bus.base import Arrival, Before, Deliver, Position, RoomEnvelope, Stage
from greenroom.bus.memory import MemoryBus
from greenroom.chat.held_queues import held
from greenroom.chatlog.recorded_line import RecordedLine
from greenroom.model.arn import Arn
from greenroom.storage.base import StorageUnavailable
from tests.stand_ins.values import room_arn

ROOM, OTHER = str(room_arn()), str(room_arn())
CONFIGURATIONS = ("arn:aws:ivschat:us-east-1:123456789012:logging-configuration/Configur0001",)


class HandLog:
    """A chat log whose records are kept when the test says so."""

    def __init__(self) -> None:
        self.records: list[tuple[Arn, tuple[str, ...], bytes, int]] = []
        self.held_ids: list[str] = []
        self.waiting: list[tuple[Callable[[], object], asyncio.Future[None]]] = []

    def record(
        self,
        room: Arn,
        configurations: tuple[str, ...],
        payload: bytes,
        time_ns: int,
        publish: Callable[[], object],
        held_id: str = "",
    ) -> Awaitable[None]:
        self.held_ids.append(held_id)
        self.records.append((room, configurations, payload, time_ns))
        done = asyncio.get_running_loop().create_future()
        self.waiting.append((publish, done))
        return done

    def keep(self) -> None:
        """Keep what waits."""
        for publish, done in self.waiting:
            publish()
            done.set_result(None)
        self.waiting.clear()


class Scene:
    """A line with its bus, and all that arrived and was debited."""

    def __init__(self) -> None:
        self.bus, self.log = MemoryBus(), HandLog()
        self.line = RecordedLine(self.bus, self.log)  # type: ignore[arg-type]  # only records
        self.arrived: list[Arrival] = []
        self.debited: list[str] = []
        self.before: list[Before] = []
        self.line.on_arrival(self.arrived.append)
        self.line.on_debit(lambda room, _rate, _ago: self.debited.append(room))
        for room in (ROOM, OTHER):
            self.line.follow(room)

    def publish(
        self, number: int, room: str = ROOM, *, logs: bool = True
    ) -> "Position | Awaitable[Position]":
        """Publish a message that counts."""
        return self.line.publish(room, partial(self._grant, number, logs))

    def _grant(self, number: int, logs: bool, before: Before) -> RoomEnvelope:
        self.before.append(before)
        configurations = CONFIGURATIONS if logs else ()
        payload = b"%d" % number
        return Deliver(payload, "a", time_ns=number, configurations=configurations, rate=10)

    @property
    def shown(self) -> list[bytes]:
        """What arrived."""
        return [each.payload for arrival in self.arrived for each in arrival.envelopes]


@pytest.fixture
async def scene() -> Scene:
    """Give a started scene."""
    made = Scene()
    await made.bus.start()
    return made


async def test_what_logs_waits_for_its_record(scene: Scene) -> None:
    """It is on record as it is shown, and what awaits it has its place."""
    waiting = scene.publish(5)
    assert not isinstance(waiting, int)
    assert scene.log.records == [(Arn.parse(ROOM), CONFIGURATIONS, b"5", 5)]
    assert scene.shown == []
    placed = asyncio.ensure_future(waiting)
    await asyncio.sleep(0)
    assert not placed.done()
    scene.log.keep()
    assert await placed == scene.arrived[0].position
    assert scene.shown == [b"5"]


async def test_the_rest_is_a_call(scene: Scene) -> None:
    """Rooms that do not log wait for nothing, also while others do."""
    logged = scene.publish(1)
    assert isinstance(scene.publish(2, OTHER, logs=False), int)
    assert scene.shown == [b"2"]
    scene.log.keep()
    assert not isinstance(logged, int)
    await logged


async def test_order(scene: Scene) -> None:
    """What no longer logs stays behind what waits, and is recorded for nobody."""
    waiting = [scene.publish(1), scene.publish(2, logs=False)]
    assert scene.shown == []
    scene.log.keep()
    assert scene.shown == [b"1", b"2"]
    assert scene.log.records[1][1] == ()
    for each in waiting:
        assert not isinstance(each, int)
        await each
    assert isinstance(scene.publish(3, logs=False), int)


class Holder:
    """Keeps messages that wait when the test says so."""

    def __init__(self) -> None:
        self.kept: list[tuple[Callable[[], None], asyncio.Future[None]]] = []
        self.gone: list[tuple[str, ...]] = []
        self.is_settled = True
        self.settled = 0

    def keep(
        self, room: str, envelope: RoomEnvelope, show: Callable[[], None]
    ) -> "asyncio.Future[None]":
        assert (room, envelope.stage) == (ROOM, Stage.WAITS)
        shown: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.kept.append((show, shown))
        return shown

    def deleted(self, room: str, ids: Collection[str]) -> None:
        self.gone.append((room, *ids))

    async def settle(self) -> None:
        self.settled += 1


async def test_what_waits_is_kept_before_it_is_shown(scene: Scene) -> None:
    """It counts for the rate from its grant on, and not where it cannot be kept."""
    holder = scene.line._holding = Holder()
    waits = Deliver(b"1", "a", time_ns=1, rate=10, stage=Stage.WAITS)
    placed = scene.line.publish(ROOM, lambda _: waits)
    failed = scene.line.publish(ROOM, lambda _: waits)
    assert not isinstance(placed, int)
    assert not isinstance(failed, int)
    assert scene.shown == []
    assert isinstance(scene.publish(2, logs=False), int)
    assert scene.before[-1] == Before(1, 2)
    (show, shown), (_, refused) = holder.kept
    show()
    shown.set_result(None)
    assert await placed == scene.arrived[-1].position
    assert (scene.shown, scene.debited) == ([b"2", b"1"], [ROOM, ROOM])
    refused.set_exception(StorageUnavailable("full"))
    with pytest.raises(StorageUnavailable):
        await failed
    await asyncio.sleep(0)
    scene.publish(3, logs=False)
    assert scene.before[-1] == Before(2, 0)


async def test_what_was_released_is_recorded_as_that(scene: Scene) -> None:
    """So that it is not recorded once more; what is deleted is told as it has its place."""
    holder = scene.line._holding = Holder()
    released = Deliver(b"1", "a", id="one", configurations=CONFIGURATIONS, stage=Stage.RELEASED)
    deletion = Deliver(b"2", "a", id="two", configurations=CONFIGURATIONS, deletes=("one", "x"))
    placed = [scene.line.publish(ROOM, lambda _: released)]
    placed.append(scene.line.publish(ROOM, lambda _: deletion))
    assert scene.log.held_ids == ["one", ""]
    assert holder.gone == [(ROOM, "one", "x")]
    scene.log.keep()
    assert scene.shown == [b"1", b"2"]
    for each in placed:
        assert not isinstance(each, int)
        await each
    assert scene.line.kept() is None
    holder.is_settled = False
    kept = scene.line.kept()
    assert kept is not None
    await kept
    assert holder.settled == 1


async def test_grants_know_what_waits(scene: Scene) -> None:
    """Each is told the send time of the last grant, and how many of its room are not debited."""
    waiting = [scene.publish(1), scene.publish(2), scene.publish(3, OTHER)]
    assert scene.before == [Before(0, 0), Before(1, 1), Before(2, 0)]
    assert scene.debited == []
    scene.log.keep()
    assert scene.debited == [ROOM, ROOM, OTHER]
    scene.publish(4, logs=False)
    assert scene.before[-1] == Before(3, 0)
    for each in waiting:
        assert not isinstance(each, int)
        await each


async def test_who_no_longer_waits_is_counted_once(scene: Scene) -> None:
    """What is kept until it is released is shown all the same, and is then no more than debited."""
    holding, kept = mock.Mock(), asyncio.get_running_loop().create_future()
    holding.keep.return_value = kept
    line = RecordedLine(scene.bus, scene.log, holding)  # type: ignore[arg-type]  # only records
    waits = held(Deliver(b"1", "SendMessage", id="first", rate=10), "bob")
    outcome = asyncio.ensure_future(line.publish(ROOM, lambda _: waits))  # type: ignore[arg-type]  # it is to be awaited
    await asyncio.sleep(0)
    outcome.cancel()
    await asyncio.wait([outcome])
    *_, show = holding.keep.call_args.args
    show()
    before: list[int] = []

    def grant(known: Before) -> Deliver:
        before.append(known.undebited)
        return Deliver(b"2", "SendMessage", id="second")

    line.publish(ROOM, grant)
    assert before == [0]


def test_whose_rooms_are_followed() -> None:
    """The bus's: it is told of rooms that come, and of those that go."""
    bus = mock.Mock()
    line = RecordedLine(bus, HandLog())  # type: ignore[arg-type]  # only records
    line.follow(ROOM)
    line.unfollow(OTHER)
    bus.follow.assert_called_once_with(ROOM)
    bus.unfollow.assert_called_once_with(OTHER)
