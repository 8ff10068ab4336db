"""The table of the IAM and STS operations that are served: one line each."""

import msgspec

from greenroom.control.iam import (
    attachments,
    inline_policies,
    keys,
    policies,
    roles,
    simulation,
    sts,
    tags,
    users,
)
from greenroom.control.iam.call import IamHandler
from greenroom.policies.iam_access import FREE_ACTIONS, IDENTITY_ACCESS


class IamOperation(msgspec.Struct, frozen=True):
    """What performs an operation, and whether it changes identities."""

    handler: IamHandler
    changes: bool = False
    decides: bool = False
    """Whether it asks the policies itself."""
    issues: bool = False
    """Whether it issues credentials, which the audit log has to say."""


OPERATIONS: dict[str, IamOperation] = {
    "iam:AttachRolePolicy": IamOperation(attachments.attach_policy, changes=True),
    "iam:AttachUserPolicy": IamOperation(attachments.attach_policy, changes=True),
    "iam:CreateAccessKey": IamOperation(keys.create_access_key, changes=True),
    "iam:CreatePolicy": IamOperation(policies.create_policy, changes=True),
    "iam:CreatePolicyVersion": IamOperation(policies.create_policy_version, changes=True),
    "iam:CreateRole": IamOperation(roles.create_role, changes=True),
    "iam:CreateUser": IamOperation(users.create_user, changes=True),
    "iam:DeleteAccessKey": IamOperation(keys.delete_access_key, changes=True),
    "iam:DeletePolicy": IamOperation(policies.delete_policy, changes=True),
    "iam:DeletePolicyVersion": IamOperation(policies.delete_policy_version, changes=True),
    "iam:DeleteRole": IamOperation(roles.delete_role, changes=True),
    "iam:DeleteRolePolicy": IamOperation(inline_policies.delete_policy, changes=True),
    "iam:DeleteUser": IamOperation(users.delete_user, changes=True),
    "iam:DeleteUserPolicy": IamOperation(inline_policies.delete_policy, changes=True),
    "iam:DetachRolePolicy": IamOperation(attachments.detach_policy, changes=True),
    "iam:DetachUserPolicy": IamOperation(attachments.detach_policy, changes=True),
    "iam:GetAccessKeyLastUsed": IamOperation(keys.get_access_key_last_used),
    "iam:GetPolicy": IamOperation(policies.get_policy),
    "iam:GetPolicyVersion": IamOperation(policies.get_policy_version),
    "iam:GetRole": IamOperation(roles.get_role),
    "iam:GetRolePolicy": IamOperation(inline_policies.get_policy),
    "iam:GetUser": IamOperation(users.get_user),
    "iam:GetUserPolicy": IamOperation(inline_policies.get_policy),
    "iam:ListAccessKeys": IamOperation(keys.list_access_keys),
    "iam:ListAttachedRolePolicies": IamOperation(attachments.list_attached_policies),
    "iam:ListAttachedUserPolicies": IamOperation(attachments.list_attached_policies),
    "iam:ListEntitiesForPolicy": IamOperation(attachments.list_entities_for_policy),
    "iam:ListGroupsForUser": IamOperation(users.list_groups_for_user),
    "iam:ListPolicies": IamOperation(policies.list_policies),
    "iam:ListPolicyTags": IamOperation(tags.list_policy_tags),
    "iam:ListPolicyVersions": IamOperation(policies.list_policy_versions),
    "iam:ListRolePolicies": IamOperation(inline_policies.list_policies),
    "iam:ListRoleTags": IamOperation(tags.list_tags),
    "iam:ListRoles": IamOperation(roles.list_roles),
    "iam:ListUserPolicies": IamOperation(inline_policies.list_policies),
    "iam:ListUserTags": IamOperation(tags.list_tags),
    "iam:ListUsers": IamOperation(users.list_users),
    "iam:PutRolePolicy": IamOperation(inline_policies.put_policy, changes=True),
    "iam:PutUserPolicy": IamOperation(inline_policies.put_policy, changes=True),
    "iam:SetDefaultPolicyVersion": IamOperation(policies.set_default_policy_version, changes=True),
    "iam:SimulateCustomPolicy": IamOperation(simulation.simulate_custom_policy),
    "iam:SimulatePrincipalPolicy": IamOperation(simulation.simulate_principal_policy),
    "iam:TagRole": IamOperation(tags.tag_identity, changes=True),
    "iam:TagUser": IamOperation(tags.tag_identity, changes=True),
    "iam:UntagRole": IamOperation(tags.untag_identity, changes=True),
    "iam:UntagUser": IamOperation(tags.untag_identity, changes=True),
    "iam:UpdateAccessKey": IamOperation(keys.update_access_key, changes=True),
    "iam:UpdateAssumeRolePolicy": IamOperation(roles.update_assume_role_policy, changes=True),
    "iam:UpdateRole": IamOperation(roles.update_role, changes=True),
    "sts:AssumeRole": IamOperation(sts.assume_role, decides=True, issues=True),
    "sts:GetCallerIdentity": IamOperation(sts.get_caller_identity),
    "sts:GetSessionToken": IamOperation(sts.get_session_token, issues=True),
}
"""By action, in alphabetical order."""

if missing := OPERATIONS.keys() - IDENTITY_ACCESS.keys() - FREE_ACTIONS:
    raise ImportError(f"operations that nothing is known to allow: {', '.join(sorted(missing))}")
