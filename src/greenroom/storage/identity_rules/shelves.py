"""What an adapter keeps identities in: one shelf per kind of value, ordered by key.

The rules (`identity_rules`) are written once, over shelves: an adapter brings the shelves and runs
each rule as one transaction.
"""

from typing import Protocol, TypeVar

from greenroom.model.identity import (
    AccessKey,
    Account,
    Attachment,
    IdentityKind,
    ManagedPolicy,
    Role,
    User,
)

T = TypeVar("T")

EVERYWHERE = ""
"""In place of an account, for access keys: their ids are unique among all accounts."""


class Shelf(Protocol[T]):
    """Values of one kind, by account and key."""

    def get(self, account: str, key: str) -> T | None:
        """Return the value, or None."""

    def put(self, account: str, key: str, value: T) -> None:
        """Add or replace a value."""

    def remove(self, account: str, key: str) -> None:
        """Remove the value, which is there."""

    def values(self, account: str, after: str = "", before: str = "\x7f") -> list[T]:
        """Return those whose key lies between, in the order of keys."""

    def count(self, account: str) -> int:
        """Return how many the account has."""


class Shelves(Protocol):
    """All shelves; keys are made by the functions below."""

    @property
    def users(self) -> Shelf[User]:
        """Return the users, by folded name."""

    @property
    def roles(self) -> Shelf[Role]:
        """Return the roles, by folded name."""

    @property
    def policies(self) -> Shelf[ManagedPolicy]:
        """Return the managed policies, by folded name."""

    @property
    def keys(self) -> Shelf[AccessKey]:
        """Return the access keys, by id, all EVERYWHERE."""

    @property
    def attachments(self) -> Shelf[Attachment]:
        """Return which policy is on what, by `attachment_key`."""

    @property
    def accounts(self) -> Shelf[Account]:
        """Return the accounts of which something is kept, all EVERYWHERE."""


def folded(name: str) -> str:
    """Return the key of a name: names are ASCII, and equal whatever their case."""
    return name.lower()


def attachment_key(policy_arn: str, kind: IdentityKind | None = None, name: str = "") -> str:
    """Return an attachment's key; without a kind, what all keys of the policy begin with."""
    policy = folded(policy_arn.rpartition("/")[2])
    return f"{policy} " if kind is None else f"{policy} {kind} {folded(name)}"
