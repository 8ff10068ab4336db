"""The port to the kept identities: users, roles, access keys, policies, suspended accounts.

The guarantees are those of `storage.base` (durability, atomicity, order, isolation), and:

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

Errors: the `IdentityError`s that each method names; `StorageUnavailable` as for the store.
"""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from greenroom.model.identity import (
    AccessKey,
    Account,
    Attachment,
    IdentityKind,
    KeyStatus,
    LastUsed,
    ManagedPolicy,
    PolicyVersion,
    Role,
    User,
)

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some values in the order of their names, and the marker of the next ones, if any."""

    values: tuple[T, ...]
    next: str | None


class RoleChange(msgspec.Struct, frozen=True, kw_only=True):
    """What to change of a role; None leaves a member as it is."""

    trust_policy: str | None = None
    trusted: tuple[str, ...] = ()
    """The ARNs that the trust policy names; only together with it."""
    description: str | None = None
    max_session_seconds: int | None = None


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """All that the identities file declares for one account.

    Ids and times in the values are for what does not exist yet: `apply` keeps those of what does.
    `access_key_ids` and a policy's `attachments` are worked out by `apply`.
    """

    users: tuple[User, ...] = ()
    roles: tuple[Role, ...] = ()
    policies: tuple[ManagedPolicy, ...] = ()
    """Each with one version, whose document is wanted as the default."""
    keys: tuple[AccessKey, ...] = ()
    suspended: bool | None = None
    """Whether the account is to be suspended; None leaves that as it is."""
    now: int = 0
    """The time of a suspension."""
    revoked_before: int = 0
    """As `revoke_sessions` for the root; those of users and roles are in the values."""


class Change(msgspec.Struct, frozen=True):
    """One change that the identities file made."""

    what: str
    """A line without documents, values of tags and secrets: `create user anna`."""
    arn: str = ""
    """Of the user, role or policy; empty for what has none."""
    before: dict[str, object] = {}
    """What differs, as it was: documents and values of tags too, but no secret."""
    after: dict[str, object] = {}
    """The same as it is now."""


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """All that says who somebody is and what they may do, as of one moment.

    `identity` is None for the account's root; `policies` are the managed ones, attached or asked
    for, by ARN; those that do not exist are missing.
    """

    account: Account
    key: AccessKey | None
    identity: User | Role | None
    policies: dict[str, ManagedPolicy]


class IdentityStore(Protocol):
    """What is kept of identities. `name` is a user's or role's in any case."""

    async def create_user(self, user: User) -> None:
        """Insert a user without keys and attachments.

        Raises:
            EntityAlreadyExists: the name is taken.
            LimitExceeded: the account has its quota of users; too many tags.
        """

    async def get_user(self, account: str, name: str) -> User:
        """Return the user.

        Raises:
            NoSuchEntity: there is none.
        """

    async def list_users(
        self, account: str, limit: int, after: str = "", path_prefix: str = "/"
    ) -> Page[User]:
        """Return up to `limit` users whose path begins so; `after` is a page's `next`."""

    async def delete_user(self, account: str, name: str) -> None:
        """Delete the user.

        Raises:
            NoSuchEntity: there is none.
            DeleteConflict: the user has access keys, inline policies or attachments.
        """

    async def create_role(self, role: Role) -> None:
        """Insert a role without attachments.

        Raises:
            EntityAlreadyExists, LimitExceeded: as for users.
            MalformedPolicyDocument: `trusted` names somebody who is not there.
        """

    async def get_role(self, account: str, name: str) -> Role:
        """Return the role.

        Raises:
            NoSuchEntity: there is none.
        """

    async def list_roles(
        self, account: str, limit: int, after: str = "", path_prefix: str = "/"
    ) -> Page[Role]:
        """Return up to `limit` roles, as `list_users` does."""

    async def update_role(self, account: str, name: str, change: RoleChange) -> Role:
        """Apply the change and return the role.

        Raises:
            NoSuchEntity: there is none.
            MalformedPolicyDocument: `trusted` names somebody who is not there.
        """

    async def present_principals(self, roles: Sequence[Role]) -> dict[str, str]:
        """Return the ARNs that those have now whom the roles trust, by the ids in `trusted`.

        Those who are gone are missing.
        """

    async def delete_role(self, account: str, name: str) -> None:
        """Delete the role.

        Raises:
            NoSuchEntity: there is none.
            DeleteConflict: it has inline policies or attachments.
        """

    async def tag_identity(
        self, account: str, kind: IdentityKind, name: str, tags: dict[str, str]
    ) -> None:
        """Add or overwrite tags of a user or role.

        Raises:
            NoSuchEntity: there is none.
            LimitExceeded: it would have more than 50.
        """

    async def untag_identity(
        self, account: str, kind: IdentityKind, name: str, keys: tuple[str, ...]
    ) -> None:
        """Remove tags; keys that are not there are no error.

        Raises:
            NoSuchEntity: there is none.
        """

    async def revoke_sessions(
        self, account: str, kind: IdentityKind | None, name: str, before: int
    ) -> None:
        """Refuse temporary credentials issued before; `kind` None is the account's root.

        The time never moves back.

        Raises:
            NoSuchEntity: there is none.
        """

    async def end_sessions(self, account: str, kind: IdentityKind | None, name: str) -> None:
        """Refuse all temporary credentials issued until now, whatever any clock said.

        Raises:
            NoSuchEntity: there is none.
        """

    async def put_inline_policy(
        self, account: str, kind: IdentityKind, name: str, policy_name: str, document: str
    ) -> None:
        """Add or replace an inline policy of a user or role.

        Raises:
            NoSuchEntity: there is no such user or role.
            LimitExceeded: all of them together would be too long.
        """

    async def delete_inline_policy(
        self, account: str, kind: IdentityKind, name: str, policy_name: str
    ) -> None:
        """Remove an inline policy.

        Raises:
            NoSuchEntity: there is no such user, role or policy.
        """

    async def attach_policy(
        self, account: str, kind: IdentityKind, name: str, policy_arn: str
    ) -> None:
        """Attach a managed policy of the account; one that is attached stays so.

        Raises:
            NoSuchEntity: there is no such user, role or policy.
            LimitExceeded: it would be more than 10.
        """

    async def detach_policy(
        self, account: str, kind: IdentityKind, name: str, policy_arn: str
    ) -> None:
        """Detach a managed policy.

        Raises:
            NoSuchEntity: there is no such user or role, or the policy is not attached.
        """

    async def create_access_key(self, key: AccessKey) -> None:
        """Insert a key of the user that it names.

        Raises:
            NoSuchEntity: there is no such user.
            LimitExceeded: the user has two keys.
            EntityAlreadyExists: the key id is taken, in whatever account.
        """

    async def find_access_key(self, access_key_id: str) -> AccessKey:
        """Return the key, of whatever account.

        Raises:
            NoSuchEntity: there is none.
        """

    async def list_access_keys(self, account: str, user_name: str) -> tuple[AccessKey, ...]:
        """Return the user's keys, oldest first.

        Raises:
            NoSuchEntity: there is no such user.
        """

    async def update_access_key(
        self, account: str, user_name: str, access_key_id: str, status: KeyStatus
    ) -> None:
        """Set whether the key signs requests.

        Raises:
            NoSuchEntity: the user has no such key.
        """

    async def delete_access_key(self, account: str, user_name: str, access_key_id: str) -> None:
        """Delete the key.

        Raises:
            NoSuchEntity: the user has no such key.
        """

    async def record_last_used(self, uses: dict[str, LastUsed]) -> None:
        """Note the last uses by key id.

        Keys that are gone, or were made or used later, are passed over.
        A use that is later by an hour and more was noted by a clock that was ahead: it is replaced.
        """

    async def create_policy(self, policy: ManagedPolicy) -> None:
        """Insert a managed policy.

        Raises:
            EntityAlreadyExists: the name is taken, on whatever path.
            LimitExceeded: the account has its quota of them; too many tags.
        """

    async def get_policy(self, account: str, arn: str) -> ManagedPolicy:
        """Return the policy.

        Raises:
            NoSuchEntity: the account has none of the ARN.
        """

    async def list_policies(
        self,
        account: str,
        limit: int,
        after: str = "",
        path_prefix: str = "/",
        *,
        only_attached: bool = False,
    ) -> Page[ManagedPolicy]:
        """Return up to `limit` policies, as `list_users` does."""

    async def list_entities_for_policy(self, account: str, arn: str) -> tuple[Attachment, ...]:
        """Return what the policy is attached to, roles before users, in the order of names.

        Raises:
            NoSuchEntity: the account has none of the ARN.
        """

    async def delete_policy(self, account: str, arn: str) -> None:
        """Delete the policy.

        Raises:
            NoSuchEntity: the account has none of the ARN.
            DeleteConflict: it is attached, or has versions beside the default one.
        """

    async def create_policy_version(
        self, account: str, arn: str, document: str, now: int, *, set_default: bool
    ) -> PolicyVersion:
        """Add a version, which gets the next number, and return it.

        Raises:
            NoSuchEntity: the account has none of the ARN.
            LimitExceeded: it has 5 versions.
        """

    async def delete_policy_version(self, account: str, arn: str, version: str) -> None:
        """Delete a version.

        Raises:
            NoSuchEntity: there is no such policy or version.
            DeleteConflict: it is the default version.
        """

    async def set_default_policy_version(
        self, account: str, arn: str, version: str, now: int
    ) -> None:
        """Make a version the one that counts.

        Raises:
            NoSuchEntity: there is no such policy or version.
        """

    async def resolve_key(self, access_key_id: str) -> Resolution:
        """Return all about a long-term key and its user, in one transaction.

        Raises:
            NoSuchEntity: there is no such key.
        """

    async def resolve_identity(
        self,
        account: str,
        kind: IdentityKind | None,
        name: str,
        policy_arns: Sequence[str] = (),
        parent_key_id: str = "",
    ) -> Resolution:
        """Return all about a user, a role or (None) the root, and the policies asked for beside.

        `key` is the parent key, None when there is none of that id.

        Raises:
            NoSuchEntity: there is no such user or role.
        """

    async def suspend(self, account: str, now: int) -> None:
        """Suspend the account; one that is suspended stays so since when it was."""

    async def resume(self, account: str) -> None:
        """End the account's suspension."""

    async def suspended_accounts(self) -> frozenset[str]:
        """Return every account that is suspended."""

    async def apply(self, account: str, declared: Declared) -> tuple[Change, ...]:
        """Make what the identities file owns exactly what it declares, in one transaction.

        Returns each change; none when nothing differs. What the file does not own is not touched.

        Raises:
            EntityAlreadyExists: a name or key id is taken by something that the file does not own.
            NoSuchEntity: a declared attachment, or a key's user, is not there.
            DeleteConflict: what is no longer declared is still used by what the file does not own.
            LimitExceeded: a quota.
            InvalidInput: a trust policy names somebody who is neither declared nor there, and was
                not when the policy was saved first.
        """
