"""What a rule is given: the tables of one transaction.

The rules are coroutines, written once for every database. One that answers over a socket lets its
tables wait, and its driver awaits the rule. One that answers at once, SQLite and memory, has tables
that never wait, and runs the rule to its end with `run_at_once`: nothing of the event loop is in
that, so a whole rule is one job on a database's thread. A rule changes nothing but the tables, and
awaits nothing but them, so that a database may run it once more after a conflict.
"""

from collections.abc import Callable, Coroutine
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from greenroom.model.identity import (
    AccessKey,
    Account,
    Attachment,
    IdentityKind,
    ManagedPolicy,
    Role,
    User,
)

P = ParamSpec("P")
T = TypeVar("T")

EVERYWHERE = ""
"""In place of an account, for access keys: their ids are unique among all accounts."""


class Table(Protocol[T]):
    """Values of one kind, by account and key, ordered by key."""

    async def get(self, account: str, key: str) -> T | None:
        """Return the value, or None."""

    async def put(self, account: str, key: str, value: T) -> None:
        """Add or replace a value."""

    async def remove(self, account: str, key: str) -> None:
        """Remove the value, which is there."""

    async def values(self, account: str, after: str = "", before: str = "\x7f") -> list[T]:
        """Return those whose key lies between, in the order of keys."""

    async def count(self, account: str) -> int:
        """Return how many the account has."""


class Transaction(Protocol):
    """All tables, as one transaction sees them; keys are made by the functions below."""

    @property
    def users(self) -> Table[User]:
        """Return the users, by folded name."""

    @property
    def roles(self) -> Table[Role]:
        """Return the roles, by folded name."""

    @property
    def policies(self) -> Table[ManagedPolicy]:
        """Return the managed policies, by folded name."""

    @property
    def keys(self) -> Table[AccessKey]:
        """Return the access keys, by id, all EVERYWHERE."""

    @property
    def attachments(self) -> Table[Attachment]:
        """Return which policy is on what, by `attachment_key`."""

    @property
    def accounts(self) -> Table[Account]:
        """Return the accounts of which something is kept, all EVERYWHERE."""


def folded(name: str) -> str:
    """Return the key of a name: names are ASCII, and equal whatever their case."""
    return name.lower()


def attachment_key(policy_arn: str, kind: IdentityKind | None = None, name: str = "") -> str:
    """Return an attachment's key; without a kind, what all keys of the policy begin with."""
    policy = folded(policy_arn.rpartition("/")[2])
    return f"{policy} " if kind is None else f"{policy} {kind} {folded(name)}"


Rule = Callable[Concatenate[Transaction, P], Coroutine[object, None, T]]
"""Reads and changes the tables; what it raises undoes all that it changed."""


def run_at_once(rule: Coroutine[object, None, T]) -> T:
    """Run a rule whose tables never wait, here and now; return its result.

    Raises:
        RuntimeError: it awaits something that is not there yet.
        Exception: whatever the rule raises.
    """
    try:
        rule.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    rule.close()
    raise RuntimeError("a rule waits, and nothing runs that could end its wait")
