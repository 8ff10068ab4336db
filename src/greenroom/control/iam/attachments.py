"""The operations that attach managed policies to users and roles."""

from typing import cast

from greenroom.control.iam.call import IamCall
from greenroom.control.iam.inline_policies import holder_of
from greenroom.control.pipeline import Result
from greenroom.model.identity import Attachment, IdentityKind, Role, User
from greenroom.model.identity_errors import NoSuchEntity

_FILTERS = {"User": IdentityKind.USER, "Role": IdentityKind.ROLE}


async def attach_policy(call: IamCall) -> Result:
    """AttachUserPolicy, AttachRolePolicy: one that is attached stays so."""
    kind, name = call.identity()
    await call.identities.attach_policy(call.account, kind, name, call.text("PolicyArn"))
    return {}


async def detach_policy(call: IamCall) -> Result:
    """DetachUserPolicy, DetachRolePolicy."""
    kind, name = call.identity()
    await call.identities.detach_policy(call.account, kind, name, call.text("PolicyArn"))
    return {}


async def list_attached_policies(call: IamCall) -> Result:
    """ListAttachedUserPolicies, ListAttachedRolePolicies."""
    prefix = call.optional_text("PathPrefix") or "/"
    attached: dict[str, object] = {}
    for arn in (await holder_of(call)).attached_policies:
        path, _, name = arn.partition(":policy")[2].rpartition("/")
        if f"{path}/".startswith(prefix):
            attached[name] = {"PolicyName": name, "PolicyArn": arn}
    return call.cut("AttachedPolicies", attached)


async def list_entities_for_policy(call: IamCall) -> Result:
    """ListEntitiesForPolicy: the users and roles that the policy is attached to."""
    asked = call.optional_text("EntityFilter")
    kinds = set(IdentityKind) if asked is None else {_FILTERS.get(asked)}
    found = await call.identities.list_entities_for_policy(call.account, call.text("PolicyArn"))
    prefix = call.optional_text("PathPrefix") or "/"
    entities: dict[str, User | Role] = {}
    for each in found:
        holder = await _holder(call, each) if each.kind in kinds else None
        if holder is not None and holder.path.startswith(prefix):
            entities[f"{each.kind}/{holder.name}"] = holder
    page = call.cut("entities", entities)
    listed = cast(list[User | Role], page.pop("entities"))
    return {
        "PolicyGroups": [],
        "PolicyUsers": [
            {"UserName": each.name, "UserId": each.id} for each in listed if isinstance(each, User)
        ],
        "PolicyRoles": [
            {"RoleName": each.name, "RoleId": each.id} for each in listed if isinstance(each, Role)
        ],
        **page,
    }


async def _holder(call: IamCall, attachment: Attachment) -> User | Role | None:
    """Return what holds the policy, unless it was deleted a moment ago."""
    try:
        if attachment.kind is IdentityKind.USER:
            return await call.identities.get_user(call.account, attachment.name)
        return await call.identities.get_role(call.account, attachment.name)
    except NoSuchEntity:
        return None
