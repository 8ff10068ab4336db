"""How a node that has its store alone keeps what waits: from before it is seen until it is over."""

import asyncio
from collections.abc import Collection
from unittest.mock import AsyncMock

import pytest

from greenroom.bus.base import Deliver
from greenroom.chat.held_alone import HeldAlone
from greenroom.chat.held_queues import HeldQueues, held
from greenroom.model.held_message import HeldMessage
from greenroom.storage.base import StorageUnavailable
from greenroom.storage.memory.store import MemoryStore
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.loose_tasks import LooseTasks
from tests.stand_ins.stage import settle


class Scene:
    """A node, and what it has shown."""

    def __init__(self) -> None:
        self.time, self.store, self.shown = HandClock(), MemoryStore(), list[str]()
        self.queues = HeldQueues(self.time.clock)
        self.alone = HeldAlone(
            self.queues,
            self.store.held_messages,
            self.store.history,
            lambda: None,
            self.time.clock,
            LooseTasks(),
        )

    def keep(self, name: str, room: str = "room") -> "asyncio.Future[None]":
        """Have a message kept that is to wait."""
        sent = Deliver(b"{}", "SendMessage", id=name, time_ns=self.time.wall_ns)
        return self.alone.keep(room, held(sent, "bob"), lambda: self.shown.append(name))

    def is_settled(self) -> bool:
        """Return whether nothing is kept that no longer waits."""
        return self.alone.is_settled

    async def kept(self) -> list[str]:
        """Return what the store has."""
        return [each.id for _, each in await self.store.held_messages.waiting(0, 99)]


async def test_it_is_shown_when_it_is_kept() -> None:
    """And waits from then on."""
    scene = Scene()
    keeping = scene.keep("m1")
    assert (scene.shown, scene.queues.ids("room")) == ([], [])
    await keeping
    assert (scene.shown, scene.queues.ids("room"), await scene.kept()) == (["m1"], ["m1"], ["m1"])
    assert scene.is_settled()


async def test_what_is_not_kept_is_shown_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sent it is told, and nothing of it stays, also if it is deleted later."""
    scene = Scene()
    away = AsyncMock(side_effect=StorageUnavailable("away"))
    monkeypatch.setattr(scene.store.held_messages, "add", away)
    with pytest.raises(StorageUnavailable):
        await scene.keep("m1")
    assert (scene.shown, scene.queues.ids("room")) == ([], [])
    scene.alone.deleted("room", ["m1"])
    assert scene.is_settled()


@pytest.mark.parametrize("error", [None, StorageUnavailable("away")])
async def test_who_does_not_wait_for_it(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept and shown all the same, or is not; no more is said of it."""
    scene, gate = Scene(), asyncio.Event()
    add = scene.store.held_messages.add

    async def slowly(messages: Collection[HeldMessage]) -> None:
        await gate.wait()
        if error is not None:
            raise error
        await add([*messages])

    monkeypatch.setattr(scene.store.held_messages, "add", slowly)
    keeping = scene.keep("m1")
    await settle()
    keeping.cancel()
    gate.set()
    await settle()
    assert scene.shown == ([] if error else ["m1"])


async def test_what_is_deleted_while_it_is_being_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is removed from the store, where it may be by then."""
    scene, gate = Scene(), asyncio.Event()
    add = scene.store.held_messages.add

    async def slowly(messages: Collection[HeldMessage]) -> None:
        await add([*messages])
        await gate.wait()

    monkeypatch.setattr(scene.store.held_messages, "add", slowly)
    keeping = scene.keep("m1")
    await settle()
    scene.alone.deleted("room", ["m1", "m2"])
    assert not scene.is_settled()
    gate.set()
    await keeping
    await scene.alone.settle()
    assert scene.is_settled()
    assert await scene.kept() == []


async def test_what_one_room_still_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be removed is, the next time, and nothing else is asked for again."""
    scene = Scene()
    for room in ("a", "b", "c"):
        await scene.keep(f"m-{room}", room)
        scene.alone.deleted(room, [f"m-{room}"])
    remove, asked = scene.store.held_messages.remove, list[str]()
    fails = {"a"}

    async def removed(room: str, ids: Collection[str]) -> None:
        asked.append(room)
        if room in fails:
            raise StorageUnavailable("away")
        await asyncio.sleep(0)
        await remove(room, ids)

    monkeypatch.setattr(scene.store.held_messages, "remove", removed)
    with pytest.raises(StorageUnavailable):
        await scene.alone.settle()
    assert not scene.is_settled()
    assert await scene.kept() == ["m-a"]
    await scene.alone.released("room", ["m9"])
    assert not scene.is_settled(), "it is tried again later, and ends nothing now"
    fails.clear()
    asked.clear()
    await scene.alone.settle()
    assert (sorted(asked), await scene.kept()) == (["a"], [])


async def test_since_when_it_has_waited_at_a_start() -> None:
    """Since it was sent, as the clock says; since now, if that is ahead."""
    scene = Scene()
    now, now_ns = scene.time.seconds, scene.time.wall_ns
    ages = {"m1": 0, "m2": 2, "m3": -5}
    await scene.store.held_messages.add(
        [
            HeldMessage("room", name, "bob", now_ns - seconds * 10**9, b"{}")
            for name, seconds in ages.items()
        ]
    )
    await scene.alone.start()
    found = {each: waiting.since for each, waiting in scene.queues.by_room["room"].items()}
    assert found == {"m1": now, "m2": now - 2, "m3": now}
