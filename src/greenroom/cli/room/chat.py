"""`greenroom chat`: be in a room, in the terminal."""

import asyncio
import getpass
import io
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import click

from greenroom.cli.escaping import printable
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.options import ending
from greenroom.cli.room.being import chat_command, chat_room
from greenroom.cli.room.printing import line_of
from greenroom.cli.room.service import Rooms, a_room
from greenroom.client import (
    ChatDisconnected,
    ChatError,
    ChatMessage,
    ChatRoom,
    DeleteMessageRequest,
    DisconnectReason,
    DisconnectUserRequest,
    RequestTimeout,
)
from greenroom.model.chat_token import IVS_CAPABILITIES, Capability

_PROMPT = "> "

_QUIT = "/quit"
_NO_TEXT = "not said: a line that is not UTF-8"
_HELP = "/ids shows the ids of messages, /quit leaves; what begins with // is said with one /"
_MODERATION = "/delete ID [REASON], /kick USER [REASON]"
_KNOWN = ("/help", "/delete", "/kick")


@click.command()
@a_room
@click.option("--as", "user", help="Who you are: the token's user id.  [your login name]")
@click.option("--moderator", is_flag=True, help="May delete messages and disconnect users, too.")
@chat_command
def chat(found: Rooms, room: str, *, user: str | None, moderator: bool) -> None:
    """Chat in a room: type to say something, /help shows what else there is.

    A room that does not exist is made.
    """
    arn = found.find_or_make(room)
    can = list(IVS_CAPABILITIES) if moderator else [Capability.SEND_MESSAGE]
    made = chat_room(found, arn, user or getpass.getuser(), can)
    with suppress(KeyboardInterrupt), _terminal_kept():
        asyncio.run(_Chat(made, printable(room), moderator=moderator).run())


@contextmanager
def _terminal_kept() -> Iterator[None]:
    """Leave the terminal as it was: the thread that reads lines there may end inside of `input`."""
    if not sys.stdin.isatty():
        yield
        return
    import termios

    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


class _Chat:
    """One person in one room."""

    def __init__(self, room: ChatRoom, name: str, *, moderator: bool) -> None:
        self._room = room
        self._moderator = moderator
        self._name = name
        self._screen = _Screen()
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
            line = line_of(entity)
            if self._ids and isinstance(entity, ChatMessage):
                line += click.style(f"  [{entity.id}]", dim=True)
            self._screen.show(line)

    async def _type(self) -> None:
        lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._screen.read(lines.put_nowait)
        while (line := await lines.get()) is not None and line != _QUIT:
            if not line.strip():
                continue
            try:
                await self._act(line)
            except (ChatError, ChatDisconnected, RequestTimeout) as error:
                self._screen.note(f"not done: {error}")

    async def _act(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        subject, _, reason = rest.strip().partition(" ")
        if verb == "/delete" and subject:
            await self._room.delete_message(DeleteMessageRequest(subject, reason or None))
        elif verb == "/kick" and subject:
            await self._room.disconnect_user(DisconnectUserRequest(subject, reason or None))
        elif verb == "/ids":
            self._ids = not self._ids
            self._screen.note("ids are shown" if self._ids else "ids are not shown")
        elif verb.startswith("/") and not verb.startswith("//"):
            self._screen.note(self._help(verb))
        else:
            # Two slashes begin a message that begins with one.
            await self._room.send_message(line.removeprefix("/"))

    def _help(self, verb: str) -> str:
        text = f"{_MODERATION}, {_HELP}" if self._moderator else _HELP
        return text if verb in _KNOWN else f"there is no command {verb}: {text}"


class _Screen:
    """A terminal in which lines come while a person types; without one, plain input and output."""

    def __init__(self) -> None:
        self._interactive = sys.stdin.isatty() and sys.stdout.isatty()

    def read(self, give: Callable[[str | None], None]) -> None:
        """Give each line of the input, None at its end; the input is read in a thread."""
        loop = asyncio.get_running_loop()

        def run() -> None:
            while True:
                try:
                    line = input(_PROMPT) if self._interactive else _line()
                    line.encode()
                except (EOFError, OSError):
                    line = None
                except UnicodeError:
                    with suppress(RuntimeError):
                        loop.call_soon_threadsafe(self.note, _NO_TEXT)
                    continue
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(give, line)
                if line is None or line == _QUIT:
                    return

        if isinstance(sys.stdin, io.TextIOWrapper):
            # Else the lines around one that is not UTF-8 are lost with it.
            sys.stdin.reconfigure(errors="surrogateescape")
        if self._interactive:
            with suppress(ImportError):
                import readline  # noqa: F401 - `input` uses it when it is there
        threading.Thread(target=run, daemon=True, name="typing").start()

    def show(self, line: str) -> None:
        """Print a line above what is being typed."""
        if not self._interactive:
            click.echo(line)
            return
        typed = ""
        with suppress(ImportError):
            import readline

            typed = readline.get_line_buffer()
        click.echo(f"\r\033[K{line}\n{_PROMPT}{typed}", nl=False)

    def note(self, text: str) -> None:
        """Print what the command itself has to say."""
        if self._interactive:
            self.show(click.style(f"-- {printable(text)}", dim=True))
        else:
            click.echo(f"-- {printable(text)}", err=True)


def _line() -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")
