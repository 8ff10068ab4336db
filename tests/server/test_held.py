"""What has messages wait, as it is built of what is open.

Covers: greenroom.server.held
"""

from unittest.mock import Mock

import pytest

from greenroom.bus.base import Arrival, Deliver, Stage
from greenroom.bus.memory import MemoryBus
from greenroom.chat.held_alone import HeldAlone
from greenroom.chat.held_shared import HeldShared
from greenroom.model.held_message import HeldMessage
from greenroom.server.held import open_held, releases
from greenroom.storage.memory.store import MemoryStore
from greenroom.telemetry.metrics import Metrics
from tests.stand_ins.hand_clock import HandClock
from tests.stand_ins.loose_tasks import LooseTasks
from tests.stand_ins.stage import ROOM


@pytest.mark.parametrize("alone", [True, False])
async def test_what_is_built(alone: bool) -> None:
    """A node alone goes on with what its store has; others count what arrives."""
    bus, store = MemoryBus(), MemoryStore()
    await bus.start()
    await store.held_messages.add([HeldMessage("room", "one", "bob", 1, b"{}")])
    opened = Mock(bus=bus, store=store, clock=HandClock().clock)
    if alone:
        opened.shared = None
    hub = Mock()
    held = await open_held(opened, hub, LooseTasks())
    assert isinstance(held.keeper, HeldAlone if alone else HeldShared)
    assert (held.alone, held.shared) == ((held.keeper, None) if alone else (None, held.keeper))
    assert len(held.queues) == alone
    bus.follow("other")
    waits = Deliver(b"{}", "SendMessage", id="two", stage=Stage.WAITS)
    for receive in bus._arrivals:
        receive(Arrival("other", 1, [waits]))
    assert ("other" in held.queues) is not alone
    if not alone:
        hub.when_unfollowed("other")
        assert "other" not in held.queues


async def test_what_is_read_of_it() -> None:
    """How much waits here, what was released, and how long the next of it is overdue."""
    opened = Mock(bus=MemoryBus(), store=MemoryStore(), clock=HandClock().clock, shared=None)
    held = await open_held(opened, Mock(), LooseTasks())
    services, is_possible = Mock(metrics=Metrics()), Mock(return_value=False)
    made = releases(opened, services, Mock(), held, LooseTasks(), is_possible)
    services.chat.holding.check_possible({"paused": False}, Mock())
    assert services.chat.holding.queues is held.queues
    held.queues.add(HeldMessage("room", "one", "bob", 1, b"{}"))
    made.released, made.overdue_seconds = 7, 2.5
    value = services.metrics.registry.get_sample_value
    assert value("greenroom_held_messages") == 1
    assert value("greenroom_held_released_total") == 7
    assert value("greenroom_held_overdue_seconds") == 2.5


async def test_viewers_come_back_before_what_was_due_meanwhile_is_released() -> None:
    """Of a process that ended; where nothing had waited nothing is put off."""
    time, store = HandClock(), MemoryStore()
    for is_left in (False, True):
        if is_left:
            await store.held_messages.add([HeldMessage(str(ROOM), "one", "bob", 1, b"{}")])
        opened = Mock(bus=MemoryBus(), store=store, clock=time.clock, shared=None)
        opened.settings.number.return_value = 2
        held = await open_held(opened, Mock(), LooseTasks())
        services = Mock(metrics=Metrics())
        services.rooms.peek.side_effect = KeyError
        made = releases(opened, services, Mock(), held, LooseTasks(), lambda: True)
        made.tick()
        assert services.rooms.read_ahead.call_count == 0
        held.queues.add(HeldMessage(str(ROOM), "two", "bob", 1, b"{}"))
        time.advance(2.9)
        made.tick()
        assert services.rooms.read_ahead.call_count == (0 if is_left else 1)
        time.advance(0.1)
        made.tick()
        assert services.rooms.read_ahead.call_count == (1 if is_left else 2)
