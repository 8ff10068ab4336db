"""Identities in memory: dictionaries; a rule that raises is undone."""

from collections.abc import Callable
from functools import partial
from typing import Generic, ParamSpec, TypeVar

from greenroom.model.identity import AccessKey, Account, Attachment, ManagedPolicy, Role, User
from greenroom.storage.identity_rules.transaction import Rule, run_at_once
from greenroom.storage.memory.opened import Opened

P = ParamSpec("P")
T = TypeVar("T")


class MemoryTransactions:
    """Runs rules at once: nothing else runs meanwhile."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._tables = _Dictionaries()

    async def read(self, rule: Rule[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a rule that changes nothing."""
        self._opened.check()
        return run_at_once(rule(self._tables, *args, **kwargs))

    async def write(self, rule: Rule[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a rule; when it raises, undo what it put."""
        self._opened.check()
        undo = self._tables.begin()
        try:
            return run_at_once(rule(self._tables, *args, **kwargs))
        except BaseException:
            while undo:
                undo.pop()()
            raise


Undo = list[Callable[[], None]]


class _Dictionary(Generic[T]):
    """One table: an account's values by key."""

    def __init__(self) -> None:
        self._accounts: dict[str, dict[str, T]] = {}
        self.undo: Undo = []

    async def get(self, account: str, key: str) -> T | None:
        return self._accounts.get(account, {}).get(key)

    async def put(self, account: str, key: str, value: T) -> None:
        self._remember(account, key)
        self._accounts.setdefault(account, {})[key] = value

    async def remove(self, account: str, key: str) -> None:
        self._remember(account, key)
        del self._accounts[account][key]

    async def values(self, account: str, after: str = "", before: str = "\x7f") -> list[T]:
        kept = self._accounts.get(account, {})
        return [kept[key] for key in sorted(kept) if after < key < before]

    async def count(self, account: str) -> int:
        return len(self._accounts.get(account, {}))

    def _remember(self, account: str, key: str) -> None:
        kept = self._accounts.setdefault(account, {})
        if key in kept:
            self.undo.append(partial(kept.__setitem__, key, kept[key]))
        else:
            self.undo.append(partial(kept.__delitem__, key))


class _Dictionaries:
    """All tables."""

    def __init__(self) -> None:
        self.users = _Dictionary[User]()
        self.roles = _Dictionary[Role]()
        self.policies = _Dictionary[ManagedPolicy]()
        self.keys = _Dictionary[AccessKey]()
        self.attachments = _Dictionary[Attachment]()
        self.accounts = _Dictionary[Account]()

    def begin(self) -> Undo:
        """Return what will undo, last first, all that is put from now on."""
        undo: Undo = []
        self.users.undo = self.roles.undo = self.policies.undo = undo
        self.keys.undo = self.attachments.undo = self.accounts.undo = undo
        return undo
