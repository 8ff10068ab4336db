"""`greenroom tail`: what is shown in rooms, as it comes."""

import asyncio
import secrets

import click

from greenroom.cli.escaping import printable
from greenroom.cli.room.being import chat_command, chat_room
from greenroom.cli.room.printing import json_of, line_of
from greenroom.cli.room.service import Rooms, complete_rooms
from greenroom.client import ChatRoom, DisconnectReason


@click.command()
@click.argument("rooms", nargs=-1, required=True, shell_complete=complete_rooms)
@click.option("--json", "in_json", is_flag=True, help="Print one line of JSON for each.")
@click.option("--count", type=click.IntRange(min=1), help="End after so many.")
@chat_command
def tail(found: Rooms, rooms: tuple[str, ...], *, in_json: bool, count: int | None) -> None:
    """Print what is shown in rooms, until Ctrl-C; a connection that breaks is made again."""
    arns = {found.find(room): room for room in rooms}
    try:
        asyncio.run(_Tail(found, arns, in_json=in_json, count=count).run())
    except KeyboardInterrupt:
        return


class _Tail:
    """Follows rooms, and prints them together."""

    def __init__(
        self, rooms: Rooms, arns: dict[str, str], *, in_json: bool, count: int | None
    ) -> None:
        self._rooms = rooms
        self._arns = arns
        self._in_json = in_json
        self._left = count
        self._chats: list[ChatRoom] = []
        # A name of its own: whoever looks at the room's users can tell what this is.
        self._user = f"greenroom-tail-{secrets.token_hex(4)}"

    async def run(self) -> None:
        """Follow all rooms until it is enough, or all are over."""
        followers = [asyncio.create_task(self._follow(*each)) for each in self._arns.items()]
        try:
            await asyncio.gather(*followers)
        finally:
            # Where one is refused, another may be about to connect, and would follow for ever.
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)
            await self._end()

    async def _follow(self, arn: str, name: str) -> None:
        prefix = f"{printable(name)} " if len(self._arns) > 1 and not self._in_json else ""
        chat = chat_room(self._rooms, arn, self._user, attempts=None)
        # The first connection is what was asked for: what is wrong with it is told, not repeated.
        await asyncio.to_thread(self._rooms.token, arn, self._user)
        chat.add_listener("connecting", lambda: self._note(f"connecting to {name}"))
        chat.add_listener("connect", lambda: self._note(f"watching {name}"))
        self._chats.append(chat)
        async with chat:
            async for entity in chat:
                if self._left == 0:
                    break
                click.echo(json_of(entity, arn) if self._in_json else prefix + line_of(entity))
                if self._left is not None:
                    self._left -= 1
                    if self._left == 0:
                        await self._end()
        if chat.disconnect_reason is DisconnectReason.SERVER_DISCONNECT:
            self._note(f"the service ended the connection to {name}")

    async def _end(self) -> None:
        """Leave every room; those who follow them end."""
        await asyncio.gather(*(chat.disconnect() for chat in self._chats))

    def _note(self, text: str) -> None:
        click.echo(click.style(f"-- {printable(text)}", dim=True), err=True)
