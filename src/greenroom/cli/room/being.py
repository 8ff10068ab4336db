"""Being in a room: the client of the Messaging API for the commands that need one.

It takes longer to import than most commands to run, so the others do without.
"""

import asyncio
import functools
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec

import click

from greenroom.cli.access import CommandRefused
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.options import ending
from greenroom.cli.room.service import Rooms, room_command, websocket_url
from greenroom.client import ChatDisconnected, ChatError, ChatRoom, RequestTimeout
from greenroom.model.chat_token import Capability

P = ParamSpec("P")


def chat_room(
    rooms: Rooms,
    room_arn: str,
    user_id: str,
    capabilities: Sequence[Capability] = (),
    attributes: dict[str, str] | None = None,
    attempts: int | None = 3,
    *,
    events: bool = False,
) -> ChatRoom:
    """Return a room to connect to, with tokens that this command may create.

    `events` asks for what the service itself tells of the room.
    """

    async def provide() -> object:
        return await asyncio.to_thread(rooms.token, room_arn, user_id, capabilities, attributes)

    context = rooms.tls
    return ChatRoom(
        websocket_url(rooms.endpoint) + ("?events=on" if events else ""),
        provide,
        max_reconnect_attempts=attempts,
        ssl=True if context is None else context,
    )


def chat_command(command: Callable[Concatenate[Rooms, P], None]) -> Callable[P, None]:
    """Do as `room_command` does, and end with one line where the connection is lost or refused."""

    @room_command
    @functools.wraps(command)
    def run(found: Rooms, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(found, *args, **kwargs)
        except ChatError as refused:
            raise ending(refused, ExitCode.REFUSED) from refused
        except ChatDisconnected as lost:
            raise _lost(lost) from lost
        except RequestTimeout as late:
            raise ending(late, ExitCode.UNREACHABLE) from late

    return run


def _lost(lost: ChatDisconnected) -> click.ClickException:
    """Return the end for a connection that did not come about, with what the cause says."""
    cause = lost.__cause__
    if isinstance(cause, CommandRefused):
        return ending(cause, cause.code)
    why = f": {cause}" if cause is not None else ""
    return ending(RuntimeError(f"{lost}{why}"), ExitCode.UNREACHABLE)
