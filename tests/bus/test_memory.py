"""The bus of a single node: publishing is a call (its guarantees: tests/contracts)."""

from greenroom.bus.base import Envelope, RoomChanged
from greenroom.bus.memory import MemoryBus


async def test_delivers_at_once() -> None:
    """An envelope has been received when `publish` returns: no tick of the loop is lost."""
    bus, received = MemoryBus(), list[Envelope]()
    await bus.start(received.append)
    bus.publish(RoomChanged("room"))
    assert received == [RoomChanged("room")]
