"""`greenroom say`: one message, as somebody in the room."""

import asyncio

import click

from greenroom.cli.admin.options import pairs
from greenroom.cli.room.being import chat_command, chat_room
from greenroom.cli.room.service import Rooms, a_room
from greenroom.client import SendMessageRequest
from greenroom.model.chat_token import Capability


@click.command()
@a_room
@click.argument("text")
@click.option("--as", "user", required=True, help="Who it is: the token's user id.")
@click.option(
    "--attribute", "attributes", multiple=True, callback=pairs, help="Attribute, as NAME=VALUE."
)
@chat_command
def say(found: Rooms, room: str, text: str, *, user: str, attributes: dict[str, str]) -> None:
    """Send a message; print its id when everybody has been shown it."""
    arn = found.find(room)

    async def send() -> str:
        async with chat_room(found, arn, user, [Capability.SEND_MESSAGE]) as chat:
            return (await chat.send_message(SendMessageRequest(text, attributes or None))).id

    click.echo(asyncio.run(send()))
