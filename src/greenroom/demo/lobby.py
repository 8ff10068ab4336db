"""Tokens of the room `lobby`, and of no other, from the service's own API.

The page is a client like any other: its calls are signed with the root's key, and checked, limited
and written to the audit log as everybody's are. They are made without a socket.
"""

import asyncio
from collections.abc import Mapping

import msgspec

from greenroom.aws.signature import sigv4
from greenroom.clock import Clock
from greenroom.control.asgi import Application, Scope

NAME = "lobby"
"""The room's name; of several the oldest is meant."""

_AGENT = b"greenroom-demo"
_GONE = 404


class Signer(msgspec.Struct, frozen=True, kw_only=True):
    """Who the calls are from, and in which region the room is."""

    access_key_id: str
    secret_access_key: str
    region: str


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Whose token is asked for, and what it allows; the API checks both."""

    user_id: str
    capabilities: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """What the API answered."""

    status: int
    body: bytes


class CallFailed(Exception):
    """An operation was refused, or failed."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer.status))
        self.answer = answer


class Lobby:
    """The room, which is made when somebody first comes."""

    def __init__(self, application: Application, clock: Clock) -> None:
        self._application = application
        self._clock = clock
        self._room: str | None = None
        self._looking = asyncio.Lock()

    async def token(self, wish: Wish, signer: Signer, peer: object) -> Answer:
        """Return what CreateChatToken answers; `peer` is the address and port of who asks."""
        try:
            return await self._token(wish, signer, peer)
        except CallFailed as failed:
            if failed.answer.status != _GONE:
                return failed.answer
            self._room = None
        try:
            return await self._token(wish, signer, peer)
        except CallFailed as failed:
            return failed.answer

    async def _token(self, wish: Wish, signer: Signer, peer: object) -> Answer:
        call = _Calls(self._application, self._clock, signer, peer)
        async with self._looking:
            room = self._room = self._room or await _found(call) or await _made(call)
        given: Mapping[str, object] = msgspec.to_builtins(wish)
        return await call("CreateChatToken", roomIdentifier=room, **given)


class _Room(msgspec.Struct, frozen=True, rename="camel"):
    arn: str
    create_time: str = ""


class _Rooms(msgspec.Struct, frozen=True):
    rooms: list[_Room]


async def _found(call: "_Calls") -> str | None:
    answer = await call("ListRooms", name=NAME)
    rooms = msgspec.json.decode(answer.body, type=_Rooms).rooms
    return min(rooms, key=lambda room: (room.create_time, room.arn)).arn if rooms else None


async def _made(call: "_Calls") -> str:
    made = msgspec.json.decode((await call("CreateRoom", name=NAME)).body, type=_Room).arn
    meant = await _found(call) or made
    # Another node made one at the same moment: all are to meet in one.
    if meant != made:
        await call("DeleteRoom", identifier=made)
    return meant


class _Calls:
    """Calls operations on behalf of one request."""

    def __init__(
        self, application: Application, clock: Clock, signer: Signer, peer: object
    ) -> None:
        self._application = application
        self._clock = clock
        self._signer = signer
        self._peer = peer

    async def __call__(self, operation: str, **parameters: object) -> Answer:
        """Return a result.

        Raises:
            CallFailed: there is none.
        """
        body = msgspec.json.encode(parameters)
        status, parts = 0, list[bytes]()

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Mapping[str, object]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(str(message["status"]))
            else:
                parts.append(bytes(message["body"]))  # type: ignore[call-overload]  # of a body

        await self._application(self._scope(operation, body), receive, send)
        answer = Answer(status, b"".join(parts))
        if status >= 300:
            raise CallFailed(answer)
        return answer

    def _scope(self, operation: str, body: bytes) -> Scope:
        path = f"/{operation}"
        headers = {"host": "localhost", "content-type": "application/json"}
        signer = self._signer
        request = sigv4.Request("POST", path, "", tuple(headers.items()), body)
        headers |= sigv4.sign(
            request,
            signer.access_key_id,
            signer.secret_access_key,
            signer.region,
            "ivschat",
            self._clock.now(),
        )
        sent = [(name.encode(), value.encode()) for name, value in headers.items()]
        return {
            "type": "http",
            "scheme": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [*sent, (b"user-agent", _AGENT)],
            "client": self._peer,
        }
