"""The port's calls on any adapter that can run a rule as one transaction."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from greenroom.model.identity import (
    AccessKey,
    Attachment,
    IdentityKind,
    KeyStatus,
    LastUsed,
    ManagedPolicy,
    PolicyVersion,
    Role,
    User,
)
from greenroom.storage.identities import Change, Declared, Page, Resolution, RoleChange
from greenroom.storage.identity_rules import declaration, resolution, rules, trusted_principals
from greenroom.storage.identity_rules.shelves import Shelves

P = ParamSpec("P")
T = TypeVar("T")


class Transactions(Protocol):
    """Runs rules: each call is one transaction, and one that raises leaves nothing."""

    def read(
        self, rule: Callable[Concatenate[Shelves, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """Run a rule that changes nothing."""

    def write(
        self, rule: Callable[Concatenate[Shelves, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """Run a rule; its changes are kept when this returns."""


class Identities:
    """An `IdentityStore`: each call names its rule."""

    def __init__(self, transactions: Transactions) -> None:
        self._read = transactions.read
        self._write = transactions.write

    async def create_user(self, user: User) -> None:
        await self._write(rules.create, user)

    async def get_user(self, account: str, name: str) -> User:
        return await self._read(rules.get_user, account, name)

    async def list_users(
        self, account: str, limit: int, after: str = "", path_prefix: str = "/"
    ) -> Page[User]:
        return await self._read(rules.list_users, account, limit, after, path_prefix)

    async def delete_user(self, account: str, name: str) -> None:
        await self._write(rules.delete, account, IdentityKind.USER, name)

    async def create_role(self, role: Role) -> None:
        await self._write(rules.create, role)

    async def get_role(self, account: str, name: str) -> Role:
        return await self._read(rules.get_role, account, name)

    async def list_roles(
        self, account: str, limit: int, after: str = "", path_prefix: str = "/"
    ) -> Page[Role]:
        return await self._read(rules.list_roles, account, limit, after, path_prefix)

    async def update_role(self, account: str, name: str, change: RoleChange) -> Role:
        return await self._write(rules.update_role, account, name, change)

    async def present_principals(self, roles: Sequence[Role]) -> dict[str, str]:
        return await self._read(trusted_principals.present_principals, roles)

    async def delete_role(self, account: str, name: str) -> None:
        await self._write(rules.delete, account, IdentityKind.ROLE, name)

    async def tag_identity(
        self, account: str, kind: IdentityKind, name: str, tags: dict[str, str]
    ) -> None:
        await self._write(rules.tag, account, kind, name, tags)

    async def untag_identity(
        self, account: str, kind: IdentityKind, name: str, keys: tuple[str, ...]
    ) -> None:
        await self._write(rules.untag, account, kind, name, keys)

    async def revoke_sessions(
        self, account: str, kind: IdentityKind | None, name: str, before: int
    ) -> None:
        await self._write(rules.revoke_sessions, account, kind, name, before)

    async def end_sessions(self, account: str, kind: IdentityKind | None, name: str) -> None:
        await self._write(rules.end_sessions, account, kind, name)

    async def put_inline_policy(
        self, account: str, kind: IdentityKind, name: str, policy_name: str, document: str
    ) -> None:
        await self._write(rules.put_inline_policy, account, kind, name, policy_name, document)

    async def delete_inline_policy(
        self, account: str, kind: IdentityKind, name: str, policy_name: str
    ) -> None:
        await self._write(rules.delete_inline_policy, account, kind, name, policy_name)

    async def attach_policy(
        self, account: str, kind: IdentityKind, name: str, policy_arn: str
    ) -> None:
        await self._write(rules.attach_policy, account, kind, name, policy_arn)

    async def detach_policy(
        self, account: str, kind: IdentityKind, name: str, policy_arn: str
    ) -> None:
        await self._write(rules.detach_policy, account, kind, name, policy_arn)

    async def create_access_key(self, key: AccessKey) -> None:
        await self._write(rules.create_access_key, key)

    async def find_access_key(self, access_key_id: str) -> AccessKey:
        return await self._read(rules.find_access_key, access_key_id)

    async def list_access_keys(self, account: str, user_name: str) -> tuple[AccessKey, ...]:
        return await self._read(rules.list_access_keys, account, user_name)

    async def update_access_key(
        self, account: str, user_name: str, access_key_id: str, status: KeyStatus
    ) -> None:
        await self._write(rules.update_access_key, account, user_name, access_key_id, status)

    async def delete_access_key(self, account: str, user_name: str, access_key_id: str) -> None:
        await self._write(rules.delete_access_key, account, user_name, access_key_id)

    async def record_last_used(self, uses: dict[str, LastUsed]) -> None:
        await self._write(rules.record_last_used, uses)

    async def create_policy(self, policy: ManagedPolicy) -> None:
        await self._write(rules.create_policy, policy)

    async def get_policy(self, account: str, arn: str) -> ManagedPolicy:
        return await self._read(rules.get_policy, account, arn)

    async def list_policies(
        self,
        account: str,
        limit: int,
        after: str = "",
        path_prefix: str = "/",
        *,
        only_attached: bool = False,
    ) -> Page[ManagedPolicy]:
        return await self._read(
            rules.list_policies, account, limit, after, path_prefix, only_attached=only_attached
        )

    async def list_entities_for_policy(self, account: str, arn: str) -> tuple[Attachment, ...]:
        return await self._read(rules.list_entities_for_policy, account, arn)

    async def delete_policy(self, account: str, arn: str) -> None:
        await self._write(rules.delete_policy, account, arn)

    async def create_policy_version(
        self, account: str, arn: str, document: str, now: int, *, set_default: bool
    ) -> PolicyVersion:
        return await self._write(
            rules.create_policy_version, account, arn, document, now, set_default=set_default
        )

    async def delete_policy_version(self, account: str, arn: str, version: str) -> None:
        await self._write(rules.delete_policy_version, account, arn, version)

    async def set_default_policy_version(
        self, account: str, arn: str, version: str, now: int
    ) -> None:
        await self._write(rules.set_default_policy_version, account, arn, version, now)

    async def resolve_key(self, access_key_id: str) -> Resolution:
        return await self._read(resolution.resolve_key, access_key_id)

    async def resolve_identity(
        self,
        account: str,
        kind: IdentityKind | None,
        name: str,
        policy_arns: Sequence[str] = (),
        parent_key_id: str = "",
    ) -> Resolution:
        return await self._read(
            resolution.resolve_identity, account, kind, name, policy_arns, parent_key_id
        )

    async def suspend(self, account: str, now: int) -> None:
        await self._write(rules.suspend, account, now)

    async def resume(self, account: str) -> None:
        await self._write(rules.resume, account)

    async def suspended_accounts(self) -> frozenset[str]:
        return await self._read(rules.suspended_accounts)

    async def apply(self, account: str, declared: Declared) -> tuple[Change, ...]:
        return await self._write(declaration.apply, account, declared)
