"""Users and roles: created, listed, changed, deleted, tagged."""

from collections.abc import Iterable

from msgspec.structs import replace

from greenroom.model.identity import IdentityKind, Role, User
from greenroom.model.identity_errors import DeleteConflict, EntityAlreadyExists
from greenroom.model.letter_case import without_case
from greenroom.storage.identity_rules.lookups import (
    check_tags,
    get_role,
    identity,
    limit_exceeded,
    page,
    put,
    table_of,
)
from greenroom.storage.identity_rules.transaction import Transaction, folded
from greenroom.storage.identity_rules.trusted_principals import bound
from greenroom.storage.identity_values import Page, RoleChange


async def create_user(transaction: Transaction, user: User) -> None:
    """Insert a user without keys and attachments.

    Raises:
        EntityAlreadyExists: the name is taken.
        LimitExceeded: the account has its quota of users; too many tags.
    """
    await insert(transaction, user)


async def create_role(transaction: Transaction, role: Role) -> None:
    """Insert a role without attachments.

    Raises:
        EntityAlreadyExists, LimitExceeded: as for users.
        MalformedPolicyDocument: `trusted` names somebody who is not there.
    """
    await _check_new(transaction, role)
    await put(transaction, replace(role, trusted=await bound(transaction, role.trusted)))


async def insert(transaction: Transaction, value: User | Role) -> None:
    """Insert a user, or a role with the ids that it trusts as they are given."""
    await _check_new(transaction, value)
    await put(transaction, value)


async def list_users(
    transaction: Transaction, account: str, limit: int, after: str = "", path_prefix: str = "/"
) -> Page[User]:
    """Return up to `limit` users whose path begins so; `after` is a page's `next`."""
    return page(await transaction.users.values(account, after), limit, path_prefix)


async def list_roles(
    transaction: Transaction, account: str, limit: int, after: str = "", path_prefix: str = "/"
) -> Page[Role]:
    """Return up to `limit` roles, as `list_users` does."""
    return page(await transaction.roles.values(account, after), limit, path_prefix)


async def update_role(
    transaction: Transaction, account: str, name: str, change: RoleChange
) -> Role:
    """Apply the change and return the role.

    Raises:
        NoSuchEntity: there is none.
        MalformedPolicyDocument: `trusted` names somebody who is not there.
    """
    role = await get_role(transaction, account, name)
    if change.trust_policy is not None:
        trusted = await bound(transaction, change.trusted)
        role = replace(role, trust_policy=change.trust_policy, trusted=trusted)
    changed = replace(
        role,
        description=role.description if change.description is None else change.description,
        max_session_seconds=change.max_session_seconds or role.max_session_seconds,
    )
    await put(transaction, changed)
    return changed


async def delete_user(transaction: Transaction, account: str, name: str) -> None:
    """Delete the user.

    Raises:
        NoSuchEntity: there is none.
        DeleteConflict: the user has access keys, inline policies or attachments.
    """
    await delete(transaction, account, IdentityKind.USER, name)


async def delete_role(transaction: Transaction, account: str, name: str) -> None:
    """Delete the role.

    Raises:
        NoSuchEntity: there is none.
        DeleteConflict: it has inline policies or attachments.
    """
    await delete(transaction, account, IdentityKind.ROLE, name)


async def delete(transaction: Transaction, account: str, kind: IdentityKind, name: str) -> None:
    """Delete a user or role."""
    found = await identity(transaction, account, kind, name)
    if isinstance(found, User) and found.access_key_ids:
        raise DeleteConflict("Cannot delete entity, must delete access keys first.")
    if found.attached_policies:
        raise DeleteConflict("Cannot delete entity, must detach all policies first.")
    if found.inline_policies:
        raise DeleteConflict("Cannot delete entity, must delete policies first.")
    await table_of(transaction, kind).remove(account, folded(name))


async def tag(
    transaction: Transaction, account: str, kind: IdentityKind, name: str, tags: dict[str, str]
) -> None:
    """Add or overwrite tags of a user or role.

    "If you have tagged a user with the Department=foo tag and you add the department=bar tag, it
    replaces the first tag" (IAM User Guide, "Tags for IAM resources").

    Raises:
        NoSuchEntity: there is none.
        LimitExceeded: it would have more than 50.
    """
    found = await identity(transaction, account, kind, name)
    tagged = {**_without(found.tags, tags), **tags}
    check_tags(tagged)
    await put(transaction, replace(found, tags=tagged))


async def untag(
    transaction: Transaction, account: str, kind: IdentityKind, name: str, keys: Iterable[str]
) -> None:
    """Remove tags, whatever the case of their keys; keys that are not there are no error.

    Raises:
        NoSuchEntity: there is none.
    """
    found = await identity(transaction, account, kind, name)
    await put(transaction, replace(found, tags=_without(found.tags, keys)))


def _without(tags: dict[str, str], keys: Iterable[str]) -> dict[str, str]:
    """Return the tags but those of the keys, which have no case."""
    gone = {without_case(key) for key in keys}
    return {key: value for key, value in tags.items() if without_case(key) not in gone}


async def _check_new(transaction: Transaction, value: User | Role) -> None:
    kind = IdentityKind.USER if isinstance(value, User) else IdentityKind.ROLE
    table = table_of(transaction, kind)
    if await table.get(value.account, folded(value.name)) is not None:
        raise EntityAlreadyExists(f"{kind.title()} with name {value.name} already exists.")
    if await table.count(value.account) >= kind.quota:
        raise limit_exceeded(f"{kind.title()}sPerAccount", kind.quota)
    check_tags(value.tags)
