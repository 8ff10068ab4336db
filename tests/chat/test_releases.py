"""How what waits is released, by itself: in which order, how much at a time, and what fails."""

import asyncio
import itertools
from collections.abc import Collection
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from greenroom.bus.base import Before, Deliver, Grant, Position
from greenroom.chat import releases as releases_module
from greenroom.chat.held_queues import HeldQueues
from greenroom.chat.in_force import SettingsInForce
from greenroom.chat.releases import Releases
from greenroom.chat.rooms_cache import RoomsCache
from greenroom.model.arn import Arn
from greenroom.model.errors import ServiceUnavailableException
from greenroom.model.held_message import HeldMessage
from greenroom.model.room import Room
from greenroom.model.room_settings import Override, Overrides
from greenroom.storage.memory.store import MemoryStore
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.listening import ListeningBus
from tests.stand_ins.loose_tasks import LooseTasks
from tests.stand_ins.stage import settle
from tests.stand_ins.values import a_configuration, a_room


class Upkeep:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.prepared: list[str] = []
        self.told: list[tuple[str, str, list[str]]] = []
        self.is_ready = True
        self.error: Exception | None = None

    def is_prepared(self, room: str) -> bool:
        return self.is_ready

    async def prepare(self, room: str) -> bool:
        self.prepared.append(room)
        if self.error is not None:
            raise self.error
        return self.is_ready

    async def released(self, room: str, ids: Collection[str]) -> None:
        self.told.append(("released", room, list(ids)))

    async def dropped(self, room: str, ids: Collection[str]) -> None:
        self.told.append(("dropped", room, list(ids)))

    def empty(self, room: str) -> None:
        self.told.append(("empty", room, []))


class Line(ListeningBus):
    """Publishes at once, or when a test says so; what comes in between is the test's, too."""

    def __init__(self) -> None:
        super().__init__()
        self.gate: asyncio.Event | None = None
        self.first: Any = lambda: None
        self.deleted: tuple[str, ...] = ()

    def publish(  # type: ignore[override]  # as the port allows
        self, room: str, grant: Grant
    ) -> "Position | asyncio.Task[Position]":
        self.first()
        envelope = grant(Before(0, 0, self.deleted))
        if self.gate is None:
            return self.put(room, envelope)
        return asyncio.ensure_future(self._put_later(room, envelope, self.gate))

    async def _put_later(self, room: str, envelope: Any, gate: asyncio.Event) -> Position:
        await gate.wait()
        return self.put(room, envelope)


class Scene:
    """Rooms in which messages wait that are due."""

    def __init__(self) -> None:
        self.time, self.store, self.line = HandClock(), MemoryStore(), Line()
        tasks = LooseTasks()
        self.rooms = RoomsCache(self.store.rooms, self.line, tasks, clock=self.time.clock)
        self.queues, self.upkeep = HeldQueues(self.time.clock), Upkeep()
        self.releases = Releases(
            self.queues,
            self.upkeep,
            self.rooms,
            self.line,
            SettingsInForce(self.time.clock),
            self.time.clock,
            tasks,
        )

    async def room(self, **members: Any) -> str:
        """Make a room that the cache knows; return its ARN."""
        room: Room = msgspec.structs.replace(a_room(), **members)
        await self.store.rooms.create(room, 0)
        await self.rooms.get(str(room.arn))
        return str(room.arn)

    def waits(self, room: str, *ids: str, late: float = 0.0, size: int = 2, **more: Any) -> None:
        """Have messages wait that have been due for so long."""
        for each in ids:
            message = HeldMessage(room, each, "bob", self.time.wall_ns, b"x" * size, **more)
            self.queues.add(message, self.time.seconds - late)

    async def tick(self) -> None:
        """Look, and let happen what that begins."""
        self.releases.tick()
        await settle()

    def ids(self) -> list[str]:
        """Return what was published, in order."""
        return [each.id for each in self.line.published if isinstance(each, Deliver)]


async def test_how_long_something_has_been_due() -> None:
    """Of all rooms the longest; what is paused, not known yet, or gone is not late."""
    scene = Scene()
    assert scene.releases.overdue_seconds == 0.0
    paused = Overrides(1, {"paused": Override(True, "me", scene.time.clock.now_ms() + 60_000)})
    scene.waits(await scene.room(overrides=paused), "m1", late=9)
    gone = str(a_room().arn)
    scene.waits(gone, "m2", late=9)
    await scene.tick()
    assert scene.releases.overdue_seconds == 0.0
    for late in (2, 5, 1):
        scene.waits(await scene.room(), f"late{late}", late=late)
    scene.releases.tick()
    assert scene.releases.overdue_seconds == 5.0
    await settle()
    await scene.tick()
    assert scene.releases.overdue_seconds == 0.0
    assert sorted(scene.ids()) == ["late1", "late2", "late5"]
    assert scene.releases.released == 3
    scene.queues.remove(scene.queues.rooms[0], ["m1"])
    await scene.tick()
    assert scene.releases.overdue_seconds == 0.0


async def test_what_waits_in_a_room_that_is_gone() -> None:
    """It is dropped, and nothing is late for it."""
    scene = Scene()
    gone = await scene.room()
    await scene.store.rooms.delete(Arn.parse(gone))
    scene.rooms.note_deleted(gone)
    scene.waits(gone, "m1", "m2")
    await scene.tick()
    scene.releases.tick()
    assert scene.releases.overdue_seconds == 0.0
    await settle()
    assert scene.upkeep.told == [("dropped", gone, ["m1", "m2"]), ("empty", gone, [])]
    assert scene.ids() == []


async def test_it_begins_when_it_is_said_to() -> None:
    """Not a moment earlier."""
    scene = Scene()
    scene.waits(await scene.room(), "m1")
    scene.releases.begin_after(2)
    for seconds, ids in ((1.75, []), (0.25, ["m1"])):
        scene.time.advance(seconds)
        await scene.tick()
        assert scene.ids() == ids


async def test_each_room_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: a tick begins where the one before has ended."""
    monkeypatch.setattr(releases_module, "MOST_ROOMS", 2)
    scene = Scene()
    scene.upkeep.is_ready = False
    rooms = [await scene.room() for _ in range(5)]
    for each in rooms:
        scene.waits(each, "m" + each)
    for _ in range(5):
        await scene.tick()
    turns = [rooms.index(each) for each in scene.upkeep.prepared]
    assert turns == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(("bound", "released"), [(10, 1), (11, 2), (20, 2), (21, 3)])
async def test_so_many_bytes_go_at_once(
    monkeypatch: pytest.MonkeyPatch, bound: int, released: int
) -> None:
    """The first message whatever its size; then as long as there are fewer."""
    monkeypatch.setattr(releases_module, "BYTES_AT_ONCE", bound)
    scene = Scene()
    scene.waits(await scene.room(), "m1", "m2", "m3", "m4", size=10)
    await scene.tick()
    assert scene.ids() == ["m1", "m2", "m3", "m4"][:released]


async def test_the_loop_does_other_things_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many messages are released in one turn of it, in all rooms together."""
    monkeypatch.setattr(releases_module, "IN_A_TURN", 2)
    scene = Scene()
    scene.waits(await scene.room(), "m1", "m2", "m3", "m4", "m5", "m6")
    scene.releases.tick()
    released = []
    for _ in range(4):
        await asyncio.sleep(0)
        released.append(len(scene.ids()))
    assert released == [1, 3, 5, 6]


async def test_one_that_is_deleted_as_it_gets_its_place() -> None:
    """It is not shown, and those behind it are, at once."""
    scene = Scene()
    room = await scene.room()
    scene.waits(room, "m1", "m2")
    scene.line.first = lambda: scene.queues.remove(room, ["m1"])
    await scene.tick()
    assert scene.ids() == ["m2"]
    assert scene.upkeep.told == [("released", room, ["m2"]), ("empty", room, [])]


async def test_a_room_that_another_node_releases_from_now_on() -> None:
    """Nothing more of it is released here, not even of what was begun."""
    scene = Scene()
    room = await scene.room()
    scene.waits(room, "m1", "m2")

    def first() -> None:
        scene.upkeep.is_ready = False

    scene.line.first = first
    await scene.tick()
    assert scene.ids() == ["m1"]
    assert scene.queues.ids(room) == ["m2"]


async def test_one_whose_deletion_has_no_place_yet() -> None:
    """It goes together with the deletion, and would be shown behind it: it waits for that."""
    scene = Scene()
    room = await scene.room()
    scene.waits(room, "m1", "m2")
    looks = itertools.count(1)

    def first() -> None:
        scene.line.deleted = ("m0", "m1")
        if next(looks) == 3:
            scene.queues.remove(room, ["m1"])

    scene.line.first = first
    await scene.tick()
    assert scene.ids() == ["m2"]
    assert next(looks) == 5


async def test_a_line_that_takes_its_time() -> None:
    """A message waits until it has its place; the end waits for it, and releases no more."""
    scene = Scene()
    room = await scene.room()
    scene.waits(room, "m1", "m2")
    scene.line.gate = asyncio.Event()
    await scene.tick()
    assert scene.queues.ids(room) == ["m1", "m2"]
    stopping = asyncio.create_task(scene.releases.stop())
    await settle()
    assert not stopping.done()
    assert scene.upkeep.told == []
    scene.line.gate.set()
    await stopping
    assert (scene.ids(), scene.queues.ids(room)) == (["m1"], ["m2"])
    assert scene.upkeep.told == [("released", room, ["m1"])]


async def test_what_fails_is_told_once() -> None:
    """Until something was released again; and a crash ends nothing but the attempt."""
    scene = Scene()
    room = await scene.room()

    async def lines() -> list[str]:
        with capture_logs() as logs:
            await scene.tick()
        return [line["event"] for line in logs]

    scene.waits(room, "m1")
    for following in ("m2", "m3"):
        scene.upkeep.error = ServiceUnavailableException("away")
        failed = "messages that wait cannot be released now"
        assert await lines() == [failed]
        assert await lines() == []
        scene.upkeep.error = None
        assert await lines() == []
        scene.waits(room, following)
    scene.upkeep.error = ZeroDivisionError()
    assert await lines() == ["releasing messages crashed"]
    scene.upkeep.error = None
    assert await lines() == []
    assert scene.ids() == ["m1", "m2", "m3"]


@pytest.mark.parametrize("is_shadowed", [False, True])
@pytest.mark.parametrize("is_recorded", [False, True])
async def test_what_chat_logs_get_of_it(*, is_shadowed: bool, is_recorded: bool) -> None:
    """What everybody is shown, once; nothing of what nobody else sees."""
    scene = Scene()
    configuration = a_configuration()
    await scene.store.logging_configurations.create(configuration, 0)
    logs = (str(configuration.arn),)
    room = await scene.room(logging_configuration_identifiers=logs)
    scene.waits(room, "m1", is_shadowed=is_shadowed, is_recorded=is_recorded)
    await scene.tick()
    (shown,) = scene.line.published
    assert isinstance(shown, Deliver)
    assert shown.configurations == (() if is_shadowed or is_recorded else logs)
    assert shown.user_id == ("bob" if is_shadowed else "")
