"""The official messaging SDK in a JavaScript process, as objects that tests await.

`js/messaging_rooms.mjs` has the messages that go to and fro.
"""

import asyncio
import contextlib
import json
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from tests.running.service import Service, environment

JS = Path(__file__).resolve().parents[1] / "interop" / "js"

SECONDS = 30
"""After which a test gives up waiting. Far more than anything takes on a busy machine."""

MISUNDERSTOOD = (
    "failed to parse",
    "did fail to deserialize",
    "unknown entity",
    "without matching pending request",
    "but expected request of type",
)
"""What the SDK logs about frames that it cannot use, and drops."""

TokenProvider = Callable[[], Awaitable[Mapping[str, str]]]


class Refused(Exception):
    """A request's promise was rejected."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error)
        self.code: int = error["errorCode"]
        self.message: str = error["errorMessage"]
        self.request_id: str = error["requestId"]


class NoToken(Exception):
    """What a token provider raises whose backend gives none: the SDK's is rejected."""


class Thrown(Exception):
    """The SDK would not do it at all."""


class Tokens:
    """A token provider that counts; every token is fresh.

    With `up` it is as an application's backend, which has no tokens while the service is down.
    """

    def __init__(
        self,
        service: Service,
        room: str,
        user: str,
        *,
        up: asyncio.Event | None = None,
        **options: Any,
    ) -> None:
        self._service = service
        self._room, self._user, self._options = room, user, options
        self._up = up
        self.given = 0

    async def __call__(self) -> Mapping[str, str]:
        """Return a token that nobody has used."""
        if self._up is not None:
            await self._up.wait()
        self.given += 1
        return {"token": self._service.token(self._room, self._user, **self._options)}


class Caller(Protocol):
    """What performs the calls of a room."""

    async def call(self, do: str, **details: Any) -> Any:
        """Perform one and return its result."""
        ...


class Driver(Caller, Protocol):
    """What has rooms: the JavaScript process, or the Python client in its place."""

    def room(self, url: str, tokens: TokenProvider) -> "Room":
        """Return a room that is not opened yet."""
        ...


class Room:
    """One `ChatRoom`. `events` holds everything that it dispatched, in order."""

    def __init__(self, sdk: Caller, name: str, url: str, tokens: TokenProvider) -> None:
        self._sdk = sdk
        self.name = name
        self.url = url
        self.tokens = tokens
        self.events: list[tuple[str, Any]] = []
        self.complaints: list[str] = []
        self._coming: defaultdict[str, asyncio.Queue[Any]] = defaultdict(asyncio.Queue)

    def take(self, event: str, value: Any) -> None:
        """Keep what the room dispatched."""
        if event == "complaint":
            self.complaints.append(value)
            return
        self.events.append((event, value))
        self._coming[event].put_nowait(value)

    def seen(self, event: str) -> list[Any]:
        """Return the values of all events of that name up to now."""
        return [value for name, value in self.events if name == event]

    async def next(self, event: str) -> Any:
        """Return the next event of that name that was not returned yet."""
        async with asyncio.timeout(SECONDS):
            return await self._coming[event].get()

    async def send(self, content: str, attributes: dict[str, str] | None = None) -> Any:
        """Return the MESSAGE that `sendMessage` resolved with."""
        optional = {} if attributes is None else {"attributes": attributes}
        return await self._call("send", content=content, **optional)

    async def delete(self, message_id: str, reason: str | None = None) -> Any:
        """Return the event that `deleteMessage` resolved with."""
        optional = {} if reason is None else {"reason": reason}
        return await self._call("delete", id=message_id, **optional)

    async def kick(self, user: str, reason: str | None = None) -> Any:
        """Return the event that `disconnectUser` resolved with."""
        optional = {} if reason is None else {"reason": reason}
        return await self._call("kick", userId=user, **optional)

    async def state(self) -> str:
        """Return the room's state."""
        return str(await self._call("state"))

    async def open(self, **config: Any) -> None:
        """Make the room and begin to connect; `config` is the constructor's."""
        await self._call("open", url=self.url, **config)

    async def close(self) -> None:
        """Leave as a user does."""
        await self._call("close")

    async def _call(self, do: str, **details: Any) -> Any:
        return await self._sdk.call(do, room=self.name, **details)


class Sdk:
    """The JavaScript process and its rooms."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input, self._output = process.stdin, process.stdout
        self._rooms: dict[str, Room] = {}
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._count = 0

    def room(self, url: str, tokens: TokenProvider) -> Room:
        """Return a room that is not opened yet."""
        room = Room(self, f"room-{len(self._rooms)}", url, tokens)
        self._rooms[room.name] = room
        return room

    async def call(self, do: str, **details: Any) -> Any:
        """Call a function of the SDK and return what it resolves with.

        Raises:
            Refused: its promise was rejected.
            Thrown: it threw an error instead.
        """
        self._count += 1
        number = self._count
        self._calls[number] = asyncio.get_running_loop().create_future()
        self._write({"call": number, "do": do, **details})
        async with asyncio.timeout(SECONDS):
            return await self._calls[number]

    async def listen(self) -> None:
        """Take messages until the process ends."""
        while line := await self._output.readline():
            self._receive(json.loads(line))
        for call in self._calls.values():
            if not call.done():
                call.set_exception(RuntimeError("the JavaScript process ended"))

    def _receive(self, message: dict[str, Any]) -> None:
        if "call" in message:
            _settle(self._calls[message["call"]], message)
        elif "ask" in message:
            answer = self._answer(message["ask"], self._rooms[message["room"]])
            task = asyncio.create_task(answer)
            self._answers.add(task)
            task.add_done_callback(self._answers.discard)
        elif "socket" in message:
            for room in self._rooms.values():
                if room.url == message["socket"]:
                    room.take(message["event"], message.get("value"))
        else:
            self._rooms[message["room"]].take(message["event"], message.get("value"))

    async def _answer(self, number: int, room: Room) -> None:
        try:
            answer: dict[str, Any] = {"value": await room.tokens()}
        except NoToken as why:
            answer = {"refused": str(why)}
        self._write({"answer": number, **answer})

    def _write(self, message: dict[str, Any]) -> None:
        self._input.write(json.dumps(message).encode() + b"\n")


@contextlib.asynccontextmanager
async def running(script: str, *arguments: str, **variables: str) -> AsyncIterator[Sdk]:
    """Run one of the scripts for the length of a `with` block; variables are its environment's."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(JS / script),
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        env=environment(**variables),
        limit=2**24,
    )
    sdk = Sdk(process)
    listening = asyncio.create_task(sdk.listen())
    try:
        yield sdk
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await listening
        await process.wait()


class Rooms:
    """The rooms of one test."""

    def __init__(self, sdk: Driver, service: Service) -> None:
        self._sdk = sdk
        self.service = service
        self._opened: list[Room] = []

    async def enter(
        self,
        arn: str,
        user: str = "user",
        *,
        provider: TokenProvider | None = None,
        url: str | None = None,
        config: Mapping[str, Any] | None = None,
        **token: Any,
    ) -> Room:
        """Open a room and wait until it is connected."""
        room = await self.begin(
            provider or Tokens(self.service, arn, user, **token), url=url, config=config
        )
        await room.next("connect")
        return room

    async def begin(
        self,
        provider: TokenProvider,
        *,
        url: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> Room:
        """Open a room and wait for nothing."""
        room = self._sdk.room(url or self.service.websocket_url, provider)
        self._opened.append(room)
        await room.open(**(config or {}))
        return room

    async def leave(self) -> None:
        """Close every room. Each must have understood every frame."""
        for room in self._opened:
            await room.close()
        complaints = [text for room in self._opened for text in room.complaints]
        assert [text for text in complaints if any(word in text for word in MISUNDERSTOOD)] == []


def _settle(call: asyncio.Future[Any], message: dict[str, Any]) -> None:
    if call.done():
        return
    if "thrown" in message:
        call.set_exception(Thrown(message["thrown"]))
    elif "refused" in message:
        call.set_exception(Refused(message["refused"]))
    else:
        call.set_result(message.get("value"))
