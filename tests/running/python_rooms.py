"""`greenroom.client.ChatRoom` in the place of the official messaging SDK, for the same tests.

Its entities are shown as that SDK shows them, so that a test says once what both must do.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import msgspec
import pytest

from greenroom.client import (
    ChatDisconnected,
    ChatError,
    ChatMessage,
    ChatRoom,
    DeleteMessageRequest,
    DisconnectUserRequest,
    SendMessageRequest,
    keeping,
)
from greenroom.client.connection import Connection, Ended
from tests.running.messaging_driver import SECONDS, Refused, Room, Thrown, TokenProvider

EVENTS = {
    "connecting": "connecting",
    "connect": "connect",
    "disconnect": "disconnect",
    "message": "message",
    "event": "event",
    "message_delete": "messageDelete",
    "user_disconnect": "userDisconnect",
}


class PythonSdk:
    """Rooms of the Python client, called as those of the JavaScript process are."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self._opened: dict[str, ChatRoom] = {}
        self._opening: set[asyncio.Task[None]] = set()

    def room(self, url: str, tokens: TokenProvider) -> Room:
        """Return a room that is not opened yet."""
        room = Room(self, f"room-{len(self.rooms)}", url, tokens)
        self.rooms[room.name] = room
        return room

    async def call(self, do: str, **details: Any) -> Any:
        """Call a method of a room and return its result.

        Raises:
            Refused: the service refused it.
            Thrown: the client would not do it at all.
        """
        room = details.pop("room")
        if do == "open":
            return self._open(self.rooms[room], **details)
        chat = self._opened[room]
        try:
            async with asyncio.timeout(SECONDS):
                return await _done(chat, do, details)
        except ChatError as error:
            raise Refused(
                {
                    "errorCode": error.error_code,
                    "errorMessage": error.error_message,
                    "requestId": error.request_id,
                    "id": error.id,
                }
            ) from error
        except ChatDisconnected as error:
            raise Thrown(str(error)) from error

    def _open(self, room: Room, url: str, **config: Any) -> None:
        options = {"maxReconnectAttempts": "max_reconnect_attempts", "id": "id"}
        chat = ChatRoom(url, room.tokens, **{options[name]: v for name, v in config.items()})
        for name, called in EVENTS.items():
            chat.add_listener(
                name, lambda *what, called=called: room.take(called, *map(_shown, what or (None,)))
            )
        self._opened[room.name] = chat
        task = asyncio.create_task(_connect(chat))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def tell_socket(self, url: str, event: str, value: Any = None) -> None:
        """Tell the rooms of a URL what happened to a WebSocket."""
        for room in self.rooms.values():
            if room.url == url:
                room.take(event, value)


async def _connect(chat: ChatRoom) -> None:
    with contextlib.suppress(ChatDisconnected):
        await chat.connect()


async def _done(chat: ChatRoom, do: str, details: Mapping[str, Any]) -> Any:
    if do == "send":
        request = SendMessageRequest(details["content"], details.get("attributes"))
        return _shown(await chat.send_message(request))
    if do == "delete":
        deletion = DeleteMessageRequest(details["id"], details.get("reason"))
        return _shown(await chat.delete_message(deletion))
    if do == "kick":
        kick = DisconnectUserRequest(details["userId"], details.get("reason"))
        return _shown(await chat.disconnect_user(kick))
    if do == "close":
        return await chat.disconnect()
    return str(chat.state)


def _shown(value: object) -> Any:
    """Return an entity as the SDK for JavaScript has it."""
    if isinstance(value, msgspec.Struct):
        members = {_camel(name): _shown(getattr(value, name)) for name in value.__struct_fields__}
        if isinstance(value, ChatMessage):
            members["sender"].setdefault("attributes", {})
        return {name: member for name, member in members.items() if member is not None}
    if hasattr(value, "isoformat"):
        return f"{value.isoformat(timespec='milliseconds')[:23]}Z"
    return value


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(each.title() for each in others)


class _Noted(Connection):
    """A connection whose WebSocket tells when it opens and how it closes."""

    sdk: PythonSdk
    url = ""
    told = False

    @classmethod
    async def open(cls, session: Any, url: str, *others: Any) -> "_Noted":
        opened = await super().open(session, url, *others)
        assert isinstance(opened, cls)
        opened.url = url
        cls.sdk.tell_socket(url, "socketOpen")
        return opened

    async def close(self) -> None:
        await super().close()
        self._tell_closed("")

    async def _read(self) -> Ended:
        socket, reason = self._socket, ""
        receive = socket.receive

        async def noted(*limit: float | None) -> aiohttp.WSMessage:
            nonlocal reason
            message = await receive(*limit)
            if message.type is aiohttp.WSMsgType.CLOSE:
                reason = message.extra or ""
            return message

        socket.receive = noted  # type: ignore[assignment]  # to see the reason of a close
        try:
            return await super()._read()
        finally:
            # Without a code, the close that this side began is not over yet.
            if socket.close_code is not None:
                self._tell_closed(reason)

    def _tell_closed(self, reason: str) -> None:
        if not self.told:
            self.told = True
            code = self._socket.close_code or aiohttp.WSCloseCode.ABNORMAL_CLOSURE
            clean = code != aiohttp.WSCloseCode.ABNORMAL_CLOSURE
            closed = {"code": int(code), "reason": reason, "wasClean": clean}
            self.sdk.tell_socket(self.url, "socketClose", closed)


class _Complaints(logging.Handler):
    """Tells every room that a frame was not understood."""

    def __init__(self, sdk: PythonSdk) -> None:
        super().__init__(logging.DEBUG)
        self._sdk = sdk

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it, in a word of the SDK."""
        if "passed over" in record.getMessage():
            for room in self._sdk.rooms.values():
                room.take("complaint", "unknown entity")


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[PythonSdk]:
    """Have rooms of the Python client for the length of a `with` block."""
    sdk = PythonSdk()
    log = logging.getLogger("greenroom.client.chat_room")
    complaints = _Complaints(sdk)
    log.addHandler(complaints)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(log, "level", logging.DEBUG)
        patched.setattr(_Noted, "sdk", sdk, raising=False)
        patched.setattr(keeping, "Connection", _Noted)
        yield sdk
    log.removeHandler(complaints)
