"""The service that does what lines on its standard input say, and answers on its standard output.

It ends when its input does. What it prints, and what a function of a test prints, goes to the log.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import msgspec

from greenroom.bus.base import RoomDeleted
from greenroom.bus.memory import MemoryBus
from greenroom.chatlog.destinations import Destinations, LogDirectory
from greenroom.clock import Clock
from greenroom.control.asgi import Application
from greenroom.entrance.ready import Ready
from greenroom.messaging.hub import Hub
from greenroom.messaging.sockets import Connection
from greenroom.messaging.sweeper import Sweeper
from greenroom.model.arn import Arn
from greenroom.model.errors import ServiceError
from greenroom.model.logging_configuration import DestinationKind
from greenroom.model.room import RoomFilter
from greenroom.process.event_loop import loop_factory
from greenroom.process.start_refused import StartRefused
from greenroom.review.function import FunctionMissing
from greenroom.server.kept import Kept
from greenroom.server.parts import Parts
from greenroom.server.serve import run_service
from greenroom.settings.load import load
from greenroom.settings.values import Settings
from greenroom.storage.memory.store import MemoryStore
from greenroom.telemetry import logs
from greenroom.testing.controlled import (
    BreakableStore,
    Logs,
    MovedClock,
    Reviews,
    Throttled,
    WatchedApplication,
    WatchedLine,
)

DEFAULTS = {
    "storage": "memory",
    "port": "0",
    "regions": "*",
    "log_level": "warning",
    "drain_timeout_seconds": "1",
    # A function that somebody looks at in a debugger has its time.
    "quotas": "message_review_milliseconds=60000",
    "review_circuit_failures": "0",
    "metrics": "off",
}
"""Settings that differ from those of `greenroom serve`."""

ALL = 1_000_000
"""More than a test makes of anything."""

Members = dict[str, object]


class Refused(Exception):
    """What was asked cannot be done; the text says why."""


class Obedient:
    """Does what lines say."""

    def __init__(self, settings: Settings, send: Callable[[Members], None]) -> None:
        self._account = settings.text("account")
        self._send = send
        self._clock = MovedClock()
        self._throttled = Throttled()
        self._state = BreakableStore()
        self._store, self._bus = MemoryStore(self._state), MemoryBus()
        self._line = WatchedLine(self._throttled)
        self._application = WatchedApplication(self._throttled)
        self._reviews, self._logs = Reviews(send), Logs()
        self._hub: Hub
        self._sweeper: Sweeper
        self._doers: dict[str, Callable[..., Awaitable[object]]] = {
            "advance": self._advance,
            "drop": self._drop,
            "expire": self._expire,
            "review": self._review,
            "throttle": self._throttle,
            "fail": self._fail,
            "mend": self._mend,
            "admit": self._admit,
            "end_review": self._end_review,
            "frames": self._frames,
            "requests": self._requests,
            "chat_logs": self._chat_logs,
            "made": self._made,
            "reset": self._reset,
        }

    def parts(self) -> Parts:
        """Return what the service has in place of its own."""
        kinds = dict.fromkeys(DestinationKind, self._logs)
        return Parts(
            clock=Clock(self._clock.wall_ns, self._clock.monotonic),
            kept=Kept(self._store, self._bus),
            targets=self._reviews,
            destinations=Destinations(kinds, LogDirectory(None)),
            line=self._line.over,
            application=self._built,
        )

    async def obey(self, line: bytes) -> None:
        """Do what a line says, and answer it."""
        told: Members = json.loads(line)
        if "reviewed" in told:
            self._reviews.settle(int(str(told["reviewed"])), told)
            return
        try:
            given = told["with"]
            assert isinstance(given, dict)  # noqa: S101 - what the link sends
            answer = {"answer": await self._doers[str(told["do"])](**given)}
        except (Refused, FunctionMissing) as refused:
            answer = {"refused": str(refused)}
        self._send({"id": told["id"], **answer})

    def _built(self, application: Application, hub: Hub, sweeper: Sweeper) -> Application:
        self._hub, self._sweeper = hub, sweeper
        return self._application.over(application)

    async def _advance(self, seconds: float) -> None:
        self._clock.advance(seconds)
        # Whose session is over by now ends now, and not in a second.
        self._sweeper.tick()

    async def _drop(self, user: str, room: str | None) -> int:
        found = self._connections(user, room)
        for _, connection in found:
            connection.drain()
        return len(found)

    async def _expire(self, user: str, room: str | None) -> int:
        found = self._connections(user, room)
        for arn, connection in found:
            # Behind what the room has been told: a request's promise settles with its echo.
            self._hub.after_flush(arn, connection.revoke)
        return len(found)

    def _connections(self, user: str, room: str | None) -> list[tuple[str, Connection]]:
        return [
            (arn, connection)
            for arn, connection in self._hub.everybody()
            if connection.user_id == user and room in (None, arn)
        ]

    async def _review(self, function: str | None, path: list[str]) -> None:
        sys.path += [each for each in path if each not in sys.path]
        if function is None:
            self._reviews.ask_test()
        else:
            self._reviews.ask_function(function)

    async def _throttle(self, name: str, times: int | None) -> None:
        self._throttled.add(name, times)

    async def _fail(self, what: str) -> None:
        if what == "storage":
            self._state.fails = True
        else:
            self._logs.fail(what)

    async def _mend(self, what: str) -> None:
        if what == "storage":
            self._state.fails = False
        else:
            self._logs.mend(what)

    async def _admit(self, name: str) -> None:
        self._throttled.remove(name)

    async def _end_review(self) -> None:
        self._reviews.target = None

    async def _frames(self, room: str | None) -> list[object]:
        return [json.loads(frame) for arn, frame in self._line.shown if room in (None, arn)]

    async def _requests(self) -> list[Members]:
        return list(self._application.requests)

    async def _chat_logs(self) -> list[Members]:
        return list(self._logs.kept)

    async def _made(self) -> list[str]:
        """Return the ARNs of the rooms and logging configurations that there are."""
        return [str(arn) for arn in (*await self._rooms(), *await self._configurations())]

    async def _reset(self, keep: list[str]) -> None:
        """Be as at the start, but for the resources to keep."""
        self._state.fails = False
        self._throttled.clear()
        self._logs.clear()
        self._reviews.target = None
        self._clock.reset()
        for room in await self._rooms():
            if str(room) not in keep:
                await self._store.rooms.delete(room)
                self._bus.broadcast(RoomDeleted(str(room)))
        for arn, connection in self._hub.everybody():
            if arn not in keep:
                connection.drain()
        for configuration in await self._configurations():
            if str(configuration) not in keep:
                await self._forget(configuration)
        self._line.shown.clear()
        self._application.requests.clear()

    async def _rooms(self) -> list[Arn]:
        pages = [
            await self._store.rooms.page(self._account, region, RoomFilter(), ALL)
            for region in sorted(await self._store.rooms.regions_in_use())
        ]
        return [room.arn for page in pages for room in page.rooms]

    async def _configurations(self) -> list[Arn]:
        kept = self._store.logging_configurations
        pages = [
            await kept.page(self._account, region, ALL)
            for region in sorted(await self._store.rooms.regions_in_use())
        ]
        return [each.arn for page in pages for each in page.configurations]

    async def _forget(self, configuration: Arn) -> None:
        kept = self._store.logging_configurations
        try:
            await kept.begin_delete(configuration, Clock().now_ms())
            await kept.finish_delete(configuration)
        except ServiceError:
            # A room that stays has it attached, or what it held is being delivered.
            return


class Pipe:
    """Lines in and out; what the service or a function of a test prints goes to the log."""

    def __init__(self) -> None:
        self._input, self._output = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        self._rest = b""
        self._lines: asyncio.Queue[bytes] = asyncio.Queue()
        self._obeying: asyncio.Task[None] | None = None

    def send(self, said: Members) -> None:
        """Write a line; when nobody reads it any more, the end of the input says so as well."""
        line = json.dumps(said).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._output, line) :]
        except BrokenPipeError:
            return

    def listen(self, obey: Callable[[bytes], Awaitable[None]]) -> None:
        """Read from now on; at the end of the input end the service as SIGTERM does."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._input, self._read)
        self._obeying = loop.create_task(self._obey(obey))

    def _read(self) -> None:
        read = os.read(self._input, 1 << 16)
        if not read:
            asyncio.get_running_loop().remove_reader(self._input)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        *lines, self._rest = (self._rest + read).split(b"\n")
        for line in lines:
            self._lines.put_nowait(line)

    async def _obey(self, obey: Callable[[bytes], Awaitable[None]]) -> None:
        """Obey one line after the other."""
        while True:
            await obey(await self._lines.get())


def serve(given: str) -> None:
    """Serve until the input ends; `given` are settings, as JSON."""
    pipe = Pipe()
    try:
        settings = load({**DEFAULTS, **json.loads(given)}, {}, None)
        logs.configure(settings.text("log_level"), settings.text("log_format"))
        obedient = Obedient(settings, pipe.send)

        def ready(told: Ready) -> None:
            pipe.listen(obedient.obey)
            pipe.send({"ready": msgspec.to_builtins(told)})

        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(run_service(settings, ready, parts=obedient.parts()))
    except StartRefused as refused:
        sys.exit(f"Error: {refused}")
