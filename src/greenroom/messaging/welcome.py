"""The first frame of a connection that asked for the service's own events."""

from collections.abc import Mapping

from greenroom.chat.occupancy import Occupancy
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.model.token_attributes import listed
from greenroom.protocol import events

VERSION = "2026-12-01"
"""Of the service's own API and events."""


def welcome(
    claims: ChatTokenClaims,
    room: Mapping[str, str],
    viewers: Occupancy,
    event_id: str,
    time_ns: int,
) -> bytes:
    """Return the EVENT that says what a connection is and where it is.

    `room` is what those in the room are told of its settings and pins, `viewers` how many they are.
    """
    you = {
        "UserId": claims.user_id,
        "Capabilities": claims.capabilities,
        "Roles": listed(claims.own.get("roles", "")),
    }
    attributes = {
        "Version": VERSION,
        "ServerTime": events.send_time(time_ns),
        "You": events.json_text(you),
        "Viewers": events.json_text({"Connections": viewers.connections, "Users": viewers.users}),
        **room,
    }
    return events.encode_event(event_id, "", events.WELCOME, attributes, time_ns)
