"""`greenroom tail`: how following several rooms ends."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from greenroom.cli.access import CommandRefused
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.room import tail
from greenroom.cli.room.service import Rooms
from greenroom.client import DisconnectReason


class _Endless:
    """A room that nobody leaves."""

    disconnect_reason = DisconnectReason.CLIENT_DISCONNECT

    def add_listener(self, _name: str, _listener: Callable[[], None]) -> None:
        """Tell nothing."""

    async def __aenter__(self) -> None:
        """Connect."""

    async def __aexit__(self, *_: object) -> None:
        """Leave."""

    def __aiter__(self) -> "_Endless":
        return self

    async def __anext__(self) -> None:
        await asyncio.Event().wait()

    async def disconnect(self) -> None:
        """Leave."""


class _Tokens:
    """Gives tokens for every room but one."""

    def token(self, arn: str, _user: str) -> str:
        if arn == "b":
            raise CommandRefused("not allowed", ExitCode.REFUSED)
        return "token"


async def test_one_of_several_rooms_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal ends it: no other room is followed on."""
    monkeypatch.setattr(tail, "chat_room", lambda *_, **__: _Endless())
    rooms = cast("Rooms", _Tokens())
    following = tail._Tail(rooms, {"a": "a", "b": "b"}, in_json=True, count=None)
    with pytest.raises(CommandRefused, match="not allowed"):
        await asyncio.wait_for(following.run(), 30)
