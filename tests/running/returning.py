"""Viewers that come back as Amazon's SDK does, and that SDK itself, which sends meanwhile.

At the end of a connection they connect again at once, with a fresh token, and after four refusals
in a row they are gone for good.
"""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from greenroom.tokens.key_ring import KeyRing
from tests.running.messaging_driver import Refused, Room, Rooms, Thrown
from tests.running.service import Service
from tests.running.viewers import Crowd, Viewer

ATTEMPTS = 4
"""Connections that the SDK tries one after another before it gives up."""

PACE = 0.25
"""Seconds from one message of a sender to its next."""

AGAIN = 0.05
"""Seconds until a sender tries again what was refused."""


class Acknowledged(msgspec.Struct, frozen=True):
    """A message that the service answered for."""

    id: str
    sent: float
    answered: float
    connection: int
    """The sender's connection that the answer came over: each is to the next process."""


class Returners(Crowd):
    """A crowd whose members come back until it is told to leave."""

    def __init__(self, service: Service, ring: KeyRing | None = None) -> None:
        super().__init__(service, ring)
        self._tasks: set[asyncio.Task[None]] = set()
        self.lost: list[BaseException] = []
        self.leaving = False

    def coming_back(self, connecting: Coroutine[object, object, None]) -> None:
        """Let a viewer connect again, unless all leave."""
        if self.leaving:
            connecting.close()
            return
        task = asyncio.create_task(connecting)
        self._tasks.add(task)
        task.add_done_callback(self._note)

    def _note(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.lost.append(error)


class Returning:
    """A viewer that comes back, and knows what it has seen and for how long it was away."""

    def __init__(self, crowd: Returners, room: str, user: str) -> None:
        self._crowd, self.room, self._user = crowd, room, user
        self.used: list[str] = []
        """The tokens that were accepted."""
        self.shown: list[list[bytes]] = []
        """What each connection was shown. A node that is a moment behind may show what another one
        has shown: what holds is of one connection.
        """
        self.away: list[float] = []
        """Seconds from the end of each connection until the next was open."""
        self.opened: list[float] = []
        """When each connection was open."""
        self.ended: list[float] = []
        """When each connection ended."""
        self.silence: list[float] = []
        """How long nothing came, around each time that it was away."""
        self.refusals: Counter[int] = Counter()
        """Attempts that were not answered with 101, by status; 0 is none."""
        self.viewer: Viewer | None = None
        self._heard = 0.0

    @property
    def texts(self) -> list[bytes]:
        """What all connections were shown."""
        return [text for texts in self.shown for text in texts]

    @property
    def is_here(self) -> bool:
        """Whether the connection is open."""
        return self.viewer is not None and not self.viewer.ended

    async def enter(self) -> None:
        """Connect for the first time, and come back from then on."""
        await self._connect()

    async def _connect(self) -> None:
        for _ in range(ATTEMPTS):
            token = self._crowd.token(self.room, self._user)
            try:
                viewer = await self._crowd.attempt(token)
            except OSError:
                self.refusals[0] += 1
                continue
            if viewer.status == 101:
                self._open(token, viewer)
                return
            self.refusals[viewer.status] += 1
        raise AssertionError(f"a viewer is lost: {dict(self.refusals)}")

    def _open(self, token: str, viewer: Viewer) -> None:
        self.used.append(token)
        self.viewer = viewer
        self.shown.append([])
        self.opened.append(time.monotonic())
        if self.away:
            self.away[-1] = self.opened[-1] - self.ended[-1]
        viewer.on_text = self._hear
        viewer.on_end = self._end
        for text in viewer.texts:
            self._hear(text)
        if viewer.ended:
            self._end()

    def _hear(self, text: bytes) -> None:
        now = time.monotonic()
        if len(self.silence) < len(self.away):
            self.silence.append(now - self._heard)
        self._heard = now
        self.shown[-1].append(text)

    def _end(self) -> None:
        self.ended.append(time.monotonic())
        self.away.append(float("inf"))
        self._crowd.coming_back(self._connect())


class Sender:
    """One SDK that says something again and again, and notes what the service acknowledged."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.acknowledged: list[Acknowledged] = []
        self.refused = 0
        self.unanswered = 0
        """Messages that were on their way when the connection ended."""

    @property
    def connection(self) -> int:
        """The number of the SDK's connection, from zero."""
        return len(self.room.seen("connect")) - 1

    async def talk(self) -> None:
        """Send until cancelled."""
        for number in itertools.count():
            sent = time.monotonic()
            message = await self._say(f"{self.room.name} {number}")
            now = time.monotonic()
            if message is None:
                await asyncio.sleep(AGAIN)
                continue
            self.acknowledged.append(Acknowledged(message["id"], sent, now, self.connection))
            await asyncio.sleep(max(0.0, sent + PACE - now))

    def gaps(self) -> list[float]:
        """Return the time between the last answer of each connection and the first of the next."""
        pairs = itertools.pairwise(self.acknowledged)
        return [
            after.answered - before.answered
            for before, after in pairs
            if after.connection != before.connection
        ]

    async def _say(self, text: str) -> Any:
        """Send one message; return what came back, None when it was refused or has no answer."""
        connection = self.connection
        answer = asyncio.create_task(self.room.send(text))
        try:
            while not answer.done():
                await asyncio.wait((answer,), timeout=AGAIN)
                if self.connection != connection and not answer.done():
                    # The SDK never settles what was sent over an earlier connection.
                    self.unanswered += 1
                    return None
            return await answer
        except (Refused, Thrown):
            self.refused += 1
            return None
        finally:
            # Also when the talking ends: nobody would hear how a call failed that was left alone.
            answer.cancel()


class Backend:
    """The application's token provider: it asks the service, as often as boto3 does by itself."""

    def __init__(self, service: Service, room: str, user: str) -> None:
        self._client = service.boto3(attempts=5)
        self._asked = {"roomIdentifier": room, "userId": user, "capabilities": ["SEND_MESSAGE"]}

    async def __call__(self) -> Mapping[str, str]:
        """Return a fresh token."""
        answer = await asyncio.to_thread(self._client.create_chat_token, **self._asked)
        return {"token": str(answer["token"])}


@asynccontextmanager
async def talking(rooms: Rooms, service: Service, arns: list[str]) -> AsyncIterator[list[Sender]]:
    """Let an SDK in each room send."""
    senders = [
        Sender(await rooms.enter(arn, provider=Backend(service, arn, "sdk"))) for arn in arns
    ]
    async with all_talk(senders):
        yield senders


@asynccontextmanager
async def all_talk(senders: Sequence[Sender]) -> AsyncIterator[None]:
    """Let senders send for the length of a `with` block."""
    tasks = [asyncio.create_task(each.talk()) for each in senders]
    yield
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, asyncio.CancelledError), result
