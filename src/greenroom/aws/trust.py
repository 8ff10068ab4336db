"""Decide who may assume a role, by the role's trust policy.

A trust policy that names a user, role or session allows that principal by itself; one that names
an account lets the account's own policies decide (IAM User Guide, "AWS JSON policy elements:
Principal"; "Policy evaluation logic").
"""

from enum import StrEnum

from greenroom.aws.policy import CompiledStatement
from greenroom.aws.policy_statement import Effect, PolicyDocument, Statement
from greenroom.model.principal import AccessRequest, Principal


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
    """The trust policy of one role."""

    def __init__(self, document: PolicyDocument) -> None:
        self._statements = [
            (statement, CompiledStatement("trust policy", i, statement, document.has_variables))
            for i, statement in enumerate(document.statements)
        ]

    def decide(self, principal: Principal, request: AccessRequest) -> Trust:
        """Return whether the principal may do `sts:AssumeRole` or the like to the role."""
        trust = Trust.NONE
        action = request.action.lower()
        for statement, compiled in self._statements:
            named = _named(statement, principal)
            if named is Trust.NONE or not compiled.concerns(action):
                continue
            if not compiled.applies(request.resource, request.context):
                continue
            if statement.effect is Effect.DENY:
                return Trust.DENIED
            if trust is not Trust.PRINCIPAL:
                trust = named
        return trust


def _named(statement: Statement, principal: Principal) -> Trust:
    """Return how a statement's Principal element names the principal: NONE when it does not."""
    principals = statement.principals
    if principals is None:
        return Trust.NONE
    found = {_match(each, principal) for each in principals.values}
    if principals.negated:
        # What is not excluded is everybody: their own policies decide, as with an account.
        return Trust.NONE if found != {Trust.NONE} else Trust.ACCOUNT
    for trust in (Trust.PRINCIPAL, Trust.ACCOUNT):
        if trust in found:
            return trust
    return Trust.NONE


def _match(entry: str, principal: Principal) -> Trust:
    if entry in ("*", "AWS:*"):
        return Trust.ACCOUNT
    kind, _, name = entry.partition(":")
    if kind != "AWS":
        return Trust.NONE  # services and identity providers do not call Greenroom
    if name in (principal.account, f"arn:aws:iam::{principal.account}:root"):
        return Trust.ACCOUNT
    if name == principal.arn:
        return Trust.PRINCIPAL
    if name in (principal.role_arn, principal.user_id.partition(":")[0]):
        # "Resource-based policies that grant permissions to an IAM role ARN are limited by an
        # implicit deny in a [...] session policy"
        return Trust.ACCOUNT if principal.permissions.is_narrowed else Trust.PRINCIPAL
    return Trust.NONE
