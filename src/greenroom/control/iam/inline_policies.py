"""The operations on inline policies, of users and of roles alike."""

from greenroom.control.iam.call import IamCall
from greenroom.control.iam.documents import check_inline, document_shown
from greenroom.control.pipeline import Result
from greenroom.model.identity import IdentityKind, Role, User
from greenroom.model.identity_errors import NoSuchEntity


async def put_policy(call: IamCall) -> Result:
    """PutUserPolicy, PutRolePolicy: a policy of the name is replaced."""
    document = call.text("PolicyDocument")
    check_inline(document)
    kind, name = call.identity()
    await call.identities.put_inline_policy(
        call.account, kind, name, call.text("PolicyName"), document
    )
    return {}


async def get_policy(call: IamCall) -> Result:
    """GetUserPolicy, GetRolePolicy."""
    holder, policy_name = await holder_of(call), call.text("PolicyName")
    document = holder.inline_policies.get(policy_name)
    if document is None:
        kind, _ = call.identity()
        raise NoSuchEntity(f"The {kind} policy with name {policy_name} cannot be found.")
    return {
        "RoleName" if isinstance(holder, Role) else "UserName": holder.name,
        "PolicyName": policy_name,
        "PolicyDocument": document_shown(document),
    }


async def list_policies(call: IamCall) -> Result:
    """ListUserPolicies, ListRolePolicies: the names."""
    holder = await holder_of(call)
    return call.cut("PolicyNames", {name: name for name in holder.inline_policies})


async def delete_policy(call: IamCall) -> Result:
    """DeleteUserPolicy, DeleteRolePolicy."""
    kind, name = call.identity()
    await call.identities.delete_inline_policy(call.account, kind, name, call.text("PolicyName"))
    return {}


async def holder_of(call: IamCall) -> User | Role:
    """Return the user or role that the request is about."""
    kind, name = call.identity()
    if kind is IdentityKind.USER:
        return await call.identities.get_user(call.account, name)
    return await call.identities.get_role(call.account, name)
