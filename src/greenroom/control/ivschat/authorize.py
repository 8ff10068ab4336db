"""Whether the caller may perform an operation: every check of it, by the policies in force."""

from collections.abc import Mapping

from greenroom.control.room_tags import ResourceTags
from greenroom.model.arn import Arn
from greenroom.model.errors import AccessDeniedException
from greenroom.model.principal import NO_TAGS, AccessRequest, Outcome, Principal
from greenroom.policies.access_denied import access_denied_message
from greenroom.policies.ivschat_access import Check, checks, requested_tags
from greenroom.policies.request_context import RequestFacts, request_context, with_resource


async def authorize(
    principal: Principal,
    operation: str,
    parameters: Mapping[str, object],
    facts: RequestFacts,
    resource_tags: ResourceTags,
) -> None:
    """Return when the principal, who is not the root, may perform the operation.

    The resource's tags are fetched only when a policy in force looks at them for the action. Of one
    that is not there nobody knows which it had: then no operation goes on, also not DisconnectUser,
    which others may use on a deleted room.

    Raises:
        AccessDeniedException: it may not; the message says who, what and why.
        ResourceNotFoundException: it might, by the tags of a resource that is not there.
    """
    request_tags, tag_keys = requested_tags(operation, parameters)
    context = request_context(principal, facts, request_tags=request_tags, tag_keys=tag_keys)
    for check in checks(operation, parameters, principal.account, facts.region):
        tags = await _tags(principal, check, resource_tags)
        request = AccessRequest(
            check.action, check.resource, with_resource(context, check.resource, tags or NO_TAGS)
        )
        decision = principal.permissions.decide(request)
        if decision.outcome is not Outcome.ALLOW:
            raise AccessDeniedException(
                access_denied_message(principal.arn, check.action, check.resource, decision)
            )
        if tags is None:
            raise Arn.parse(check.resource).not_found()


async def _tags(
    principal: Principal, check: Check, resource_tags: ResourceTags
) -> Mapping[str, str] | None:
    if check.exists and principal.permissions.uses_resource_tags(check.action):
        return await resource_tags(check.resource)
    return NO_TAGS
