"""Decide who may assume a role, by the role's trust policy.

A trust policy that names a user, role or session allows that principal by itself; one that names
an account lets the account's own policies decide (IAM User Guide, "AWS JSON policy elements:
Principal"; "Policy evaluation logic").

ARNs of users, roles and sessions stand for the ids that they had when the policy was saved
(`Role.trusted`): by its ARN alone nobody is trusted.
"""

from collections.abc import Mapping
from enum import StrEnum

from msgspec.structs import replace

from greenroom.model.principal import AccessRequest, Principal
from greenroom.model.principal_arn import PrincipalArn
from greenroom.policies.decision import CompiledStatement
from greenroom.policies.statement import Effect, Elements, PolicyDocument, Statement


class Trust(StrEnum):
    """What a trust policy says about a principal."""

    DENIED = "denied"
    """An explicit deny: no other policy can allow it."""
    NONE = "none"
    """Nothing: the role cannot be assumed."""
    ACCOUNT = "account"
    """The principal's account is trusted: its own policies must allow it, too."""
    PRINCIPAL = "principal"
    """The principal itself is trusted: its own policies must only not deny it."""


class CompiledTrustPolicy:
    """The trust policy of one role; `trusted` has the unique ids of those whom it names by ARN."""

    def __init__(self, document: PolicyDocument, trusted: Mapping[str, str]) -> None:
        self._trusted = trusted
        self._statements = [
            (statement, CompiledStatement("trust policy", i, statement, document.has_variables))
            for i, statement in enumerate(document.statements)
        ]

    def decide(self, principal: Principal, request: AccessRequest) -> Trust:
        """Return whether the principal may do `sts:AssumeRole` or the like to the role."""
        trust = Trust.NONE
        action = request.action.lower()
        for statement, compiled in self._statements:
            named = _named(statement, principal, self._trusted)
            if named is Trust.NONE or not compiled.concerns(action):
                continue
            if not compiled.applies(request.resource, request.context):
                continue
            if statement.effect is Effect.DENY:
                return Trust.DENIED
            if trust is not Trust.PRINCIPAL:
                trust = named
        return trust


def named_arns(document: PolicyDocument) -> tuple[str, ...]:
    """Return the ARNs by which a trust policy names users, roles and sessions, each once."""
    entries = [
        each.partition(":")
        for statement in document.statements
        for each in (statement.principals.values if statement.principals else ())
    ]
    named = [arn for kind, _, arn in entries if kind == "AWS" and PrincipalArn.parse(arn)]
    return tuple(dict.fromkeys(named))


def with_names(document: PolicyDocument, names: Mapping[str, str]) -> PolicyDocument:
    """Return a trust policy that names those whom it names by ARN as `names` says."""
    return replace(
        document, statements=tuple(_renamed(each, names) for each in document.statements)
    )


def _renamed(statement: Statement, names: Mapping[str, str]) -> Statement:
    principals = statement.principals
    if principals is None:
        return statement
    values = []
    for each in principals.values:
        kind, _, name = each.partition(":")
        values.append(f"{kind}:{names[name]}" if kind == "AWS" and name in names else each)
    return replace(statement, principals=Elements(tuple(values), principals.negated))


def _named(statement: Statement, principal: Principal, trusted: Mapping[str, str]) -> Trust:
    """Return how a statement's Principal element names the principal: NONE when it does not."""
    principals = statement.principals
    if principals is None:
        return Trust.NONE
    found = {_match(each, principal, trusted) for each in principals.values}
    if principals.negated:
        # What is not excluded is everybody: their own policies decide, as with an account.
        return Trust.NONE if found != {Trust.NONE} else Trust.ACCOUNT
    for trust in (Trust.PRINCIPAL, Trust.ACCOUNT):
        if trust in found:
            return trust
    return Trust.NONE


def _match(entry: str, principal: Principal, trusted: Mapping[str, str]) -> Trust:
    if entry in ("*", "AWS:*"):
        return Trust.ACCOUNT
    kind, _, name = entry.partition(":")
    if kind != "AWS":
        return Trust.NONE  # services and identity providers do not call Greenroom
    if name in (principal.account, f"arn:aws:iam::{principal.account}:root"):
        return Trust.ACCOUNT
    principal_id = trusted.get(name, name)
    if principal_id == principal.user_id:
        return Trust.PRINCIPAL
    if principal_id == principal.user_id.partition(":")[0]:
        # "Resource-based policies that grant permissions to an IAM role ARN are limited by an
        # implicit deny in a [...] session policy"
        return Trust.ACCOUNT if principal.permissions.is_narrowed else Trust.PRINCIPAL
    return Trust.NONE
