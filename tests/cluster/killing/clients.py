"""Clients of a cluster: viewers that come back, senders, who shows a token twice, who moderates."""

import asyncio
import contextlib
import itertools
import os
import random
import time
import urllib.request
from base64 import b64encode
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from greenroom.client.api.errors import IvschatError
from tests.cluster.killing.cluster import Cluster, NodeThere
from tests.cluster.killing.history import UNKNOWN, Call, History, Redeem, Send, View, status_of
from tests.cluster.killing.invariants import has_place
from tests.running.viewers import Speaker, Viewer, seen
from tests.running.wire import token_line, upgrade_bytes

HANDSHAKE_SECONDS = 15.0
"""After which a client gives up; a node may stand still."""

ANSWER_SECONDS = 40
"""After which a sender gives up: longer than a node stands still and then waits.

They are counted while this process runs: a machine that stands still answers nobody.
"""

AGAIN_SECONDS = 0.2
EVERYTHING = ["SEND_MESSAGE", "DELETE_MESSAGE", "DISCONNECT_USER"]
MODERATE = "greenroom:MODERATE"


class Door:
    """Where clients of one node come in. It fulfils what a `Viewer` asks of its crowd."""

    def __init__(self, node: NodeThere) -> None:
        self.node = node
        self.frames: dict[bytes, bytes] = {}
        self.viewers: set[Viewer] = set()

    async def attempt(self, token: str, path: bytes = b"/") -> Viewer:
        """Connect with a token; return the connection with its answer, whatever it is.

        Raises:
            OSError: the node cannot be reached, or does not answer in time.
        """
        request = upgrade_bytes(token_line(token), path=path, key=b64encode(os.urandom(16)))
        loop = asyncio.get_running_loop()
        _, viewer = await loop.create_connection(
            lambda: Viewer(self, request),  # type: ignore[arg-type]  # it asks for these two members
            "127.0.0.1",
            self.node.node.port,
        )
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await viewer.answered
        except BaseException:
            viewer.transport.abort()
            raise
        return viewer


class Clients:
    """All clients, until they are told to end."""

    def __init__(self, cluster: Cluster, history: History, chance: random.Random) -> None:
        self.cluster = cluster
        self.history = history
        self.chance = chance
        self.doors = [Door(node) for node in cluster.nodes]
        self.ending = False
        self.silent: set[str] = set()
        """Rooms in which nobody speaks any more."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._late: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count()

    def begin(self, work: Coroutine[object, object, None]) -> None:
        """Let a client do its work."""
        self._tasks.add(asyncio.create_task(work))

    async def end(self) -> None:
        """Let all end."""
        self.ending = True
        _, self._late = await asyncio.wait(self._tasks, timeout=2 * ANSWER_SECONDS)

    def have_ended(self) -> None:
        """Hold that all have ended in time, and none has failed."""
        assert not self._late, f"clients do not end: {self._late}"
        failed = filter(None, (task.exception() for task in self._tasks))
        assert not (found := list(failed)), found

    # ------------------------------------------------------------------------------- the API

    async def call(
        self, operation: str, subject: str, node: NodeThere, done: Awaitable[Any]
    ) -> tuple[Call, Any]:
        """Await a call, and note what came of it."""
        call = Call(operation, node.name, subject, self.history.now(), started_ns=time.time_ns())
        self.history.calls.append(call)
        result = None
        try:
            result = await done
            call.status = 200
        except IvschatError as error:
            call.status = status_of(error)
        call.ended, call.ended_ns = self.history.now(), time.time_ns()
        return call, result

    async def token(self, room: str, user: str, *more: str) -> str | None:
        """Return a fresh token that any node gave, None when the one that was asked did not."""
        node = self.chance.choice(self.cluster.nodes)
        with contextlib.suppress(IvschatError):
            given = await node.api.create_chat_token(
                room_identifier=room, user_id=user, capabilities=[*EVERYTHING, *more]
            )
            return given.token
        return None

    # ------------------------------------------------------------------------------ viewers

    async def enter(
        self, room: str, user: str, door: Door, *, moderates: bool = False
    ) -> tuple[View, Viewer] | None:
        """Return a connection and its view, None when it did not come about."""
        token = await self.token(room, user, *([MODERATE] if moderates else []))
        if token is None:
            return None
        viewer = await self.redeem(token, door, b"/?events=on" if moderates else b"/")
        if viewer is None:
            return None
        return self._viewed(viewer, room, user, door, moderates=moderates), viewer

    async def redeem(self, token: str, door: Door, path: bytes = b"/") -> Viewer | None:
        """Show a token to a node; return the connection that it opened, if it did."""
        began, status = self.history.now(), UNKNOWN
        viewer: Viewer | None = None
        try:
            viewer = await door.attempt(token, path)
            status = viewer.status
        except OSError:
            pass
        ended = self.history.now()
        self.history.redeems.append(Redeem(token, door.node.name, began, ended, status))
        if viewer is not None and status != 101:
            viewer.transport.abort()
            return None
        return viewer

    def _viewed(self, viewer: Viewer, room: str, user: str, door: Door, *, moderates: bool) -> View:
        # What came with the answer has been seen before there was a view.
        now = self.history.now()
        view = View(room, user, door.node.name, now, [], moderates=moderates)
        self.history.views.append(view)

        def look(text: bytes) -> None:
            frame = seen(text)
            if frame.type in ("MESSAGE", "EVENT") and has_place(frame.event_name):
                view.ids.append(frame.id)

        for text in viewer.texts:
            look(text)
        viewer.on_text = look
        viewer.on_end = lambda: setattr(view, "closed", self.history.now())
        if viewer.ended:
            view.closed = self.history.now()
        return view

    async def watch(self, room: str, user: str, door: Door, stays: tuple[float, float]) -> None:
        """Be a viewer who comes back when the connection ends, or the mood changes."""
        while not self.ending:
            entered = await self.enter(room, user, door)
            if entered is None:
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            _, viewer = entered
            until = self.history.now() + self.chance.uniform(*stays)
            await self.stay(viewer, until)
            viewer.transport.abort()

    async def stay(self, viewer: Viewer, until: float) -> None:
        """Wait for the end of a connection, of all clients, or a time."""
        while not (viewer.ended or self.ending or self.history.now() > until):  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    # ------------------------------------------------------------------------------ senders

    async def speak(self, room: str, user: str, door: Door, pace: float, length: int = 0) -> None:
        """Be a viewer who sends, one message after another's answer."""
        while not (self.ending or room in self.silent):
            entered = await self.enter(room, user, door)
            if entered is None:
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            _, viewer = entered
            await self._speak_on(viewer, room, door, pace, length)
            viewer.transport.abort()

    async def _speak_on(
        self, viewer: Viewer, room: str, door: Door, pace: float, length: int
    ) -> None:
        look, noted = viewer.on_text, viewer.on_end
        speaker = Speaker(f"{door.node.name}-{next(self._numbers)}", viewer, patience=None)
        answer, end = viewer.on_text, viewer.on_end
        viewer.on_text = both(look, answer)
        viewer.on_end = both(noted, end)
        while not (viewer.ended or self.ending or room in self.silent):
            await self.say(speaker, room, door, length)
            await asyncio.sleep(pace * self.chance.uniform(0.5, 1.5))

    async def say(self, speaker: Speaker, room: str, door: Door, length: int = 0) -> Send:
        """Send a message, and note what came of it."""
        number = len(speaker.sent)
        content = f"message {number}".ljust(length, ".")
        send = Send(
            room, door.node.name, f"{speaker.name}/{number}", len(content), self.history.now()
        )
        self.history.sends.append(send)
        answering = asyncio.ensure_future(speaker.say(content))
        for _ in range(ANSWER_SECONDS):
            if (await asyncio.wait([answering], timeout=1))[0]:
                break
        else:
            answering.cancel()
            raise AssertionError(f"never answered, on a connection that stays: {send}")
        answer = answering.result()
        if answer is not None:
            send.ended, send.ended_ns = self.history.now(), time.time_ns()
            send.text = answer.error_message
            send.status = 200 if answer.type == "MESSAGE" else answer.error_code
        return send


def both(
    first: Callable[..., None] | None, second: Callable[..., None] | None
) -> Callable[..., None]:
    """Return what calls two, if they are there."""

    def call(*arguments: Any) -> None:
        for each in (first, second):
            if each is not None:
                each(*arguments)

    return call


async def show_tokens_twice(clients: Clients, room: str, user: str) -> None:
    """Show each token to two nodes at once, and to one more later."""
    while not clients.ending:
        token = await clients.token(room, user)
        if token is not None:
            doors = clients.chance.sample(clients.doors, 2)
            opened = await asyncio.gather(*(clients.redeem(token, door) for door in doors))
            opened.append(await clients.redeem(token, clients.chance.choice(clients.doors)))
            for viewer in opened:
                if viewer is not None:
                    viewer.transport.abort()
        await asyncio.sleep(AGAIN_SECONDS)


async def kick(clients: Clients, room: str, users: list[str]) -> None:
    """Disconnect one user after another, through any node."""
    while not clients.ending:
        await asyncio.sleep(clients.chance.uniform(0.5, 2))
        user, node = clients.chance.choice(users), clients.chance.choice(clients.cluster.nodes)
        done = node.api.disconnect_user(room_identifier=room, user_id=user)
        await clients.call("DisconnectUser", f"{room} {user}", node, done)


async def create_and_delete(clients: Clients) -> None:
    """Create rooms, past the quota, and delete them, each through any node."""
    while not clients.ending:
        node = clients.chance.choice(clients.cluster.nodes)
        call, room = await clients.call("CreateRoom", "", node, node.api.create_room())
        if room is not None:
            call.result = room.arn
            await asyncio.sleep(clients.chance.uniform(0.1, 2))
            await _delete(clients, room.arn)
        await asyncio.sleep(AGAIN_SECONDS)


async def _delete(clients: Clients, room: str) -> None:
    while True:
        node = clients.chance.choice(clients.cluster.nodes)
        done = node.api.delete_room(identifier=room)
        call, _ = await clients.call("DeleteRoom", room, node, done)
        # An earlier try may have done it although it had no answer.
        if call.done or call.status == 404 or clients.ending:
            return
        await asyncio.sleep(AGAIN_SECONDS)


def is_ready(node: NodeThere) -> bool:
    """Return whether a node says that it is well."""
    try:
        with urllib.request.urlopen(f"{node.api_url}/health/ready", timeout=5):
            return True
    except OSError:
        return False


async def change_limit(clients: Clients, room: str, lengths: tuple[int, ...]) -> None:
    """Change how long a message may be, again and again, through any node."""
    for length in itertools.cycle(lengths):
        if clients.ending:
            return
        node = clients.chance.choice(clients.cluster.nodes)
        done = node.api.update_room(identifier=room, maximum_message_length=length)
        call, _ = await clients.call("UpdateRoom", room, node, done)
        call.result = str(length)
        for _ in range(clients.chance.randrange(8, 12)):
            await asyncio.sleep(0.5)
            if call.done and not await asyncio.to_thread(is_ready, node):
                # It may be cut off: the others hear of the change when it is back.
                call.status = UNKNOWN


async def delete_messages(clients: Clients, room: str) -> None:
    """Have messages deleted that may be there or not: the event is what counts."""
    while not clients.ending:
        await asyncio.sleep(clients.chance.uniform(0.5, 2))
        node = clients.chance.choice(clients.cluster.nodes)
        done = node.api.delete_message(room_identifier=room, id="AAAAAAAAAAAA")
        await clients.call("DeleteMessage", room, node, done)
