"""Who is in rooms, over all nodes: how many, in one and in all, and which users by name."""

import re

from greenroom.chat.occupancy import Occupancy, Place
from greenroom.control.greenroom.call import GreenroomCall
from greenroom.control.pipeline import Result
from greenroom.model.errors import FieldError, ValidationException

DEFAULT_PAGE = 50


async def get_room_state(call: GreenroomCall) -> Result:
    """GetRoomState: of a room without anybody, too."""
    room = call.room
    await call.services.rooms.get(room)
    room_arn = str(room)
    return _described(room_arn, call.services.presence.occupancies().of(room_arn))


async def list_room_states(call: GreenroomCall) -> Result:
    """ListRoomStates: rooms that somebody is in, the fullest first.

    The order is a second old at most: behind that, a room may stand on the next page that has been
    on this one.
    """
    prefix = f"arn:aws:ivschat:{call.facts.region}:{call.account}:room/"
    limit = call.number("maxResults", DEFAULT_PAGE)
    found = call.services.presence.occupancies().page(prefix, _after(call, prefix), limit + 1)
    result: Result = {
        "roomStates": [
            _described(room_arn, Occupancy(connections=-connections, users=-users))
            for users, connections, room_arn in found[:limit]
        ]
    }
    if len(found) > limit:
        users, connections, room_arn = found[limit - 1]
        result["nextToken"] = f"{-users}.{-connections}.{room_arn.removeprefix(prefix)}"
    return result


async def list_users(call: GreenroomCall) -> Result:
    """ListUsers: by their ids; who comes or goes meanwhile is on a later page, or is not."""
    room, limit = call.room, call.number("maxResults", DEFAULT_PAGE)
    await call.services.rooms.get(room)
    after = call.optional_text("nextToken") or ""
    found = await call.services.users.page(str(room), after, limit + 1)
    result: Result = {
        "users": [
            {
                "userId": each.user_id,
                "connections": each.connections,
                "attributes": each.attributes,
            }
            for each in found[:limit]
        ]
    }
    if len(found) > limit:
        result["nextToken"] = found[limit - 1].user_id
    return result


def _after(call: GreenroomCall, prefix: str) -> Place | None:
    token = call.optional_text("nextToken")
    if token is None:
        return None
    match = _TOKEN.fullmatch(token)
    if match is None:
        rule = "must be one that was answered"
        raise ValidationException.of_fields(FieldError("nextToken", rule))
    return -int(match[1]), -int(match[2]), prefix + match[3]


_TOKEN = re.compile(r"([0-9]{1,12})\.([0-9]{1,12})\.([a-zA-Z0-9-]{1,36})")


def _described(room_arn: str, occupancy: Occupancy) -> Result:
    return {
        "roomIdentifier": room_arn,
        "connections": occupancy.connections,
        "users": occupancy.users,
    }
