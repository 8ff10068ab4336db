"""One use of one chat token."""

from greenroom.storage.base import Store


async def redeem(store: Store, token_id: str, expires: int, now: int) -> bool:
    """Use a token; return whether this was the first use."""
    (first,) = await store.token_uses.redeem([(token_id, expires)], now)
    return first
