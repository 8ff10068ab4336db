"""Every `Secrets`: the first one is kept, and replaced by who knows it.

Covers: greenroom.storage.memory.secrets, greenroom.storage.postgres.secrets,
    greenroom.storage.secrets, greenroom.storage.sqlite.secrets
"""

import asyncio

from greenroom.model.logging_configuration import (
    LoggingConfigurationState,
)
from greenroom.storage.base import Store

State = LoggingConfigurationState


class TestSecrets:
    async def test_first_one_is_kept(self, store: Store) -> None:
        """The first candidate becomes the secret, byte for byte; later ones get it back."""
        first = bytes(range(256))
        assert await store.secrets.keep("key", first) == first
        assert await store.secrets.keep("key", b"second") == first
        assert await store.secrets.keep("other", b"") == b""
        assert await store.secrets.keep("other", b"second") == b""

    async def test_a_secret_is_replaced_by_who_knows_it(self, store: Store) -> None:
        """The replacement takes the place of the expected one only; of many at once, one does."""
        assert await store.secrets.get("key") is None
        await store.secrets.keep("key", b"first")
        assert not await store.secrets.replace("key", b"other", b"second")
        assert await store.secrets.replace("key", b"first", b"second")
        assert await store.secrets.keep("key", b"third") == b"second"
        assert await store.secrets.get("key") == b"second"
        assert not await store.secrets.replace("none", b"", b"second")
        assert await store.secrets.keep("none", b"first") == b"first"
        values = [bytes([n]) for n in range(20)]
        replaced = await asyncio.gather(
            *(store.secrets.replace("key", b"second", value) for value in values)
        )
        assert sum(replaced) == 1
        assert await store.secrets.keep("key", b"third") == values[replaced.index(True)]

    async def test_all_get_the_same_one(self, store: Store) -> None:
        """Of many candidates at once, one becomes the secret of all."""
        results = await asyncio.gather(*(store.secrets.keep("s", bytes([n])) for n in range(20)))
        assert len(set(results)) == 1
