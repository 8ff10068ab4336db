"""The keys of chat tokens while the service runs: changed by command, known to every node.

- A change is durable before it is answered, and before anything is sealed with it.
- A rotation keeps the old keys: what they sealed is good until it expires.
- A killed key is gone: what it sealed is refused at once, also the pages of listings, and the
  connections that it has let in are ended. Clients with a right to be there come back with new
  tokens.
"""

import asyncio
from collections.abc import Callable
from typing import Self

import structlog

from greenroom.bus.base import Bus, Envelope, TokenKeysChanged
from greenroom.clock import Clock
from greenroom.model.errors import ServiceError, ValidationException
from greenroom.process.randomness import new_key
from greenroom.tokens.key_ring import KeyInfo, KeyRing, RingFull
from greenroom.vault.vault import Vault

NAME = "token-keys"
"""The name of the secret in the store."""

log = structlog.get_logger()


class TokenKeys:
    """The one ring of this process, and where it is kept."""

    def __init__(
        self, vault: Vault, bus: Bus, clock: Clock, tasks: asyncio.TaskGroup, kept: bytes
    ) -> None:
        self.ring = KeyRing.from_bytes(kept)
        self._kept = kept
        self._vault = vault
        self._bus = bus
        self._clock = clock
        self._tasks = tasks

    @classmethod
    async def open(cls, vault: Vault, bus: Bus, clock: Clock, tasks: asyncio.TaskGroup) -> Self:
        """Read the keys; the first start makes one."""
        key_id, key = new_key()
        first = KeyRing({key_id: key}, key_id, {key_id: clock.now_ms()})
        return cls(vault, bus, clock, tasks, await vault.secret(NAME, first.to_bytes()))

    def describe(self) -> list[KeyInfo]:
        """Return what may be told of the keys, the current one first."""
        return self.ring.describe()

    async def rotate(self) -> str:
        """Seal with a new key from now on; return its id.

        Raises:
            ValidationException: too many keys are still needed.
            StorageUnavailable: nothing has changed.
        """
        key_id, key = new_key()

        def change(ring: KeyRing) -> KeyRing:
            try:
                return ring.rotated(key_id, key, self._clock.now_ms())
            except RingFull:
                raise ValidationException("Too many token keys are still in use.") from None

        await self._change(change)
        self._bus.publish(TokenKeysChanged(""))
        log.info("token key rotated", key_id=key_id)
        return key_id

    async def kill(self, key_id: str) -> None:
        """Refuse what a key sealed, and end what it has let in; the current one is replaced first.

        Raises:
            ValidationException: there is no such key.
            StorageUnavailable: nothing has changed.
        """
        fresh_id, fresh = new_key()

        def change(ring: KeyRing) -> KeyRing:
            if any(info.current and info.id == key_id for info in ring.describe()):
                ring = ring.rotated(fresh_id, fresh, self._clock.now_ms())
            try:
                return ring.without(key_id)
            except KeyError:
                raise ValidationException("There is no token key of that id.") from None

        await self._change(change)
        self._bus.publish(TokenKeysChanged(key_id))
        log.warning("token key killed", key_id=key_id)

    def follow(self, envelope: Envelope, after: Callable[[Envelope], None]) -> None:
        """Take an envelope from the bus: when keys have changed elsewhere, do as they did.

        `after` gets the envelope of a killed key once the key is known to be gone here: what it
        let in at the last moment is to be ended too.
        """
        if isinstance(envelope, TokenKeysChanged):
            if any(info.id == envelope.killed and not info.current for info in self.describe()):
                self.ring.adopt(self.ring.without(envelope.killed))
            self._tasks.create_task(self._read(envelope, after))

    async def _change(self, change: Callable[[KeyRing], KeyRing]) -> None:
        """Keep a changed ring, made from what is kept, whoever else changes it at the same time."""
        while True:
            ring = change(KeyRing.from_bytes(self._kept))
            wanted = ring.to_bytes()
            self._take(await self._vault.replace(NAME, self._kept, wanted))
            if self._kept == wanted:
                return

    async def _read(self, envelope: TokenKeysChanged, after: Callable[[Envelope], None]) -> None:
        try:
            self._take(await self._vault.secret(NAME, self._kept))
        except ServiceError as error:
            log.error("token keys not read", error=type(error).__name__)
        after(envelope)

    def _take(self, kept: bytes) -> None:
        if kept != self._kept:
            self._kept = kept
            self.ring.adopt(KeyRing.from_bytes(kept))
