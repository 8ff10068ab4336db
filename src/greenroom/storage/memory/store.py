"""The store for a service that keeps nothing: dictionaries, gone with the process.

It gives every guarantee of the ports but durability. No call waits, so each one is a transaction.
"""

from greenroom.storage.identities import IdentityStore
from greenroom.storage.memory.held_messages import MemoryHeldMessages
from greenroom.storage.memory.history import MemoryHistory
from greenroom.storage.memory.identities import MemoryTransactions
from greenroom.storage.memory.journal import MemoryJournal
from greenroom.storage.memory.logging_configurations import MemoryLoggingConfigurations
from greenroom.storage.memory.opened import Opened
from greenroom.storage.memory.region import Regions
from greenroom.storage.memory.restrictions import MemoryRestrictions
from greenroom.storage.memory.rooms import MemoryRooms
from greenroom.storage.memory.secrets import MemorySecrets
from greenroom.storage.memory.sent_messages import MemorySentMessages
from greenroom.storage.memory.tags import MemoryTags
from greenroom.storage.memory.token_uses import MemoryTokenUses


class MemoryStore:
    """A `Store` in memory."""

    def __init__(self, opened: Opened | None = None) -> None:
        """Make it empty; `opened` is asked at each call."""
        self._opened = opened or Opened()
        regions = Regions(self._opened)
        self.rooms = MemoryRooms(regions)
        self.logging_configurations = MemoryLoggingConfigurations(regions)
        self.tags = MemoryTags(regions)
        self.token_uses = MemoryTokenUses(self._opened)
        self.restrictions = MemoryRestrictions(self._opened)
        self.sent_messages = MemorySentMessages(self._opened)
        self.held_messages = MemoryHeldMessages(self._opened)
        self.history = MemoryHistory(self._opened)
        self.secrets = MemorySecrets(self._opened)
        self.identities = IdentityStore(MemoryTransactions(self._opened))
        self.journal = MemoryJournal(self._opened, self.history, self.held_messages)

    async def check_writable(self) -> None:
        self._opened.check()

    async def close(self) -> None:
        self._opened.close()
