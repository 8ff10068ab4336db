"""What users and roles may do: their inline policies, and which managed ones are attached."""

from msgspec.structs import replace

from greenroom.model.identity import Attachment, IdentityKind
from greenroom.model.identity_errors import NoSuchEntity
from greenroom.storage.identity_rules.lookups import (
    check_attached,
    check_inline_policies,
    get_policy,
    identity,
    no_such,
    put,
)
from greenroom.storage.identity_rules.transaction import Transaction, attachment_key, folded


async def put_inline_policy(
    transaction: Transaction,
    account: str,
    kind: IdentityKind,
    name: str,
    policy: str,
    document: str,
) -> None:
    """Add or replace an inline policy of a user or role.

    Raises:
        NoSuchEntity: there is no such user or role.
        LimitExceeded: all of them together would be too long.
    """
    found = await identity(transaction, account, kind, name)
    policies = {**found.inline_policies, policy: document}
    check_inline_policies(kind, name, policies)
    await put(transaction, replace(found, inline_policies=policies))


async def delete_inline_policy(
    transaction: Transaction, account: str, kind: IdentityKind, name: str, policy: str
) -> None:
    """Remove an inline policy.

    Raises:
        NoSuchEntity: there is no such user, role or policy.
    """
    found = await identity(transaction, account, kind, name)
    if policy not in found.inline_policies:
        raise no_such("policy", policy)
    kept = {key: value for key, value in found.inline_policies.items() if key != policy}
    await put(transaction, replace(found, inline_policies=kept))


async def attach_policy(
    transaction: Transaction, account: str, kind: IdentityKind, name: str, policy_arn: str
) -> None:
    """Attach a managed policy of the account; one that is attached stays so.

    Raises:
        NoSuchEntity: there is no such user, role or policy.
        LimitExceeded: it would be more than 10.
    """
    found = await identity(transaction, account, kind, name)
    policy = await get_policy(transaction, account, policy_arn)
    if policy_arn in found.attached_policies:
        return
    attached = (*found.attached_policies, policy_arn)
    check_attached(attached)
    await put(transaction, replace(found, attached_policies=attached))
    await transaction.attachments.put(
        account,
        attachment_key(policy_arn, kind, name),
        Attachment(policy_arn, kind, found.name),
    )
    await transaction.policies.put(
        account, folded(policy.name), replace(policy, attachments=policy.attachments + 1)
    )


async def detach_policy(
    transaction: Transaction, account: str, kind: IdentityKind, name: str, policy_arn: str
) -> None:
    """Detach a managed policy.

    Raises:
        NoSuchEntity: there is no such user or role, or the policy is not attached.
    """
    found = await identity(transaction, account, kind, name)
    if policy_arn not in found.attached_policies:
        raise NoSuchEntity(f"Policy {policy_arn} was not found.")
    kept = tuple(arn for arn in found.attached_policies if arn != policy_arn)
    await put(transaction, replace(found, attached_policies=kept))
    await transaction.attachments.remove(account, attachment_key(policy_arn, kind, name))
    policy = await get_policy(transaction, account, policy_arn)
    await transaction.policies.put(
        account, folded(policy.name), replace(policy, attachments=policy.attachments - 1)
    )
