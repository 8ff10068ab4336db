"""How what others wrote is printed, for people and for scripts."""

import json
from datetime import datetime

import click

from greenroom.cli.escaping import printable
from greenroom.client.chat_room import Entity
from greenroom.client.entities import DeleteMessageEvent, DisconnectUserEvent
from greenroom.protocol.received import ChatMessage

_COLORS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green")


def line_of(entity: Entity) -> str:
    """Return an entity as one line for people."""
    time = click.style(_local(entity.send_time), dim=True)
    if isinstance(entity, ChatMessage):
        user = printable(entity.sender.user_id)
        color = _COLORS[sum(user.encode(errors="replace")) % len(_COLORS)]
        return f"{time} {click.style(user, fg=color)}: {printable(entity.content)}"
    if isinstance(entity, DeleteMessageEvent):
        said = f"message {entity.message_id} was deleted{_because(entity.reason)}"
    elif isinstance(entity, DisconnectUserEvent):
        said = f"{entity.user_id} was disconnected{_because(entity.reason)}"
    else:
        attributes = json.dumps(entity.attributes or {}, ensure_ascii=False)
        said = f"event {entity.event_name} {attributes}"
    return f"{time} {click.style('* ' + printable(said), dim=True)}"


def json_of(entity: Entity, room_arn: str) -> str:
    """Return an entity as one line of JSON for scripts; kinds and members are the wire's."""
    members: dict[str, object] = {"room": room_arn}
    if isinstance(entity, ChatMessage):
        sender = {"userId": entity.sender.user_id, "attributes": entity.sender.attributes or {}}
        members |= {"type": "MESSAGE", "content": entity.content, "sender": sender}
    elif isinstance(entity, DeleteMessageEvent):
        members |= {"type": "DELETE_MESSAGE", "messageId": entity.message_id}
        members |= {"reason": entity.reason}
    elif isinstance(entity, DisconnectUserEvent):
        members |= {"type": "DISCONNECT_USER", "userId": entity.user_id, "reason": entity.reason}
    else:
        members |= {"type": "EVENT", "eventName": entity.event_name}
    members |= {
        "id": entity.id,
        "sendTime": entity.send_time.isoformat(),
        "requestId": entity.request_id or "",
        "attributes": entity.attributes or {},
    }
    # ASCII: a line of a log viewer ends where it should, whatever was written.
    return json.dumps(members)


def _because(reason: str | None) -> str:
    return f": {reason}" if reason else ""


def _local(time: datetime) -> str:
    return f"{time.astimezone():%H:%M:%S}"
