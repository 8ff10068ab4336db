"""What each operation of IAM and STS must be allowed: actions and resources, as a table.

Source: Service Authorization Reference, "AWS Identity and Access Management" and "AWS Security
Token Service". GetCallerIdentity and GetSessionToken need no permission.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from greenroom.policies.ivschat_access import Check


class IamResourceType(StrEnum):
    """What an operation acts on: the type in the ARN of the resource."""

    USER = "user"
    ROLE = "role"
    POLICY = "policy"
    ANY = "*"
    """Operations that act on no single resource."""


class IdentityAccess(msgspec.Struct, frozen=True):
    """One operation's needs."""

    target: IamResourceType
    parameter: str | None = None
    """The parameter with the resource's name, or its ARN; the caller's own user when it is left
    out of an operation on users."""
    creates: bool = False
    """Whether the path stands in the request, the resource being new."""
    tags: str | None = None
    """The action that tags in the request need, too, on the same resource."""


_NEW_USER = IdentityAccess(IamResourceType.USER, "UserName", creates=True, tags="iam:TagUser")
_NEW_ROLE = IdentityAccess(IamResourceType.ROLE, "RoleName", creates=True, tags="iam:TagRole")
_NEW_POLICY = IdentityAccess(
    IamResourceType.POLICY, "PolicyName", creates=True, tags="iam:TagPolicy"
)
_USER = IdentityAccess(IamResourceType.USER, "UserName")
_ROLE = IdentityAccess(IamResourceType.ROLE, "RoleName")
_POLICY = IdentityAccess(IamResourceType.POLICY, "PolicyArn")
_LIST = IdentityAccess(IamResourceType.ANY)
_ASSUMED = IdentityAccess(IamResourceType.ROLE, "RoleArn", tags="sts:TagSession")

IDENTITY_ACCESS: Mapping[str, IdentityAccess] = MappingProxyType(
    {
        "iam:AttachRolePolicy": _ROLE,
        "iam:AttachUserPolicy": _USER,
        "iam:CreateAccessKey": _USER,
        "iam:CreatePolicy": _NEW_POLICY,
        "iam:CreatePolicyVersion": _POLICY,
        "iam:CreateRole": _NEW_ROLE,
        "iam:CreateUser": _NEW_USER,
        "iam:DeleteAccessKey": _USER,
        "iam:DeletePolicy": _POLICY,
        "iam:DeletePolicyVersion": _POLICY,
        "iam:DeleteRole": _ROLE,
        "iam:DeleteRolePolicy": _ROLE,
        "iam:DeleteUser": _USER,
        "iam:DeleteUserPolicy": _USER,
        "iam:DetachRolePolicy": _ROLE,
        "iam:DetachUserPolicy": _USER,
        "iam:GetAccessKeyLastUsed": _USER,
        "iam:GetAccountSummary": _LIST,
        "iam:GetPolicy": _POLICY,
        "iam:GetPolicyVersion": _POLICY,
        "iam:GetRole": _ROLE,
        "iam:GetRolePolicy": _ROLE,
        "iam:GetUser": _USER,
        "iam:GetUserPolicy": _USER,
        "iam:ListAccessKeys": _USER,
        "iam:ListAttachedRolePolicies": _ROLE,
        "iam:ListAttachedUserPolicies": _USER,
        "iam:ListEntitiesForPolicy": _POLICY,
        "iam:ListGroupsForUser": _USER,
        "iam:ListPolicies": _LIST,
        "iam:ListPolicyTags": _POLICY,
        "iam:ListPolicyVersions": _POLICY,
        "iam:ListRolePolicies": _ROLE,
        "iam:ListRoles": _LIST,
        "iam:ListRoleTags": _ROLE,
        "iam:ListUserPolicies": _USER,
        "iam:ListUsers": _LIST,
        "iam:ListUserTags": _USER,
        "iam:PutRolePolicy": _ROLE,
        "iam:PutUserPolicy": _USER,
        "iam:SetDefaultPolicyVersion": _POLICY,
        "iam:SimulateCustomPolicy": _LIST,
        "iam:SimulatePrincipalPolicy": IdentityAccess(IamResourceType.ANY, "PolicySourceArn"),
        "iam:TagPolicy": _POLICY,
        "iam:TagRole": _ROLE,
        "iam:TagUser": _USER,
        "iam:UntagPolicy": _POLICY,
        "iam:UntagRole": _ROLE,
        "iam:UntagUser": _USER,
        "iam:UpdateAccessKey": _USER,
        "iam:UpdateAssumeRolePolicy": _ROLE,
        "iam:UpdateRole": _ROLE,
        "iam:UpdateRoleDescription": _ROLE,
        "iam:UpdateUser": _USER,
        "sts:AssumeRole": _ASSUMED,
        "sts:TagSession": IdentityAccess(IamResourceType.ROLE, "RoleArn"),
    }
)
"""Needs by action."""

FREE_ACTIONS = frozenset({"sts:GetCallerIdentity", "sts:GetSessionToken"})
"""Actions that every authenticated caller may do, whatever the policies say."""

PathOf = Callable[[IamResourceType, str], str]
"""Returns the path of the user or role with a name: `/`, `/team/`."""


def identity_checks(
    action: str,
    parameters: Mapping[str, str],
    account: str,
    *,
    caller_name: str | None = None,
    tagged: bool = False,
    path_of: PathOf = lambda _target, _name: "/",
) -> tuple[Check, ...]:
    """Return what a request to IAM or STS must be allowed, all of it, in the order of asking.

    `caller_name` is the caller's user name, for operations that mean the caller when they name no
    user. `tagged` says whether the request has tags. `path_of` finds the path of what exists
    already.

    Raises:
        KeyError: the action is in neither table.
    """
    if action in FREE_ACTIONS:
        return ()
    access = IDENTITY_ACCESS[action]
    name = parameters.get(access.parameter) if access.parameter is not None else None
    if name is not None and name.startswith("arn:"):
        resource = name
    elif access.target is IamResourceType.ANY:
        resource = "*"
    else:
        if name is None and access.target is IamResourceType.USER:
            name = caller_name
        name = name or "*"
        if access.creates:
            path = parameters.get("Path") or "/"
        else:
            path = "/" if name == "*" else path_of(access.target, name)
        resource = f"arn:aws:iam::{account}:{access.target}{path}{name}"
    found = Check(action, resource, exists=not access.creates)
    if access.tags is not None and tagged:
        return (found, Check(access.tags, resource, exists=found.exists))
    return (found,)
