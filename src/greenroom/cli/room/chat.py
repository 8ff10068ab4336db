"""`greenroom chat`: be in a room, in the terminal.

A line that begins with a slash is a command: one of a few of its own (`OWN`), else, for a moderator
in a room that has them, one of the room's; any other is told, and not said. Two slashes begin a
message with one.
"""

import asyncio
import getpass
from collections.abc import Mapping
from contextlib import suppress

import click
import msgspec

from greenroom.cli.escaping import printable
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.options import ending
from greenroom.cli.room.being import chat_command, chat_room
from greenroom.cli.room.own_events import OwnEvents
from greenroom.cli.room.printing import line_of
from greenroom.cli.room.screen import QUIT, Screen, terminal_kept
from greenroom.cli.room.service import Rooms, a_room
from greenroom.client import (
    ChatDisconnected,
    ChatError,
    ChatEvent,
    ChatMessage,
    ChatRoom,
    DeleteMessageRequest,
    DisconnectReason,
    DisconnectUserRequest,
    RequestTimeout,
)
from greenroom.model.chat_token import IVS_CAPABILITIES, Capability
from greenroom.model.token_attributes import SERVICE_USER


class Own(msgspec.Struct, frozen=True):
    """One of the chat's own commands."""

    usage: str
    meaning: str
    moderators: bool = False


OWN: Mapping[str, Own] = {
    "/delete": Own("ID [REASON]", "take a message back", moderators=True),
    "/kick": Own("USER [REASON]", "end a user's connections", moderators=True),
    "/ids": Own("", "show the ids of messages, or no longer"),
    "/help": Own("", "show this"),
    QUIT: Own("", "leave, as Ctrl-D does"),
}
"""The chat's own commands; what else begins with a slash is the room's."""

_LITERAL = "//TEXT  say /TEXT"


@click.command()
@a_room
@click.option("--as", "user", help="Who you are: the token's user id.  [your login name]")
@click.option(
    "--moderator",
    is_flag=True,
    help="May delete messages, disconnect users, and type the room's commands, such as /ban.",
)
@chat_command
def chat(found: Rooms, room: str, *, user: str | None, moderator: bool) -> None:
    """Chat in a room: type to say something, /help shows what else there is.

    A room that does not exist is made.
    """
    arn = found.find_or_make(room)
    moderates = [*IVS_CAPABILITIES, Capability.MODERATE, Capability.HOST]
    can = moderates if moderator else [Capability.SEND_MESSAGE]
    user = user or getpass.getuser()
    made = chat_room(found, arn, user, can, events=True)
    with suppress(KeyboardInterrupt), terminal_kept():
        asyncio.run(_Chat(made, printable(room), user, moderator=moderator).run())


class _Chat:
    """One person in one room."""

    def __init__(self, room: ChatRoom, name: str, user: str, *, moderator: bool) -> None:
        self._room = room
        self._moderator = moderator
        self._name = name
        self._screen = Screen()
        self._own = OwnEvents(user)
        self._ids = False

    async def run(self) -> None:
        """Show and send until the input or the connection ends."""
        self._room.add_listener("connecting", lambda: self._screen.note("connecting …"))
        async with self._room:
            self._screen.note(f"you are in {self._name}; /help, Ctrl-D to leave")
            showing = asyncio.create_task(self._show())
            typing = asyncio.create_task(self._type())
            await asyncio.wait({showing, typing}, return_when=asyncio.FIRST_COMPLETED)
            for task in (showing, typing):
                task.cancel()
        reason = self._room.disconnect_reason
        if reason is DisconnectReason.SERVER_DISCONNECT:
            self._screen.note(f"the connection ended: {reason}")
        elif reason is not DisconnectReason.CLIENT_DISCONNECT:
            lost = RuntimeError(f"the connection is lost for good: {reason}")
            raise ending(lost, ExitCode.UNREACHABLE)

    async def _show(self) -> None:
        async for entity in self._room:
            if isinstance(entity, ChatEvent) and self._own.takes(entity):
                self._screen.note(self._own.said(entity))
            elif isinstance(entity, ChatMessage) and entity.sender.user_id == SERVICE_USER:
                self._screen.note(entity.content)  # the answer to a command, for this person alone
            else:
                line = line_of(entity)
                if self._ids and isinstance(entity, ChatMessage):
                    line += click.style(f"  [{entity.id}]", dim=True)
                self._screen.show(line)

    async def _type(self) -> None:
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._screen.read(lines.put_nowait)
        while (line := await lines.get()) is not None and line != QUIT:
            if not line.strip():
                continue
            try:
                await self._act(line)
            except (ChatError, ChatDisconnected, RequestTimeout) as error:
                self._screen.note(f"not done: {error}")

    async def _act(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        if not line.startswith("/"):
            await self._room.send_message(line)
        elif line.startswith("//"):
            # The service, too, takes one slash away where a moderator may type commands.
            commands = await self._room_commands()
            await self._room.send_message(line if commands else line[1:])
        elif verb in OWN:
            await self._own_command(verb, rest.strip())
        elif await self._room_commands():
            await self._room.send_message(line)
        else:
            self._screen.note(f"there is no command {verb}; /help shows those there are")

    async def _own_command(self, verb: str, rest: str) -> None:
        subject, _, reason = rest.partition(" ")
        if OWN[verb].moderators and not self._moderator:
            self._screen.note(f"{verb} is for moderators: greenroom chat --moderator")
        elif verb == "/ids":
            self._ids = not self._ids
            self._screen.note("ids are shown" if self._ids else "ids are not shown")
        elif verb == "/help":
            await self._help()
        elif not subject:
            self._screen.note(f"usage: {verb} {OWN[verb].usage}")
        elif verb == "/delete":
            await self._room.delete_message(DeleteMessageRequest(subject, reason or None))
        elif verb == "/kick":
            await self._room.disconnect_user(DisconnectUserRequest(subject, reason or None))
        else:
            self._screen.note(f"{verb} takes nothing behind it")

    async def _help(self) -> None:
        for name, own in OWN.items():
            if self._moderator or not own.moderators:
                self._screen.note(f"{name} {own.usage}".rstrip() + f"  {own.meaning}")
        self._screen.note(_LITERAL)
        if await self._room_commands():
            self._screen.note("in this room:")
            await self._room.send_message("/help")
        elif self._moderator:
            self._screen.note("the room has no commands: its setting `commands` is off")

    async def _room_commands(self) -> bool:
        """Return whether this person types commands of the room; the service says so at first."""
        return self._moderator and await self._own.commands(self._room.timeout)
