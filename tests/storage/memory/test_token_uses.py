"""What the store in memory keeps of chat tokens that were used."""

from greenroom.storage.memory.store import MemoryStore
from tests.stand_ins.redeeming import redeem
from tests.stand_ins.values import NOW


async def test_old_uses_are_removed() -> None:
    """Uses of tokens that expired over an hour ago do not pile up."""
    store = MemoryStore()
    for number in range(10_000):
        await redeem(store, f"{number}", NOW + number * 60_000, NOW + number * 60_000)
    assert len(store.token_uses._used) == len(store.token_uses._by_expiry) < 70
