"""Who may assume a role: its trust policy, and the caller's own policies.

Whoever may not is told the same as of a role that does not exist (STS does so, too).
"""

from collections.abc import Mapping

from greenroom.control.iam.call import IamCall
from greenroom.model.errors import AccessDeniedException
from greenroom.model.identity import Role
from greenroom.model.identity_errors import NoSuchEntity
from greenroom.model.principal import AccessRequest, Outcome
from greenroom.policies.document import parse_trust_policy
from greenroom.policies.request_context import request_context, with_resource
from greenroom.policies.trust import CompiledTrustPolicy, Trust

ASSUME = "sts:AssumeRole"
TAG = "sts:TagSession"


async def assumable_role(
    call: IamCall, tags: Mapping[str, str], handed_on: Mapping[str, str]
) -> Role:
    """Return the role that the request names, if the caller may assume it, with the tags.

    Tags that the caller's session hands on take the place of the role's own as new ones do: they
    need `sts:TagSession`, too ("Pass session tags in AWS STS": IAM User Guide).

    Raises:
        AccessDeniedException: it may not, or there is no such role.
    """
    arn = call.text("RoleArn")
    role = await _find(call, arn)
    if role is None:
        raise _denied(call, ASSUME, arn)
    for action in (ASSUME, TAG) if tags or handed_on else (ASSUME,):
        if not _may(call, role, action, {**handed_on, **tags}):
            raise _denied(call, action, arn)
    return role


async def _find(call: IamCall, arn: str) -> Role | None:
    prefix, _, rest = arn.partition(":role/")
    account = prefix.removeprefix("arn:aws:iam::")
    try:
        role = await call.identities.get_role(account, rest.rpartition("/")[2])
    except NoSuchEntity:
        return None
    return role if role.arn == arn else None


def _may(call: IamCall, role: Role, action: str, tags: Mapping[str, str]) -> bool:
    """Ask both sides, as AWS does.

    In the role's own account a trust policy that names the principal is enough; everywhere else
    the caller's own policies must allow, too. A deny on any side denies.
    """
    principal = call.principal
    context = request_context(principal, call.facts, request_tags=tags, tag_keys=tags)
    context["sts:rolesessionname"] = call.text("RoleSessionName")
    external_id = call.optional_text("ExternalId")
    if external_id is not None:
        context["sts:externalid"] = external_id
    if keys := call.texts("TransitiveTagKeys"):
        context["sts:transitivetagkeys"] = tuple(keys)
    request = AccessRequest(action, role.arn, with_resource(context, role.arn, role.tags))
    document = parse_trust_policy(role.trust_policy)
    trust = CompiledTrustPolicy(document, role.trusted).decide(principal, request)
    if trust in (Trust.DENIED, Trust.NONE):
        return False
    if principal.is_root:
        return True
    own = principal.permissions.decide(request).outcome
    if trust is Trust.PRINCIPAL and role.account == principal.account:
        return own is not Outcome.EXPLICIT_DENY
    return own is Outcome.ALLOW


def _denied(call: IamCall, action: str, arn: str) -> AccessDeniedException:
    return AccessDeniedException(
        f"User: {call.principal.arn} is not authorized to perform: {action} on resource: {arn}"
    )
