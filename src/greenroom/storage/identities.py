"""The port to the kept identities: users, roles, access keys, policies, suspended accounts.

Each call is a rule of `identity_rules`, where its meaning and errors stand, run as one transaction:
an adapter brings `Transactions`, and nothing else. The guarantees are those of `storage.base`
(durability, atomicity, order, isolation), and:

- **Names** are unique per account and kind whatever their case, and found in any case.
- **References hold.** An attached policy exists; a key's user exists. What is attached, or has
  keys or policies, is not deleted: DeleteConflict.
- **Trust policies name somebody**, not whoever has the name later: the unique ids of those whom
  `trusted` names are kept when a role is put. Deleting them is no conflict: nobody is trusted then.
- **Quotas** (constants of `model.identity`) are counted in the transaction of the insert:
  LimitExceeded.
- **Lists** are ordered by name, case folded; a page begins after the marker, whatever was created
  or deleted in between.
- **Marks.** What the identities file owns (`managed`) can be changed here like all else; the file
  sets it right when it is applied again.

Values come and go whole: a user has its inline policies, attachments and key ids within. Documents
are not parsed here: whoever puts one has checked it. After each change the caller publishes
`IdentitiesChanged`.

Errors: the `IdentityError`s that each rule names; `StorageUnavailable` as for the store.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, ParamSpec, Protocol, TypeVar

from greenroom.storage.identity_rules import (
    access_keys,
    accounts,
    declaration,
    lookups,
    managed_policies,
    policies_of_identities,
    resolution,
    trusted_principals,
    users_and_roles,
)
from greenroom.storage.identity_rules.transaction import Rule

P = ParamSpec("P")
T = TypeVar("T")


class Transactions(Protocol):
    """Runs rules: each call is one transaction, and one that raises leaves nothing."""

    def read(self, rule: Rule[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Run a rule that changes nothing."""

    def write(self, rule: Rule[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Run a rule; its changes are kept when this returns."""


class _Reads(Generic[P, T]):
    """A call that runs a rule which changes nothing."""

    def __init__(self, rule: Rule[P, T]) -> None:
        self._rule = rule

    def __get__(self, store: "IdentityStore", _owner: type) -> Callable[P, Awaitable[T]]:
        return partial(store.transactions.read, self._rule)


class _Writes(_Reads[P, T]):
    """A call that runs a rule which changes something."""

    def __get__(self, store: "IdentityStore", _owner: type) -> Callable[P, Awaitable[T]]:
        return partial(store.transactions.write, self._rule)


class IdentityStore:
    """What is kept of identities: which rule each call runs. A `name` is a user's or role's."""

    def __init__(self, transactions: Transactions) -> None:
        self.transactions = transactions

    create_user = _Writes(users_and_roles.create_user)
    get_user = _Reads(lookups.get_user)
    list_users = _Reads(users_and_roles.list_users)
    delete_user = _Writes(users_and_roles.delete_user)
    create_role = _Writes(users_and_roles.create_role)
    get_role = _Reads(lookups.get_role)
    list_roles = _Reads(users_and_roles.list_roles)
    update_role = _Writes(users_and_roles.update_role)
    delete_role = _Writes(users_and_roles.delete_role)
    tag_identity = _Writes(users_and_roles.tag)
    untag_identity = _Writes(users_and_roles.untag)
    present_principals = _Reads(trusted_principals.present_principals)

    put_inline_policy = _Writes(policies_of_identities.put_inline_policy)
    delete_inline_policy = _Writes(policies_of_identities.delete_inline_policy)
    attach_policy = _Writes(policies_of_identities.attach_policy)
    detach_policy = _Writes(policies_of_identities.detach_policy)

    create_access_key = _Writes(access_keys.create_access_key)
    find_access_key = _Reads(lookups.find_access_key)
    list_access_keys = _Reads(access_keys.list_access_keys)
    update_access_key = _Writes(access_keys.update_access_key)
    delete_access_key = _Writes(access_keys.delete_access_key)
    record_last_used = _Writes(access_keys.record_last_used)

    create_policy = _Writes(managed_policies.create_policy)
    get_policy = _Reads(lookups.get_policy)
    list_policies = _Reads(managed_policies.list_policies)
    list_entities_for_policy = _Reads(managed_policies.list_entities_for_policy)
    delete_policy = _Writes(managed_policies.delete_policy)
    create_policy_version = _Writes(managed_policies.create_policy_version)
    delete_policy_version = _Writes(managed_policies.delete_policy_version)
    set_default_policy_version = _Writes(managed_policies.set_default_policy_version)

    suspend = _Writes(accounts.suspend)
    resume = _Writes(accounts.resume)
    suspended_accounts = _Reads(accounts.suspended_accounts)
    revoke_sessions = _Writes(accounts.revoke_sessions)
    end_sessions = _Writes(accounts.end_sessions)

    resolve_key = _Reads(resolution.resolve_key)
    resolve_identity = _Reads(resolution.resolve_identity)
    apply = _Writes(declaration.apply)
