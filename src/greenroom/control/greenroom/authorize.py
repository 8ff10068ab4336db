"""Whether the caller may perform one of Greenroom's own operations, by the policies in force."""

from collections.abc import Mapping

from greenroom.control.greenroom.call import GreenroomCall
from greenroom.control.greenroom.sessions import kind_of
from greenroom.control.room_tags import tags_in_store
from greenroom.model.errors import AccessDeniedException
from greenroom.model.identity import IdentityKind, Role, User
from greenroom.model.identity_errors import NoSuchEntity
from greenroom.model.principal import NO_TAGS, AccessRequest, ContextValue, Outcome
from greenroom.policies.access_denied import access_denied_message
from greenroom.policies.greenroom_access import greenroom_check, is_about_a_room
from greenroom.policies.ivschat_access import Check
from greenroom.policies.request_context import RequestFacts, request_context, with_resource


async def authorize(call: GreenroomCall, operation: str, facts: RequestFacts) -> None:
    """Return when the caller, who is not the root, may perform the operation.

    Raises:
        AccessDeniedException: it may not; the message says who, what and why.
        ResourceNotFoundException: it might, by the tags of a room that is not there.
    """
    await _authorize(call, operation, facts)
    if "deleteMessagesSinceSeconds" in call.parameters or call.parameters.get("discardWaiting"):
        # What a restriction deletes, or the end of a pause, is with the permission to delete.
        await _authorize(call, "DeleteUserMessages", facts)


async def _authorize(call: GreenroomCall, operation: str, facts: RequestFacts) -> None:
    principal = call.principal
    found = await _identity(call) if operation == "EndSessions" else None
    check = _check(call, operation, found)
    tags = await _room_tags(call, check) if is_about_a_room(operation) else NO_TAGS
    if found is not None:
        tags = found.tags
    asked = {**request_context(principal, facts), **_own_keys(call)}
    context = with_resource(asked, check.resource, tags or NO_TAGS)
    decision = principal.permissions.decide(AccessRequest(check.action, check.resource, context))
    if decision.outcome is not Outcome.ALLOW:
        raise AccessDeniedException(
            access_denied_message(principal.arn, check.action, check.resource, decision)
        )
    if tags is None:
        raise call.room.not_found()


async def _room_tags(call: GreenroomCall, check: Check) -> Mapping[str, str] | None:
    """Return the room's tags, if a policy looks at them; None: there is no such room."""
    uses_tags = call.principal.permissions.uses_resource_tags(check.action)
    if not uses_tags or "roomIdentifier" not in call.parameters:
        return NO_TAGS
    tags = tags_in_store(call.services.tags, call.account, call.facts.region)
    return await tags(check.resource)


def _own_keys(call: GreenroomCall) -> dict[str, ContextValue]:
    """Return what only requests of this API have; the keys are `OWN_KEYS`."""
    seconds = call.number("durationSeconds", 0) or call.number("expiresInSeconds", 0)
    keys: dict[str, ContextValue] = {"greenroom:durationseconds": str(seconds)} if seconds else {}
    user_id, skips = call.optional_text("userId"), call.parameters.get("skipChecks")
    if user_id is not None:
        keys["greenroom:userid"] = user_id
    style = call.optional_text("announcement")
    if style is not None:
        keys["greenroom:announcement"] = style
    if "alsoAddresses" in call.parameters:
        keys["greenroom:alsoaddresses"] = "true" if call.parameters["alsoAddresses"] else "false"
    if skips is not None:
        keys["greenroom:skipchecks"] = "true" if skips else "false"
    scope = "ROOM" if "roomIdentifier" in call.parameters else "ACCOUNT"
    return {**keys, "greenroom:scope": scope}


def _check(call: GreenroomCall, operation: str, found: User | Role | None) -> Check:
    if is_about_a_room(operation):
        # What is about the account is about all of its rooms.
        room = call.optional_text("roomIdentifier")
        every = f"arn:aws:ivschat:{call.facts.region}:{call.account}:room/*"
        return greenroom_check(operation, call.account, room=room or every)
    if operation != "EndSessions":
        key_id = str(call.parameters.get("keyId", ""))
        return greenroom_check(operation, call.account, key_id=key_id)
    kind = kind_of(call)
    if kind is None:
        return greenroom_check(operation, call.account, identity="root")
    # Who does not exist is asked about by the ARN that it would have, as with IAM: who may not see
    # it is told nothing of it.
    path, name = ("/", call.text("name")) if found is None else (found.path, found.name)
    return greenroom_check(operation, call.account, identity=f"{kind}{path}{name}")


async def _identity(call: GreenroomCall) -> User | Role | None:
    kind, name = kind_of(call), call.text("name")
    identities = call.services.identities
    try:
        if kind is IdentityKind.USER:
            return await identities.get_user(call.account, name)
        return None if kind is None else await identities.get_role(call.account, name)
    except NoSuchEntity:
        return None
