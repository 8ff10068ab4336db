"""Rules that say who somebody is and what they may do, as of one moment; see `identity_rules`."""

from collections.abc import Sequence

from greenroom.model.identity import AccessKey, IdentityKind, Role, User
from greenroom.storage.identity_rules.lookups import account_of, find_access_key, get_user, identity
from greenroom.storage.identity_rules.transaction import EVERYWHERE, Transaction, folded
from greenroom.storage.identity_values import Resolution


async def resolve_key(transaction: Transaction, access_key_id: str) -> Resolution:
    """Return all about a long-term key and its user, in one transaction.

    Raises:
        NoSuchEntity: there is no such key.
    """
    key = await find_access_key(transaction, access_key_id)
    user = await get_user(transaction, key.account, key.user_name)
    return await _resolution(transaction, key.account, key, user, ())


async def resolve_identity(
    transaction: Transaction,
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
    found = None if kind is None else await identity(transaction, account, kind, name)
    key = await transaction.keys.get(EVERYWHERE, parent_key_id)
    return await _resolution(transaction, account, key, found, policy_arns)


async def _resolution(
    transaction: Transaction,
    account: str,
    key: AccessKey | None,
    found: User | Role | None,
    policy_arns: Sequence[str],
) -> Resolution:
    policies = {}
    for arn in (*(found.attached_policies if found else ()), *policy_arns):
        policy = await transaction.policies.get(account, folded(arn.rpartition("/")[2]))
        if policy is not None and policy.arn == arn:
            policies[arn] = policy
    return Resolution(
        account=await account_of(transaction, account), key=key, identity=found, policies=policies
    )
