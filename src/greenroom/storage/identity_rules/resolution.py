"""Rules that say who somebody is and what they may do, as of one moment; see `identity_rules`."""

from collections.abc import Sequence

from greenroom.model.identity import AccessKey, IdentityKind, Role, User
from greenroom.storage.identities import Resolution
from greenroom.storage.identity_rules import rules
from greenroom.storage.identity_rules.shelves import EVERYWHERE, Shelves, folded


def resolve_key(shelves: Shelves, access_key_id: str) -> Resolution:
    """Return all about a long-term key."""
    key = rules.find_access_key(shelves, access_key_id)
    user = rules.get_user(shelves, key.account, key.user_name)
    return _resolution(shelves, key.account, key, user, ())


def resolve_identity(
    shelves: Shelves,
    account: str,
    kind: IdentityKind | None,
    name: str,
    policy_arns: Sequence[str],
    parent_key_id: str,
) -> Resolution:
    """Return all about a user, role or root."""
    found = None if kind is None else rules.identity(shelves, account, kind, name)
    key = shelves.keys.get(EVERYWHERE, parent_key_id)
    return _resolution(shelves, account, key, found, policy_arns)


def _resolution(
    shelves: Shelves,
    account: str,
    key: AccessKey | None,
    found: User | Role | None,
    policy_arns: Sequence[str],
) -> Resolution:
    policies = {}
    for arn in (*(found.attached_policies if found else ()), *policy_arns):
        policy = shelves.policies.get(account, folded(arn.rpartition("/")[2]))
        if policy is not None and policy.arn == arn:
            policies[arn] = policy
    return Resolution(
        account=rules.account_of(shelves, account), key=key, identity=found, policies=policies
    )
