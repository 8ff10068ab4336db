"""The bus of a single node: publishing is a call (its guarantees: tests/contracts)."""

from greenroom.bus.base import Arrival, Before, ControlEnvelope, Deliver, RoomChanged
from greenroom.bus.memory import MemoryBus

FRAME = Deliver(b"{}", "SendMessage")


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


async def test_a_grant_is_asked_once() -> None:
    """Nobody else can have been faster; so it is before the start, and where nobody follows."""
    bus, asked = MemoryBus(), list[int]()

    def grant(_: Before) -> Deliver:
        asked.append(1)
        return FRAME

    bus.publish("room", grant)
    await bus.start()
    bus.publish("room", grant)
    bus.follow("room")
    bus.publish("room", grant)
    assert len(asked) == 3
