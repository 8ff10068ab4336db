"""Managed policies and their versions."""

from msgspec.structs import replace

from greenroom.model import identity as model
from greenroom.model.identity import Attachment, ManagedPolicy, PolicyVersion
from greenroom.model.identity_errors import (
    DeleteConflict,
    EntityAlreadyExists,
    LimitExceeded,
    NoSuchEntity,
)
from greenroom.storage.identity_rules.lookups import check_tags, get_policy, limit_exceeded, page
from greenroom.storage.identity_rules.transaction import Transaction, attachment_key, folded
from greenroom.storage.identity_values import Page


async def create_policy(transaction: Transaction, policy: ManagedPolicy) -> None:
    """Insert a managed policy.

    Raises:
        EntityAlreadyExists: the name is taken, on whatever path.
        LimitExceeded: the account has its quota of them; too many tags.
    """
    if await transaction.policies.get(policy.account, folded(policy.name)) is not None:
        raise EntityAlreadyExists(
            f"A policy called {policy.name} already exists. Duplicate names are not allowed."
        )
    if await transaction.policies.count(policy.account) >= model.POLICIES_PER_ACCOUNT:
        raise limit_exceeded("PoliciesPerAccount", model.POLICIES_PER_ACCOUNT)
    check_tags(policy.tags)
    await transaction.policies.put(policy.account, folded(policy.name), policy)


async def list_policies(
    transaction: Transaction,
    account: str,
    limit: int,
    after: str = "",
    path_prefix: str = "/",
    *,
    only_attached: bool = False,
) -> Page[ManagedPolicy]:
    """Return up to `limit` policies, as `list_users` does."""
    found = await transaction.policies.values(account, after)
    if only_attached:
        found = [policy for policy in found if policy.attachments]
    return page(found, limit, path_prefix)


async def list_entities_for_policy(
    transaction: Transaction, account: str, arn: str
) -> tuple[Attachment, ...]:
    """Return what the policy is attached to, roles before users, in the order of names.

    Raises:
        NoSuchEntity: the account has none of the ARN.
    """
    await get_policy(transaction, account, arn)
    start = attachment_key(arn)
    return tuple(await transaction.attachments.values(account, start, start + "\x7f"))


async def delete_policy(transaction: Transaction, account: str, arn: str) -> None:
    """Delete the policy.

    Raises:
        NoSuchEntity: the account has none of the ARN.
        DeleteConflict: it is attached, or has versions beside the default one.
    """
    policy = await get_policy(transaction, account, arn)
    if policy.attachments:
        raise DeleteConflict("Cannot delete a policy attached to entities.")
    if len(policy.versions) > 1:
        raise DeleteConflict(
            "This policy has more than one version. Before you delete a policy, you must delete the"
            " policy's versions. The default version is deleted with the policy."
        )
    await transaction.policies.remove(account, folded(policy.name))


async def create_policy_version(
    transaction: Transaction, account: str, arn: str, document: str, now: int, *, set_default: bool
) -> PolicyVersion:
    """Add a version, which gets the next number, and return it.

    Raises:
        NoSuchEntity: the account has none of the ARN.
        LimitExceeded: it has 5 versions.
    """
    policy = await get_policy(transaction, account, arn)
    if len(policy.versions) >= model.POLICY_VERSIONS:
        raise LimitExceeded(
            f"A managed policy can have up to {model.POLICY_VERSIONS} versions. Before you create a"
            " new version, you must delete an existing version."
        )
    return (
        await add_version(transaction, policy, document, now, set_default=set_default)
    ).versions[-1]


async def add_version(
    transaction: Transaction, policy: ManagedPolicy, document: str, now: int, *, set_default: bool
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
    await transaction.policies.put(policy.account, folded(policy.name), changed)
    return changed


async def delete_policy_version(
    transaction: Transaction, account: str, arn: str, version: str
) -> None:
    """Delete a version.

    Raises:
        NoSuchEntity: there is no such policy or version.
        DeleteConflict: it is the default version.
    """
    policy = await get_policy(transaction, account, arn)
    _check_version(policy, version)
    if policy.default_version == version:
        raise DeleteConflict("Cannot delete the default version of a policy.")
    kept = tuple(each for each in policy.versions if each.id != version)
    await transaction.policies.put(account, folded(policy.name), replace(policy, versions=kept))


async def set_default_policy_version(
    transaction: Transaction, account: str, arn: str, version: str, now: int
) -> None:
    """Make a version the one that counts.

    Raises:
        NoSuchEntity: there is no such policy or version.
    """
    policy = await get_policy(transaction, account, arn)
    _check_version(policy, version)
    changed = replace(policy, default_version=version, update_date=now)
    await transaction.policies.put(account, folded(policy.name), changed)


def _check_version(policy: ManagedPolicy, version: str) -> None:
    if all(each.id != version for each in policy.versions):
        raise NoSuchEntity(f"Policy {policy.arn} version {version} does not exist.")
