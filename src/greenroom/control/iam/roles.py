"""The operations on roles."""

from collections.abc import Mapping

from msgspec.structs import replace

from greenroom.control.iam.call import IamCall, tags_shown
from greenroom.control.iam.documents import check_trust, trust_shown
from greenroom.control.pipeline import Result
from greenroom.model.identity import IdPrefix, Role
from greenroom.storage.identity_values import RoleChange

DEFAULT_SESSION_SECONDS = 3600
"""Maximum duration of a role's sessions when the request does not say (CreateRole)."""


async def create_role(call: IamCall) -> Result:
    """CreateRole."""
    call.refuse_boundary()
    trust = call.text("AssumeRolePolicyDocument")
    named = check_trust(trust)
    role = Role(
        account=call.account,
        name=call.text("RoleName"),
        id=call.new_id(IdPrefix.ROLE),
        create_date=call.now_ms(),
        trust_policy=trust,
        path=call.path(),
        description=call.optional_text("Description") or "",
        max_session_seconds=call.number("MaxSessionDuration", DEFAULT_SESSION_SECONDS),
        tags=call.tags(),
    )
    await call.identities.create_role(replace(role, trusted=dict.fromkeys(named, "")))
    return {"Role": {**_summary(role, {}), **_tags(role)}}


async def get_role(call: IamCall) -> Result:
    """GetRole."""
    role = await call.identities.get_role(call.account, call.text("RoleName"))
    return {"Role": {**_summary(role, await _present(call, role)), **_tags(role)}}


async def list_roles(call: IamCall) -> Result:
    """ListRoles: without tags, as AWS lists them."""
    page = await call.identities.list_roles(
        call.account, call.limit(), call.after(), call.optional_text("PathPrefix") or "/"
    )
    present = await _present(call, *page.values)
    return call.page("Roles", page, lambda role: _summary(role, present))


async def update_role(call: IamCall) -> Result:
    """UpdateRole: what is absent stays, an empty description clears."""
    seconds = call.number("MaxSessionDuration", 0)
    change = RoleChange(
        description=call.optional_text("Description"), max_session_seconds=seconds or None
    )
    await call.identities.update_role(call.account, call.text("RoleName"), change)
    return {}


async def update_assume_role_policy(call: IamCall) -> Result:
    """UpdateAssumeRolePolicy: sessions that were begun stay."""
    document = call.text("PolicyDocument")
    change = RoleChange(trusted=check_trust(document), trust_policy=document)
    await call.identities.update_role(call.account, call.text("RoleName"), change)
    return {}


async def delete_role(call: IamCall) -> Result:
    """DeleteRole: policies must be gone."""
    await call.identities.delete_role(call.account, call.text("RoleName"))
    return {}


async def _present(call: IamCall, *roles: Role) -> Mapping[str, str]:
    """Return the ARNs, by id, of those whom the roles trust; most roles trust an account."""
    naming = [role for role in roles if role.trusted]
    return await call.identities.present_principals(naming) if naming else {}


def _tags(role: Role) -> Result:
    return {"Tags": tags_shown(role.tags)}


def _summary(role: Role, present: Mapping[str, str]) -> Result:
    return {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": role.arn,
        "CreateDate": role.create_date,
        "AssumeRolePolicyDocument": trust_shown(role, present),
        "Description": role.description or None,
        "MaxSessionDuration": role.max_session_seconds,
    }
