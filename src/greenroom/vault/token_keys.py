"""The keys of chat tokens while the service runs: changed by command, known to every node.

- A change is durable before it is answered, and before anything is sealed with it.
- A rotation keeps the old keys: what they sealed is good until it expires.
- What may be out of date is read until that succeeds: a node that is cut off from the store for a
  while does not go on with a killed key when it is back.
- A token may be here before the news of its key: for one that is not known the keys are read, once
  in `UNKNOWN_SECONDS` for all who ask. Whose token names which key anybody can make up.
- A killed key is gone: what it sealed is refused at once, also the pages of listings, and the
  connections that it has let in are ended. Clients with a right to be there come back with new
  tokens.
"""

import asyncio
from collections.abc import Callable
from typing import Self

import structlog

from greenroom.bus.base import Control, TokenKeysChanged
from greenroom.clock import Clock
from greenroom.model.errors import ServiceError, ValidationException
from greenroom.process.randomness import new_key
from greenroom.tokens.key_ring import KeyInfo, KeyRing, RingFull
from greenroom.vault.vault import Vault

NAME = "token-keys"
"""The name of the secret in the store."""

RETRY_SECONDS = 0.5
"""How long until keys that could not be read are read again."""

UNKNOWN_SECONDS = 1.0
"""How far apart the keys are read for tokens whose key is not known, at least."""

log = structlog.get_logger()


class TokenKeys:
    """The one ring of this process, and where it is kept."""

    def __init__(
        self, vault: Vault, control: Control, clock: Clock, tasks: asyncio.TaskGroup, kept: bytes
    ) -> None:
        self.ring = KeyRing.from_bytes(kept)
        self._kept = kept
        self._vault = vault
        self._control = control
        self._clock = clock
        self._tasks = tasks
        self._when_killed: list[Callable[[str], None]] = []
        self._retrying: asyncio.Task[None] | None = None
        # Reads for those who wait for unknown keys, and when that was begun the last time.
        self._asked: asyncio.Task[ServiceError | None] | None = None
        self._asking = asyncio.Lock()
        self._asked_at = float("-inf")
        control.on(TokenKeysChanged, self._hear)
        # Who waits for it no longer leaves it to end by itself.
        control.on_reset(lambda: asyncio.shield(tasks.create_task(self._read(""))))

    @classmethod
    async def open(
        cls, vault: Vault, control: Control, clock: Clock, tasks: asyncio.TaskGroup
    ) -> Self:
        """Read the keys; the first start makes one."""
        key_id, key = new_key()
        first = KeyRing({key_id: key}, key_id, {key_id: clock.now_ms()})
        return cls(vault, control, clock, tasks, await vault.secret(NAME, first.to_bytes()))

    def close(self) -> None:
        """Read no more: the store is about to be closed."""
        for task in (self._retrying, self._asked):
            if task is not None:
                task.cancel()

    async def read_again(self) -> None:
        """Read the keys: one is not known, and another node may have just made it.

        It may take `UNKNOWN_SECONDS`: of those who come meanwhile nobody has them read sooner.

        Raises:
            StorageUnavailable: nobody can say whether there is such a key.
        """
        if self._asked is None:
            self._asked = self._tasks.create_task(self._read_for_all())
        # Who no longer waits ends nothing.
        error = await asyncio.shield(self._asked)
        if error is not None:
            raise error

    async def _read_for_all(self) -> ServiceError | None:
        async with self._asking:
            await asyncio.sleep(self._asked_at + UNKNOWN_SECONDS - self._clock.monotonic())
            # Who comes from now on may have the key of a change that this no longer sees.
            self._asked, self._asked_at = None, self._clock.monotonic()
            return await self._try_to_read("")

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
        self._control.broadcast(TokenKeysChanged(""))
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
        self._control.broadcast(TokenKeysChanged(key_id))
        log.warning("token key killed", key_id=key_id)

    def when_killed(self, receiver: Callable[[str], None]) -> None:
        """Call the receiver with the id of each killed key, to end what the key has let in.

        It is called when the key is refused, so that none of them comes back with the same token;
        and once more when the store was read, for what the key let in until then: a node refuses
        its own current key only when it has read the one in its place.
        """
        self._when_killed.append(receiver)

    def _hear(self, changed: TokenKeysChanged) -> None:
        """Do as was done elsewhere."""
        killed = changed.killed
        if any(info.id == killed and not info.current for info in self.describe()):
            self.ring.adopt(self.ring.without(killed))
        self._tell(killed)
        self._tasks.create_task(self._read(killed))

    def _tell(self, killed: str) -> None:
        for receiver in self._when_killed if killed else ():
            receiver(killed)

    async def _change(self, change: Callable[[KeyRing], KeyRing]) -> None:
        """Keep a changed ring, made from what is kept, whoever else changes it at the same time."""
        while True:
            ring = change(KeyRing.from_bytes(self._kept))
            wanted = ring.to_bytes()
            self._take(await self._vault.replace(NAME, self._kept, wanted))
            if self._kept == wanted:
                return

    async def _read(self, killed: str) -> None:
        """Read what is kept, now or as soon as that is possible."""
        error = await self._try_to_read(killed)
        if error is not None and (self._retrying is None or self._retrying.done()):
            log.error("token keys not read", error=type(error).__name__)
            self._retrying = self._tasks.create_task(self._read_at_last())

    async def _read_at_last(self) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            if await self._try_to_read("") is None:
                log.warning("token keys read at last")
                return

    async def _try_to_read(self, killed: str) -> ServiceError | None:
        """Read what is kept, and tell which keys are gone; return why it cannot be read."""
        before, failure = {info.id for info in self.describe()}, None
        try:
            self._take(await self._vault.secret(NAME, self._kept))
        except ServiceError as error:
            failure = error
        # A key that was killed unheard is gone, too. One that is only old has let nobody in who
        # could still be there.
        for each in sorted({killed} | before - {info.id for info in self.describe()}):
            self._tell(each)
        return failure

    def _take(self, kept: bytes) -> None:
        if kept != self._kept:
            self._kept = kept
            self.ring.adopt(KeyRing.from_bytes(kept))
