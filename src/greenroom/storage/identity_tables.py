"""The tables of identities in a database that speaks SQL: one list of them, whichever it is."""

from abc import ABC, abstractmethod
from typing import TypeVar

import msgspec

from greenroom.model.identity import AccessKey, Account, Attachment, ManagedPolicy, Role, User
from greenroom.storage.identity_rules.transaction import Table

T = TypeVar("T")

_users = msgspec.json.Decoder(User)
_roles = msgspec.json.Decoder(Role)
_policies = msgspec.json.Decoder(ManagedPolicy)
_keys = msgspec.json.Decoder(AccessKey)
_attachments = msgspec.json.Decoder(Attachment)
_accounts = msgspec.json.Decoder(Account)


class IdentityTables(ABC):
    """All tables, for one transaction. Values are JSON, in the columns account, key and value."""

    def __init__(self) -> None:
        self.users = self.table("identity_users", _users)
        self.roles = self.table("identity_roles", _roles)
        self.policies = self.table("identity_policies", _policies)
        self.keys = self.table("identity_keys", _keys)
        self.attachments = self.table("identity_attachments", _attachments)
        self.accounts = self.table("identity_accounts", _accounts)

    @abstractmethod
    def table(self, name: str, decoder: msgspec.json.Decoder[T]) -> Table[T]:
        """Return a table as this database reads and writes it."""
