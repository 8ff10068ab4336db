"""What the port to the kept identities takes and returns; see `identities`."""

from typing import Generic, TypeVar

import msgspec

from greenroom.model.identity import AccessKey, Account, ManagedPolicy, Role, User

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
