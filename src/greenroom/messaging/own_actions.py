"""Who does the service's own actions: see `protocol.own_actions`. A row each."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from greenroom.chat.deletions import IDS_AT_ONCE, Deletions
from greenroom.chat.moderation import Asked, Moderation, by_user
from greenroom.chat.pins import Pins
from greenroom.chat.posting import Posting
from greenroom.chat.presence import Elsewhere
from greenroom.chat.recent_names import RecentNames
from greenroom.chat.replies import Replies
from greenroom.chat.settings import Settings
from greenroom.chat.user_lists import UserLists
from greenroom.chat.user_names import UserNames
from greenroom.messaging.room_messages import RoomMessages, as_json
from greenroom.messaging.users_teller import MOST_USERS
from greenroom.model.arn import Arn
from greenroom.model.chat_token import Capability, ChatTokenClaims
from greenroom.model.restriction import Kind, Restriction
from greenroom.model.token_attributes import PREFIX, SERVICE_USER
from greenroom.protocol import events
from greenroom.protocol.commands import COMMANDS
from greenroom.protocol.errors import ActionError, ErrorCode
from greenroom.protocol.own_actions import (
    Announce,
    CountViewers,
    DeleteUserMessages,
    Help,
    Lift,
    ListMessages,
    ListUsers,
    OwnAction,
    PinMessage,
    Restrict,
    SetSettings,
    UnpinMessage,
)

Address = Callable[[], str]
"""Returns an address as text, which few actions need."""

USERS_AT_ONCE = 50
"""Users that one answer names: the longest ids, spelt as JSON in JSON, are below 64 KB then."""

_NOT_LISTED = "Forbidden: the room does not tell which users are there"

_NO_HISTORY = "Forbidden: the chat token has no history"

Result = Mapping[str, object]
"""What an action is answered with."""


class OwnServices(msgspec.Struct, frozen=True, kw_only=True):
    """What the actions work on."""

    settings: Settings
    moderation: Moderation
    presence: Elsewhere
    posting: Posting
    replies: Replies
    pins: Pins
    users: UserLists
    may_list: Callable[[str], bool]
    """Whether everybody in a room may ask which users are there."""
    messages: RoomMessages
    names: RecentNames
    """Answers them."""
    named: UserNames
    deletions: Deletions
    address: Address = lambda: ""
    """Returns the address of who asks."""


# Any: each performer takes its own action, and the table is looked up with that action's class.
OwnPerformer = Callable[[OwnServices, ChatTokenClaims, Any], Awaitable[Result]]
"""Does an action; raises ActionError and ServiceError."""


async def _set(own: OwnServices, moderator: ChatTokenClaims, action: SetSettings) -> Result:
    by = by_user(moderator.user_id)
    room_arn = moderator.room_arn
    if action.discards:
        await own.deletions.of_waiting(room_arn)
    room = await own.settings.change(room_arn, action.settings, action.reset, action.seconds, by)
    return {"Settings": own.settings.in_force(room), "Version": room.overrides.version}


async def _restrict(own: OwnServices, moderator: ChatTokenClaims, action: Restrict) -> Result:
    asked = _asked(moderator, action.user_id, action.kind)
    asked = msgspec.structs.replace(asked, seconds=action.seconds, reason=action.reason)
    entry = await own.moderation.restrict_from_room(asked)
    if action.delete_since:
        await own.deletions.with_restriction(
            moderator.room_arn, action.user_id, action.delete_since, action.reason
        )
    return _restricted(entry)


async def _lift(own: OwnServices, moderator: ChatTokenClaims, action: Lift) -> Result:
    asked = _asked(moderator, action.user_id, action.kind)
    entry = await own.moderation.lift_from_room(asked)
    held = len(entry.addresses)
    return {**_restricted(entry), **({"Addresses": held} if held else {})}


async def _count_viewers(own: OwnServices, who: ChatTokenClaims, _action: CountViewers) -> Result:
    found = own.presence.occupancies().of(who.room_arn)
    return {"Connections": found.connections, "Users": found.users}


async def _delete(
    own: OwnServices, moderator: ChatTokenClaims, action: DeleteUserMessages
) -> Result:
    deleted = await own.deletions.of_user(
        moderator.room_arn, action.user_id, action.since, action.reason
    )
    # An event has 64 KB at most.
    return {"MessageIds": deleted[-IDS_AT_ONCE:], "Count": len(deleted)}


async def _announce(own: OwnServices, host: ChatTokenClaims, action: Announce) -> Result:
    try:
        sent = await own.posting.announce(host, action.content, action.style, own.address())
    except ActionError as error:
        # The announcement has no RequestId: its answer has.
        error.request_id = action.request_id
        raise
    return {"Id": sent.message_id}


async def _pin(own: OwnServices, host: ChatTokenClaims, action: PinMessage) -> Result:
    by = by_user(host.user_id)
    room = await own.pins.pin(host.room_arn, action.message_id, action.seconds, by)
    return {"Pins": [each.message_id for each in own.pins.of(room)]}


async def _unpin(own: OwnServices, host: ChatTokenClaims, action: UnpinMessage) -> Result:
    room = await own.pins.unpin(host.room_arn, action.message_id)
    return {"Pins": [each.message_id for each in own.pins.of(room)]}


async def _list_users(own: OwnServices, who: ChatTokenClaims, action: ListUsers) -> Result:
    room_arn, after, most = who.room_arn, action.after, USERS_AT_ONCE + 1
    if Capability.MODERATE in who.capabilities:
        page = await own.users.page(room_arn, after, most, names_only=True)
        found = [each.user_id for each in page]
    elif own.may_list(room_arn):
        names = await own.names.of(room_arn, MOST_USERS + 1)
        found = [each for each in names if each > after][:most]
    else:
        raise ActionError(ErrorCode.FORBIDDEN, _NOT_LISTED, action.request_id)
    users = found[:USERS_AT_ONCE]
    more = {"NextToken": users[-1]} if len(found) > USERS_AT_ONCE else {}
    return {"Users": users, **more}


async def _list_messages(own: OwnServices, who: ChatTokenClaims, action: ListMessages) -> Result:
    # "00" is a number, too.
    if int(who.own.get("history", "1")) == 0:
        raise ActionError(ErrorCode.FORBIDDEN, _NO_HISTORY, action.request_id)
    found = await own.messages.page(who, action.before, action.limit)
    return {"Messages": as_json(found), "More": found.more}


async def _help(_own: OwnServices, _moderator: ChatTokenClaims, _action: Help) -> Result:
    return {"Commands": [f"/{name} {each.usage}".rstrip() for name, each in COMMANDS.items()]}


def _asked(moderator: ChatTokenClaims, user_id: str, kind: Kind) -> Asked:
    room, by = Arn.parse(moderator.room_arn), by_user(moderator.user_id)
    return Asked(account=room.account, room=room, user_id=user_id, kind=kind, by=by)


def _restricted(entry: Restriction) -> Result:
    return {"UserId": entry.user_id, "Kind": entry.kind, "Until": entry.until()}


OWN_PERFORMERS: Mapping[type[OwnAction], OwnPerformer] = {
    SetSettings: _set,
    Restrict: _restrict,
    Lift: _lift,
    CountViewers: _count_viewers,
    DeleteUserMessages: _delete,
    Announce: _announce,
    PinMessage: _pin,
    UnpinMessage: _unpin,
    ListUsers: _list_users,
    ListMessages: _list_messages,
    Help: _help,
}
"""Who does each action."""


def answer_to(action: OwnAction, result: Result, answer_id: str, time_ns: int) -> bytes:
    """Return the frame that answers an action, for the connection that asked alone."""
    text = events.json_text(result)
    if action.by_message:
        attributes = {f"{PREFIX}action": action.name.removeprefix(PREFIX), "Result": text}
        return events.encode_message(
            answer_id, action.request_id, attributes, action.says(result), time_ns, SERVICE_USER, {}
        )
    attributes = {"Action": action.name, "Result": text}
    return events.encode_event(answer_id, action.request_id, events.DONE, attributes, time_ns)
