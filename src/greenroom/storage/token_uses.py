"""The port to the chat tokens that were used; its guarantees are those of `storage.base`."""

from collections.abc import Sequence
from typing import Protocol

TokenUse = tuple[str, int]
"""A chat token's id, and when it expires in milliseconds since the epoch."""


class TokenUses(Protocol):
    """Which chat tokens were used: "Chat tokens are single use" (Chat User Guide)."""

    async def redeem(self, tokens: Sequence[TokenUse], now: int) -> list[bool]:
        """Mark chat tokens as used; return for each whether this was the first use of it.

        Exactly one of any number of uses of one token is the first, within one call, among many
        and across restarts. Marks are kept until an hour after the token's expiry at least.
        """
