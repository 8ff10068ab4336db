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
