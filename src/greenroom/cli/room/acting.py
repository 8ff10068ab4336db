"""`greenroom token`, `event`, `delete-message` and `kick`: one act in a room, by the API."""

import json
from functools import partial

import click

from greenroom.cli.admin.options import pairs
from greenroom.cli.room.service import Rooms, a_room, as_json, room_command, websocket_url
from greenroom.model.chat_token import Capability

_CAN = click.Choice([each.value for each in Capability])

_attributes = click.option(
    "--attribute", "attributes", multiple=True, callback=pairs, help="Attribute, as NAME=VALUE."
)
_as_user = click.option("--as", "user", required=True, help="Who it is: the token's user id.")
_reason = click.option("--reason", help="Why, for everybody to see.")


@click.command()
@a_room
@_as_user
@click.option("--can", "capabilities", multiple=True, type=_CAN, help="What else than to look on.")
@click.option("--minutes", type=int, help="How long the session lasts.  [60]")
@_attributes
@click.option("--url", "as_url", is_flag=True, help="Print a line for a browser's console.")
@click.option("--json", "in_json", is_flag=True, help="Print JSON, nothing else.")
@partial(room_command, url=False)
def token(
    found: Rooms,
    room: str,
    *,
    user: str,
    capabilities: tuple[str, ...],
    minutes: int | None,
    attributes: dict[str, str],
    as_url: bool,
    in_json: bool,
) -> None:
    """Create a chat token: whoever has it may connect once, within a minute."""
    made = found.token(found.find(room), user, capabilities, attributes, minutes)
    if in_json:
        click.echo(as_json(made))
    elif as_url:
        url = websocket_url(found.endpoint)
        click.echo(f"new WebSocket({json.dumps(url)}, {json.dumps(made['token'])})")
    else:
        click.echo(made["token"])


@click.command()
@a_room
@click.argument("name")
@_attributes
@room_command
def event(found: Rooms, room: str, name: str, *, attributes: dict[str, str]) -> None:
    """Send an application's event to a room; print its id."""
    answer = found.call(
        "SendEvent",
        roomIdentifier=found.find(room),
        eventName=name,
        attributes=attributes or None,
    )
    click.echo(answer["id"])


@click.command("delete-message")
@a_room
@click.argument("message_id")
@_reason
@room_command
def delete_message(found: Rooms, room: str, message_id: str, *, reason: str | None) -> None:
    """Ask the room's clients to no longer show a message; print the event's id."""
    answer = found.call(
        "DeleteMessage", roomIdentifier=found.find(room), id=message_id, reason=reason
    )
    click.echo(answer["id"])


@click.command()
@a_room
@click.argument("user")
@_reason
@room_command
def kick(found: Rooms, room: str, user: str, *, reason: str | None) -> None:
    """End a user's connections to a room; nothing keeps the user from coming back."""
    found.call("DisconnectUser", roomIdentifier=found.find(room), userId=user, reason=reason)
    click.echo(f"disconnected {user}")
