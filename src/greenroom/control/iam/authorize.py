"""Whether the caller may perform an operation of IAM: every check of it, by the policies in force.

What each action is about: `policies.iam_access`. What does not exist is asked about by the ARN that
it would have, so that who may not see it is told nothing of it.
"""

from collections.abc import Mapping

from greenroom.control.iam.call import IamCall
from greenroom.control.iam.keys import own_key
from greenroom.model.errors import AccessDeniedException
from greenroom.model.identity import ManagedPolicy, Role, User
from greenroom.model.identity_errors import NoSuchEntity
from greenroom.model.principal import NO_TAGS, AccessRequest, ContextValue, Outcome
from greenroom.policies.access_denied import access_denied_message
from greenroom.policies.iam_access import IDENTITY_ACCESS, IamResourceType, identity_checks
from greenroom.policies.request_context import request_context, with_resource


async def authorize(call: IamCall, action: str) -> None:
    """Return when the caller, who is not the root, may do the action.

    Raises:
        AccessDeniedException: it may not; the message says who, what and why.
    """
    parameters = {name: value for name, value in call.parameters.items() if isinstance(value, str)}
    if action == "iam:GetAccessKeyLastUsed":
        parameters["UserName"] = (await own_key(call)).user_name
    found = await _existing(call, action, parameters)
    if isinstance(found, User | Role):
        # Names have no case: policies are asked about the name that is kept, however it is written.
        parameters[IDENTITY_ACCESS[action].parameter or ""] = found.name
    checks = identity_checks(
        action,
        parameters,
        call.account,
        caller_name=call.principal.user_name,
        tagged=bool(call.structures("Tags")),
        path_of=lambda _target, _name: "/" if found is None else found.path,
    )
    context = _context(call)
    tags = NO_TAGS if found is None else found.tags
    for check in checks:
        own = with_resource(context, check.resource, tags if check.exists else NO_TAGS)
        request = AccessRequest(check.action, check.resource, {**_iam_tags(own), **own})
        decision = call.principal.permissions.decide(request)
        if decision.outcome is not Outcome.ALLOW:
            raise AccessDeniedException(
                access_denied_message(call.principal.arn, check.action, check.resource, decision)
            )


async def _existing(
    call: IamCall, action: str, parameters: Mapping[str, str]
) -> User | Role | ManagedPolicy | None:
    access = IDENTITY_ACCESS[action]
    name = parameters.get(access.parameter or "")
    try:
        if access.target is IamResourceType.USER and not access.creates:
            name = name or call.principal.user_name
            return None if name is None else await call.identities.get_user(call.account, name)
        if access.target is IamResourceType.ROLE and name is not None and not access.creates:
            return await call.identities.get_role(call.account, name)
        if access.target is IamResourceType.POLICY and name is not None and not access.creates:
            return await call.identities.get_policy(call.account, name)
    except NoSuchEntity:
        pass
    return None


def _context(call: IamCall) -> dict[str, ContextValue]:
    tags = {str(tag["Key"]): str(tag["Value"]) for tag in call.structures("Tags")}
    keys = (*tags, *call.texts("TagKeys"))
    context = request_context(call.principal, call.facts, request_tags=tags, tag_keys=keys)
    policy = call.optional_text("PolicyArn")
    if policy is not None:
        context["iam:policyarn"] = policy
    return context


def _iam_tags(context: Mapping[str, ContextValue]) -> dict[str, ContextValue]:
    """Return `iam:ResourceTag/...`, which says the same as `aws:ResourceTag/...`."""
    return {
        f"iam:{key.removeprefix('aws:')}": value
        for key, value in context.items()
        if key.startswith("aws:resourcetag/")
    }
