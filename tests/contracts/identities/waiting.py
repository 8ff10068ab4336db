"""An asynchronous database for identities: each table waits, as one behind a socket does."""

import asyncio
from typing import Generic, ParamSpec, TypeVar

from greenroom.storage.identities import IdentityStore
from greenroom.storage.identity_rules.transaction import Rule, Table
from greenroom.storage.memory.identities import MemoryTransactions
from greenroom.storage.memory.store import MemoryStore

P = ParamSpec("P")
T = TypeVar("T")


class WaitingStore(MemoryStore):
    """A store whose identities are in such a database."""

    def __init__(self) -> None:
        super().__init__()
        self.identities = IdentityStore(WaitingTransactions(MemoryTransactions(self._opened)))


class WaitingTransactions:
    """Awaits rules, one after the other, as a serializable database has them appear."""

    def __init__(self, kept: MemoryTransactions) -> None:
        self._kept = kept
        self._one_at_a_time = asyncio.Lock()

    async def read(self, rule: Rule[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a rule that changes nothing."""
        return await self.write(rule, *args, **kwargs)

    async def write(self, rule: Rule[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a rule; when it raises, undo what it put."""
        async with self._one_at_a_time:
            self._kept._opened.check()
            undo = self._kept._tables.begin()
            try:
                return await rule(WaitingTables(self._kept), *args, **kwargs)
            except BaseException:
                while undo:
                    undo.pop()()
                raise


class WaitingTables:
    """All tables."""

    def __init__(self, kept: MemoryTransactions) -> None:
        self.users = WaitingTable(kept._tables.users)
        self.roles = WaitingTable(kept._tables.roles)
        self.policies = WaitingTable(kept._tables.policies)
        self.keys = WaitingTable(kept._tables.keys)
        self.attachments = WaitingTable(kept._tables.attachments)
        self.accounts = WaitingTable(kept._tables.accounts)


class WaitingTable(Generic[T]):
    """One table; the event loop turns before each answer."""

    def __init__(self, table: Table[T]) -> None:
        self._table = table

    async def get(self, account: str, key: str) -> T | None:
        await asyncio.sleep(0)
        return await self._table.get(account, key)

    async def put(self, account: str, key: str, value: T) -> None:
        await asyncio.sleep(0)
        await self._table.put(account, key, value)

    async def remove(self, account: str, key: str) -> None:
        await asyncio.sleep(0)
        await self._table.remove(account, key)

    async def values(self, account: str, after: str = "", before: str = "\x7f") -> list[T]:
        await asyncio.sleep(0)
        return await self._table.values(account, after, before)

    async def count(self, account: str) -> int:
        await asyncio.sleep(0)
        return await self._table.count(account)
