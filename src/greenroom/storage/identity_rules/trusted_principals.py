"""The principals that trust policies name: their unique ids when one is saved, their ARNs later.

What `Role.trusted` holds: see there. The meaning of these rules is documented at the port.
"""

from collections.abc import Iterable, Mapping, Sequence

from greenroom.model.identity import IdentityKind, Role, User
from greenroom.model.principal_arn import PrincipalArn
from greenroom.policies.text import MalformedPolicyDocument
from greenroom.storage.identity_rules.shelves import Shelves, folded


def bound(
    shelves: Shelves, arns: Iterable[str], kept: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the unique ids of those whom ARNs name; what `kept` has stays as it is there.

    Raises:
        MalformedPolicyDocument: an ARN names nobody.
    """
    before = kept or {}
    return {arn: before.get(arn) or _id_of(shelves, arn) for arn in arns}


def present_principals(shelves: Shelves, roles: Sequence[Role]) -> dict[str, str]:
    """Return the present ARNs, by id, of those whom trust policies name and who are still there."""
    found = {}
    for role in roles:
        for arn, principal_id in role.trusted.items():
            named = PrincipalArn.parse(arn)
            holder = None if named is None else _holder(shelves, named)
            if named is not None and holder is not None and named.id_in(holder) == principal_id:
                found[principal_id] = named.arn_in(holder)
    return found


def _id_of(shelves: Shelves, arn: str) -> str:
    named = PrincipalArn.parse(arn)
    holder = None if named is None else _holder(shelves, named)
    if named is None or holder is None or named.arn_in(holder) != arn:
        raise MalformedPolicyDocument(f'Invalid principal in policy: "AWS":"{arn}"')
    return named.id_in(holder)


def _holder(shelves: Shelves, named: PrincipalArn) -> User | Role | None:
    if named.kind is IdentityKind.USER:
        return shelves.users.get(named.account, folded(named.name))
    return shelves.roles.get(named.account, folded(named.name))
