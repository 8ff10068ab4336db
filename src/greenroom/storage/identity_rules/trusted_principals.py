"""The principals that trust policies name: their unique ids when one is saved, their ARNs later.

What `Role.trusted` holds: see there.
"""

from collections.abc import Iterable, Mapping, Sequence

from greenroom.model.identity import IdentityKind, Role, User
from greenroom.model.principal_arn import PrincipalArn
from greenroom.policies.text import MalformedPolicyDocument
from greenroom.storage.identity_rules.transaction import Transaction, folded


async def bound(
    transaction: Transaction, arns: Iterable[str], kept: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the unique ids of those whom ARNs name; what `kept` has stays as it is there.

    Raises:
        MalformedPolicyDocument: an ARN names nobody.
    """
    before = kept or {}
    return {arn: before.get(arn) or await _id_of(transaction, arn) for arn in arns}


async def present_principals(transaction: Transaction, roles: Sequence[Role]) -> dict[str, str]:
    """Return the ARNs that those have now whom the roles trust, by the ids in `trusted`.

    Those who are gone are missing.
    """
    found = {}
    for role in roles:
        for arn, principal_id in role.trusted.items():
            named = PrincipalArn.parse(arn)
            holder = None if named is None else await _holder(transaction, named)
            if named is not None and holder is not None and named.id_in(holder) == principal_id:
                found[principal_id] = named.arn_in(holder)
    return found


async def _id_of(transaction: Transaction, arn: str) -> str:
    named = PrincipalArn.parse(arn)
    holder = None if named is None else await _holder(transaction, named)
    if named is None or holder is None or named.arn_in(holder) != arn:
        raise MalformedPolicyDocument(f'Invalid principal in policy: "AWS":"{arn}"')
    return named.id_in(holder)


async def _holder(transaction: Transaction, named: PrincipalArn) -> User | Role | None:
    if named.kind is IdentityKind.USER:
        return await transaction.users.get(named.account, folded(named.name))
    return await transaction.roles.get(named.account, folded(named.name))
