"""The table of the IAM and STS operations that are served: one line each."""

import msgspec

from greenroom.control import (
    iam_attachments,
    iam_inline_policies,
    iam_keys,
    iam_policies,
    iam_roles,
    iam_simulation,
    iam_tags,
    iam_users,
    sts,
)
from greenroom.control.iam_call import IamHandler
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
    "iam:AttachRolePolicy": IamOperation(iam_attachments.attach_policy, changes=True),
    "iam:AttachUserPolicy": IamOperation(iam_attachments.attach_policy, changes=True),
    "iam:CreateAccessKey": IamOperation(iam_keys.create_access_key, changes=True),
    "iam:CreatePolicy": IamOperation(iam_policies.create_policy, changes=True),
    "iam:CreatePolicyVersion": IamOperation(iam_policies.create_policy_version, changes=True),
    "iam:CreateRole": IamOperation(iam_roles.create_role, changes=True),
    "iam:CreateUser": IamOperation(iam_users.create_user, changes=True),
    "iam:DeleteAccessKey": IamOperation(iam_keys.delete_access_key, changes=True),
    "iam:DeletePolicy": IamOperation(iam_policies.delete_policy, changes=True),
    "iam:DeletePolicyVersion": IamOperation(iam_policies.delete_policy_version, changes=True),
    "iam:DeleteRole": IamOperation(iam_roles.delete_role, changes=True),
    "iam:DeleteRolePolicy": IamOperation(iam_inline_policies.delete_policy, changes=True),
    "iam:DeleteUser": IamOperation(iam_users.delete_user, changes=True),
    "iam:DeleteUserPolicy": IamOperation(iam_inline_policies.delete_policy, changes=True),
    "iam:DetachRolePolicy": IamOperation(iam_attachments.detach_policy, changes=True),
    "iam:DetachUserPolicy": IamOperation(iam_attachments.detach_policy, changes=True),
    "iam:GetAccessKeyLastUsed": IamOperation(iam_keys.get_access_key_last_used),
    "iam:GetPolicy": IamOperation(iam_policies.get_policy),
    "iam:GetPolicyVersion": IamOperation(iam_policies.get_policy_version),
    "iam:GetRole": IamOperation(iam_roles.get_role),
    "iam:GetRolePolicy": IamOperation(iam_inline_policies.get_policy),
    "iam:GetUser": IamOperation(iam_users.get_user),
    "iam:GetUserPolicy": IamOperation(iam_inline_policies.get_policy),
    "iam:ListAccessKeys": IamOperation(iam_keys.list_access_keys),
    "iam:ListAttachedRolePolicies": IamOperation(iam_attachments.list_attached_policies),
    "iam:ListAttachedUserPolicies": IamOperation(iam_attachments.list_attached_policies),
    "iam:ListEntitiesForPolicy": IamOperation(iam_attachments.list_entities_for_policy),
    "iam:ListGroupsForUser": IamOperation(iam_users.list_groups_for_user),
    "iam:ListPolicies": IamOperation(iam_policies.list_policies),
    "iam:ListPolicyTags": IamOperation(iam_tags.list_policy_tags),
    "iam:ListPolicyVersions": IamOperation(iam_policies.list_policy_versions),
    "iam:ListRolePolicies": IamOperation(iam_inline_policies.list_policies),
    "iam:ListRoleTags": IamOperation(iam_tags.list_tags),
    "iam:ListRoles": IamOperation(iam_roles.list_roles),
    "iam:ListUserPolicies": IamOperation(iam_inline_policies.list_policies),
    "iam:ListUserTags": IamOperation(iam_tags.list_tags),
    "iam:ListUsers": IamOperation(iam_users.list_users),
    "iam:PutRolePolicy": IamOperation(iam_inline_policies.put_policy, changes=True),
    "iam:PutUserPolicy": IamOperation(iam_inline_policies.put_policy, changes=True),
    "iam:SetDefaultPolicyVersion": IamOperation(
        iam_policies.set_default_policy_version, changes=True
    ),
    "iam:SimulateCustomPolicy": IamOperation(iam_simulation.simulate_custom_policy),
    "iam:SimulatePrincipalPolicy": IamOperation(iam_simulation.simulate_principal_policy),
    "iam:TagRole": IamOperation(iam_tags.tag_identity, changes=True),
    "iam:TagUser": IamOperation(iam_tags.tag_identity, changes=True),
    "iam:UntagRole": IamOperation(iam_tags.untag_identity, changes=True),
    "iam:UntagUser": IamOperation(iam_tags.untag_identity, changes=True),
    "iam:UpdateAccessKey": IamOperation(iam_keys.update_access_key, changes=True),
    "iam:UpdateAssumeRolePolicy": IamOperation(iam_roles.update_assume_role_policy, changes=True),
    "iam:UpdateRole": IamOperation(iam_roles.update_role, changes=True),
    "sts:AssumeRole": IamOperation(sts.assume_role, decides=True, issues=True),
    "sts:GetCallerIdentity": IamOperation(sts.get_caller_identity),
    "sts:GetSessionToken": IamOperation(sts.get_session_token, issues=True),
}
"""By action, in alphabetical order."""

if missing := OPERATIONS.keys() - IDENTITY_ACCESS.keys() - FREE_ACTIONS:
    raise ImportError(f"operations that nothing is known to allow: {', '.join(sorted(missing))}")
