"""The rules of kept identities, written once over the shelves of any adapter.

Each function is one transaction: it checks all, then puts. Their meaning and errors are documented
at the port, `storage.identities`.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar, cast

from msgspec.structs import replace

from greenroom.clock import is_set_back
from greenroom.model import identity as model
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
from greenroom.model.identity_errors import (
    DeleteConflict,
    EntityAlreadyExists,
    LimitExceeded,
    NoSuchEntity,
)
from greenroom.storage.identities import Page, RoleChange
from greenroom.storage.identity_rules.shelves import (
    EVERYWHERE,
    Shelf,
    Shelves,
    attachment_key,
    folded,
)
from greenroom.storage.identity_rules.trusted_principals import bound

USES_LATE_MS = 3_600_000
"""A use of a key is noted so late at most; one that is later still was noted by a wrong clock."""


class _Listed(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def path(self) -> str: ...


L = TypeVar("L", bound=_Listed)

# Users and roles alike


def create(shelves: Shelves, value: User | Role) -> None:
    """Insert a user or role."""
    kind = IdentityKind.USER if isinstance(value, User) else IdentityKind.ROLE
    shelf = _shelf(shelves, kind)
    if shelf.get(value.account, folded(value.name)) is not None:
        raise EntityAlreadyExists(f"{kind.title()} with name {value.name} already exists.")
    if shelf.count(value.account) >= kind.quota:
        raise limit_exceeded(f"{kind.title()}sPerAccount", kind.quota)
    check_tags(value.tags)
    if isinstance(value, Role):
        value = replace(value, trusted=bound(shelves, value.trusted))
    put(shelves, value)


def get_user(shelves: Shelves, account: str, name: str) -> User:
    """Return a user."""
    return cast(User, identity(shelves, account, IdentityKind.USER, name))


def get_role(shelves: Shelves, account: str, name: str) -> Role:
    """Return a role."""
    return cast(Role, identity(shelves, account, IdentityKind.ROLE, name))


def list_users(
    shelves: Shelves, account: str, limit: int, after: str, path_prefix: str
) -> Page[User]:
    """Return a page of users."""
    return page(shelves.users.values(account, after), limit, path_prefix)


def list_roles(
    shelves: Shelves, account: str, limit: int, after: str, path_prefix: str
) -> Page[Role]:
    """Return a page of roles."""
    return page(shelves.roles.values(account, after), limit, path_prefix)


def update_role(shelves: Shelves, account: str, name: str, change: RoleChange) -> Role:
    """Change a role."""
    role = get_role(shelves, account, name)
    if change.trust_policy is not None:
        trusted = bound(shelves, change.trusted)
        role = replace(role, trust_policy=change.trust_policy, trusted=trusted)
    changed = replace(
        role,
        description=role.description if change.description is None else change.description,
        max_session_seconds=change.max_session_seconds or role.max_session_seconds,
    )
    put(shelves, changed)
    return changed


def delete(shelves: Shelves, account: str, kind: IdentityKind, name: str) -> None:
    """Delete a user or role."""
    found = identity(shelves, account, kind, name)
    if isinstance(found, User) and found.access_key_ids:
        raise DeleteConflict("Cannot delete entity, must delete access keys first.")
    if found.attached_policies:
        raise DeleteConflict("Cannot delete entity, must detach all policies first.")
    if found.inline_policies:
        raise DeleteConflict("Cannot delete entity, must delete policies first.")
    _shelf(shelves, kind).remove(account, folded(name))


def tag(
    shelves: Shelves, account: str, kind: IdentityKind, name: str, tags: dict[str, str]
) -> None:
    """Add or overwrite tags."""
    found = identity(shelves, account, kind, name)
    tagged = {**found.tags, **tags}
    check_tags(tagged)
    put(shelves, replace(found, tags=tagged))


def untag(
    shelves: Shelves, account: str, kind: IdentityKind, name: str, keys: Iterable[str]
) -> None:
    """Remove tags."""
    found = identity(shelves, account, kind, name)
    gone = set(keys)
    put(shelves, replace(found, tags={k: v for k, v in found.tags.items() if k not in gone}))


def revoke_sessions(
    shelves: Shelves, account: str, kind: IdentityKind | None, name: str, before: int
) -> None:
    """Refuse older temporary credentials."""
    if kind is None:
        kept = account_of(shelves, account)
        changed = replace(kept, revoked_before=max(before, kept.revoked_before))
        shelves.accounts.put(EVERYWHERE, account, changed)
    else:
        found = identity(shelves, account, kind, name)
        put(shelves, replace(found, revoked_before=max(before, found.revoked_before)))


def end_sessions(shelves: Shelves, account: str, kind: IdentityKind | None, name: str) -> None:
    """Refuse all temporary credentials issued until now."""
    if kind is None:
        kept = account_of(shelves, account)
        ended = replace(kept, sessions_ended=kept.sessions_ended + 1)
        shelves.accounts.put(EVERYWHERE, account, ended)
    else:
        found = identity(shelves, account, kind, name)
        put(shelves, replace(found, sessions_ended=found.sessions_ended + 1))


def put_inline_policy(
    shelves: Shelves, account: str, kind: IdentityKind, name: str, policy: str, document: str
) -> None:
    """Add or replace an inline policy."""
    found = identity(shelves, account, kind, name)
    policies = {**found.inline_policies, policy: document}
    check_inline_policies(kind, name, policies)
    put(shelves, replace(found, inline_policies=policies))


def delete_inline_policy(
    shelves: Shelves, account: str, kind: IdentityKind, name: str, policy: str
) -> None:
    """Remove an inline policy."""
    found = identity(shelves, account, kind, name)
    if policy not in found.inline_policies:
        raise no_such("policy", policy)
    kept = {key: value for key, value in found.inline_policies.items() if key != policy}
    put(shelves, replace(found, inline_policies=kept))


def attach_policy(
    shelves: Shelves, account: str, kind: IdentityKind, name: str, policy_arn: str
) -> None:
    """Attach a managed policy."""
    found = identity(shelves, account, kind, name)
    policy = get_policy(shelves, account, policy_arn)
    if policy_arn in found.attached_policies:
        return
    attached = (*found.attached_policies, policy_arn)
    check_attached(attached)
    put(shelves, replace(found, attached_policies=attached))
    shelves.attachments.put(
        account,
        attachment_key(policy_arn, kind, name),
        Attachment(policy_arn, kind, found.name),
    )
    shelves.policies.put(
        account, folded(policy.name), replace(policy, attachments=policy.attachments + 1)
    )


def detach_policy(
    shelves: Shelves, account: str, kind: IdentityKind, name: str, policy_arn: str
) -> None:
    """Detach a managed policy."""
    found = identity(shelves, account, kind, name)
    if policy_arn not in found.attached_policies:
        raise NoSuchEntity(f"Policy {policy_arn} was not found.")
    kept = tuple(arn for arn in found.attached_policies if arn != policy_arn)
    put(shelves, replace(found, attached_policies=kept))
    shelves.attachments.remove(account, attachment_key(policy_arn, kind, name))
    policy = get_policy(shelves, account, policy_arn)
    shelves.policies.put(
        account, folded(policy.name), replace(policy, attachments=policy.attachments - 1)
    )


# Access keys


def create_access_key(shelves: Shelves, key: AccessKey) -> None:
    """Insert a key."""
    user = get_user(shelves, key.account, key.user_name)
    if shelves.keys.get(EVERYWHERE, key.access_key_id) is not None:
        raise EntityAlreadyExists(f"Access key {key.access_key_id} already exists.")
    if len(user.access_key_ids) >= model.KEYS_PER_USER:
        raise limit_exceeded("AccessKeysPerUser", model.KEYS_PER_USER)
    shelves.keys.put(EVERYWHERE, key.access_key_id, replace(key, user_name=user.name))
    put(shelves, replace(user, access_key_ids=(*user.access_key_ids, key.access_key_id)))


def find_access_key(shelves: Shelves, access_key_id: str) -> AccessKey:
    """Return a key of whatever account."""
    key = shelves.keys.get(EVERYWHERE, access_key_id)
    if key is None:
        raise _no_such_key(access_key_id)
    return key


def list_access_keys(shelves: Shelves, account: str, user_name: str) -> tuple[AccessKey, ...]:
    """Return a user's keys."""
    user = get_user(shelves, account, user_name)
    return tuple(find_access_key(shelves, each) for each in user.access_key_ids)


def update_access_key(
    shelves: Shelves, account: str, user_name: str, access_key_id: str, status: KeyStatus
) -> None:
    """Switch a key on or off."""
    key = _key_of(get_user(shelves, account, user_name), shelves, access_key_id)
    shelves.keys.put(EVERYWHERE, access_key_id, replace(key, status=status))


def delete_access_key(shelves: Shelves, account: str, user_name: str, access_key_id: str) -> None:
    """Delete a key."""
    user = get_user(shelves, account, user_name)
    _key_of(user, shelves, access_key_id)
    shelves.keys.remove(EVERYWHERE, access_key_id)
    kept = tuple(each for each in user.access_key_ids if each != access_key_id)
    put(shelves, replace(user, access_key_ids=kept))


def record_last_used(shelves: Shelves, uses: dict[str, LastUsed]) -> None:
    """Note last uses."""
    for access_key_id, use in uses.items():
        key = shelves.keys.get(EVERYWHERE, access_key_id)
        if key is not None and _is_of(use, key) and _is_newer(use, key.last_used):
            shelves.keys.put(EVERYWHERE, access_key_id, replace(key, last_used=use))


def _is_of(use: LastUsed, key: AccessKey) -> bool:
    """Return whether the use is not of a key that was under this id before."""
    made = key.create_date
    return made <= use.date or is_set_back(made, use.date, USES_LATE_MS)


def _is_newer(use: LastUsed, last: LastUsed | None) -> bool:
    return last is None or last.date < use.date or is_set_back(last.date, use.date, USES_LATE_MS)


# Managed policies


def create_policy(shelves: Shelves, policy: ManagedPolicy) -> None:
    """Insert a managed policy."""
    if shelves.policies.get(policy.account, folded(policy.name)) is not None:
        raise EntityAlreadyExists(
            f"A policy called {policy.name} already exists. Duplicate names are not allowed."
        )
    if shelves.policies.count(policy.account) >= model.POLICIES_PER_ACCOUNT:
        raise limit_exceeded("PoliciesPerAccount", model.POLICIES_PER_ACCOUNT)
    check_tags(policy.tags)
    shelves.policies.put(policy.account, folded(policy.name), policy)


def get_policy(shelves: Shelves, account: str, arn: str) -> ManagedPolicy:
    """Return the policy whose ARN this is."""
    policy = shelves.policies.get(account, folded(arn.rpartition("/")[2]))
    if policy is None or policy.arn != arn:
        raise NoSuchEntity(f"Policy {arn} does not exist or is not attachable.")
    return policy


def list_policies(
    shelves: Shelves, account: str, limit: int, after: str, path_prefix: str, *, only_attached: bool
) -> Page[ManagedPolicy]:
    """Return a page of policies."""
    found = shelves.policies.values(account, after)
    if only_attached:
        found = [policy for policy in found if policy.attachments]
    return page(found, limit, path_prefix)


def list_entities_for_policy(shelves: Shelves, account: str, arn: str) -> tuple[Attachment, ...]:
    """Return what the policy is attached to."""
    get_policy(shelves, account, arn)
    start = attachment_key(arn)
    return tuple(shelves.attachments.values(account, start, start + "\x7f"))


def delete_policy(shelves: Shelves, account: str, arn: str) -> None:
    """Delete a policy."""
    policy = get_policy(shelves, account, arn)
    if policy.attachments:
        raise DeleteConflict("Cannot delete a policy attached to entities.")
    if len(policy.versions) > 1:
        raise DeleteConflict(
            "This policy has more than one version. Before you delete a policy, you must delete the"
            " policy's versions. The default version is deleted with the policy."
        )
    shelves.policies.remove(account, folded(policy.name))


def create_policy_version(
    shelves: Shelves, account: str, arn: str, document: str, now: int, *, set_default: bool
) -> PolicyVersion:
    """Add a version."""
    policy = get_policy(shelves, account, arn)
    if len(policy.versions) >= model.POLICY_VERSIONS:
        raise LimitExceeded(
            f"A managed policy can have up to {model.POLICY_VERSIONS} versions. Before you create a"
            " new version, you must delete an existing version."
        )
    return add_version(shelves, policy, document, now, set_default=set_default).versions[-1]


def add_version(
    shelves: Shelves, policy: ManagedPolicy, document: str, now: int, *, set_default: bool
) -> ManagedPolicy:
    """Put the policy with one more version."""
    number = policy.newest_version + 1
    version = PolicyVersion(id=f"v{number}", document=document, create_date=now)
    changed = replace(
        policy,
        versions=(*policy.versions, version),
        newest_version=number,
        update_date=now,
        default_version=version.id if set_default else policy.default_version,
    )
    shelves.policies.put(policy.account, folded(policy.name), changed)
    return changed


def delete_policy_version(shelves: Shelves, account: str, arn: str, version: str) -> None:
    """Delete a version."""
    policy = get_policy(shelves, account, arn)
    _check_version(policy, version)
    if policy.default_version == version:
        raise DeleteConflict("Cannot delete the default version of a policy.")
    kept = tuple(each for each in policy.versions if each.id != version)
    shelves.policies.put(account, folded(policy.name), replace(policy, versions=kept))


def set_default_policy_version(
    shelves: Shelves, account: str, arn: str, version: str, now: int
) -> None:
    """Choose the version that counts."""
    policy = get_policy(shelves, account, arn)
    _check_version(policy, version)
    changed = replace(policy, default_version=version, update_date=now)
    shelves.policies.put(account, folded(policy.name), changed)


# Accounts


def suspend(shelves: Shelves, account: str, now: int) -> None:
    """Suspend an account."""
    kept = account_of(shelves, account)
    if kept.suspended is None:
        shelves.accounts.put(EVERYWHERE, account, replace(kept, suspended=now))


def resume(shelves: Shelves, account: str) -> None:
    """End an account's suspension."""
    kept = account_of(shelves, account)
    shelves.accounts.put(EVERYWHERE, account, replace(kept, suspended=None))


def suspended_accounts(shelves: Shelves) -> frozenset[str]:
    """Return every suspended account."""
    kept = shelves.accounts.values(EVERYWHERE)
    return frozenset(each.id for each in kept if each.suspended is not None)


def account_of(shelves: Shelves, account: str) -> Account:
    """Return what is kept of an account."""
    return shelves.accounts.get(EVERYWHERE, account) or Account(account)


# What several rules need


def identity(shelves: Shelves, account: str, kind: IdentityKind, name: str) -> User | Role:
    """Return a user or role or raise NoSuchEntity."""
    found = _shelf(shelves, kind).get(account, folded(name))
    if found is None:
        raise no_such(kind, name)
    return found


def put(shelves: Shelves, value: User | Role) -> None:
    """Put a user or role where it belongs."""
    if isinstance(value, User):
        shelves.users.put(value.account, folded(value.name), value)
    else:
        shelves.roles.put(value.account, folded(value.name), value)


def page(found: list[L], limit: int, path_prefix: str) -> Page[L]:
    """Return the first of what was found, those on the path."""
    passing = [value for value in found if value.path.startswith(path_prefix)]
    values = tuple(passing[:limit])
    return Page(values, folded(values[-1].name) if len(passing) > limit else None)


def check_tags(tags: dict[str, str]) -> None:
    """Refuse more tags than the quota."""
    if len(tags) > model.TAGS_PER_IDENTITY:
        raise limit_exceeded("TagsPerResource", model.TAGS_PER_IDENTITY)


def check_attached(attached: Sequence[str]) -> None:
    """Refuse more attachments than the quota."""
    if len(attached) > model.ATTACHED_POLICIES:
        raise limit_exceeded("PoliciesPerIdentity", model.ATTACHED_POLICIES)


def check_inline_policies(kind: IdentityKind, name: str, policies: dict[str, str]) -> None:
    """Refuse inline policies that are too long together."""
    size = sum(model.document_characters(document) for document in policies.values())
    if size > kind.inline_characters:
        raise LimitExceeded(
            f"Maximum policy size of {kind.inline_characters} bytes exceeded for {kind} {name}"
        )


def no_such(what: str, name: str) -> NoSuchEntity:
    """Return the error for something that is not there."""
    return NoSuchEntity(f"The {what} with name {name} cannot be found.")


def limit_exceeded(quota: str, limit: int) -> LimitExceeded:
    """Return the error for a quota."""
    return LimitExceeded(f"Cannot exceed quota for {quota}: {limit}")


def _shelf(shelves: Shelves, kind: IdentityKind) -> Shelf[User] | Shelf[Role]:
    return shelves.users if kind is IdentityKind.USER else shelves.roles


def _key_of(user: User, shelves: Shelves, access_key_id: str) -> AccessKey:
    if access_key_id not in user.access_key_ids:
        raise _no_such_key(access_key_id)
    return find_access_key(shelves, access_key_id)


def _no_such_key(access_key_id: str) -> NoSuchEntity:
    return NoSuchEntity(f"The Access Key with id {access_key_id} cannot be found.")


def _check_version(policy: ManagedPolicy, version: str) -> None:
    if all(each.id != version for each in policy.versions):
        raise NoSuchEntity(f"Policy {policy.arn} version {version} does not exist.")
