"""What every adapter of the bus guarantees."""

from collections.abc import AsyncIterator

import pytest

from greenroom.bus.base import Bus, Deliver, Disconnect, Envelope, RoomChanged, RoomDeleted
from greenroom.bus.memory import MemoryBus

ENVELOPES: list[Envelope] = [
    Deliver("room", b"{}", "SendMessage"),
    Disconnect("room", b"{}", "user", "why"),
    RoomChanged("room"),
    RoomDeleted("room"),
]


@pytest.fixture(params=["memory"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """Give a bus of each kind, not started."""
    made = MemoryBus()
    yield made
    await made.close()


async def test_the_publisher_receives(bus: Bus) -> None:
    """Every kind of envelope arrives as it was sent, at its own publisher too."""
    received: list[Envelope] = []
    await bus.start(received.append)
    for envelope in ENVELOPES:
        bus.publish(envelope)
    assert received == ENVELOPES


async def test_order(bus: Bus) -> None:
    """Envelopes about one room arrive in the order of publication."""
    received: list[Envelope] = []
    await bus.start(received.append)
    sent: list[Envelope] = [Deliver("room", b"%d" % number, "SendEvent") for number in range(1000)]
    for envelope in sent:
        bus.publish(envelope)
    assert received == sent


async def test_publishing_from_the_receiver(bus: Bus) -> None:
    """A receiver may publish: what it sends arrives after what it was given."""
    received: list[Envelope] = []

    def receive(envelope: Envelope) -> None:
        received.append(envelope)
        if isinstance(envelope, Deliver):
            bus.publish(RoomChanged(envelope.room))

    await bus.start(receive)
    bus.publish(ENVELOPES[0])
    assert received == [ENVELOPES[0], RoomChanged("room")]


async def test_publishing_while_nobody_listens(bus: Bus) -> None:
    """Before the start and after the end publishing raises nothing and delivers nothing."""
    received: list[Envelope] = []
    bus.publish(ENVELOPES[0])
    await bus.start(received.append)
    await bus.close()
    bus.publish(ENVELOPES[0])
    await bus.close()
    assert received == []
