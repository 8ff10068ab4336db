"""A process's end of its pipe to the supervisor.

To what serves it is what a process alone has in its place: the one that runs before and lets go
(`entrance.takeover.Before`), and the one that may take over (`entrance.takeover_offer.Offered`).
"""

import asyncio
import itertools
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine

from greenroom.entrance.ready import Ready
from greenroom.entrance.sockets import Listening
from greenroom.entrance.takeover_offer import Takes
from greenroom.server.processes import messages
from greenroom.server.processes.messages import (
    Accept,
    Alive,
    Answer,
    Answers,
    Ask,
    Begin,
    LetGo,
    Prepared,
    Question,
    Refused,
    Released,
    Said,
    Serving,
    Stop,
    Subject,
    Taken,
)
from greenroom.server.processes.pipe import Pipe

ALIVE_SECONDS = 1.0
"""How often a process says that it lives."""

PATIENCE_SECONDS = 2.0
"""How long the supervisor may take to say what the others have answered."""

AcceptFrom = Callable[[socket.socket], Awaitable[Callable[[], None]]]
"""Accepts from a socket; returns what ends that."""


class Link:
    """One process among several; `sockets` are those of all, of which it begins with `mine`."""

    names_successor = True
    """Whether somebody else tells systemd who follows: the supervisor."""

    def __init__(
        self,
        number: int,
        connection: socket.socket,
        listening: Listening,
        mine: frozenset[int],
    ) -> None:
        self.number = number
        self._sockets = listening.sockets
        own = [each for index, each in enumerate(self._sockets) if index in mine]
        others = [each for index, each in enumerate(self._sockets) if index not in mine]
        self.listening = Listening(own, listening.by_systemd, others)
        self._pipe = Pipe(connection, self._receive, self._stop)
        self._begins = asyncio.Event()
        self._taken: asyncio.Future[bool] | None = None
        self._asked: dict[int, asyncio.Future[Answers]] = {}
        self._numbers = itertools.count(1)
        self._accepting = set(mine)
        self._ends: dict[int, Callable[[], None]] = {}
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._withdrawn = False
        self.accept_from: AcceptFrom | None = None
        self.answers: dict[Subject, Callable[[], Awaitable[bytes]]] = {}
        """How questions of other processes are answered."""
        self.unfit: Callable[[], str] = str
        self.wanted: Callable[[], None] = lambda: None
        self.successor: Takes | None = None

    def open(self) -> None:
        """Hear what the supervisor says, from now on."""
        self._pipe.start()

    # What it says

    def announce(self, ready: Ready) -> None:
        """Say that connections are accepted."""
        self._say(Serving(ready))

    def refuse(self, error: Exception) -> None:
        """Say why this process cannot begin."""
        self._say(Refused(type(error).__name__, str(error)))

    def alive(self) -> None:
        """Say that the event loop turns."""
        self._say(Alive())

    async def ask(self, subject: Subject) -> Answers:
        """Ask the other processes; who does not answer is named so."""
        number = next(self._numbers)
        answered: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        self._asked[number] = answered
        try:
            self._say(Ask(number, subject))
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await answered
        except TimeoutError:
            return Answers(number, {}, {}, {})
        finally:
            del self._asked[number]

    # In the place of a service that runs before

    async def release(self) -> None:
        """Say that all is prepared, and wait until the service that runs has let go."""
        self._say(Prepared())
        await self._begins.wait()

    def serving(self) -> None:
        """Do nothing: who announces has said it."""

    # In the place of an offer to be taken over

    def start(self) -> None:
        """Do nothing: the supervisor waits for who wants to take over."""

    def withdraw(self, why: str) -> None:
        """End, whatever becomes of a takeover."""
        self._withdrawn = True

    @property
    def is_withdrawn(self) -> bool:
        return self._withdrawn

    def close(self) -> None:
        """Begin anew: what serves next is offered again."""
        self.successor, self.accept_from = None, None
        self._ends.clear()

    # What it hears

    def _receive(self, data: bytes) -> None:
        match messages.told(data):
            case Begin():
                self._begins.set()
            case LetGo():
                self.successor = _Successor(self._released)
                self.wanted()
            case Taken(taken):
                if self._taken is not None and not self._taken.done():
                    self._taken.set_result(taken)
            case Accept(sockets):
                self._run(self._accept(set(sockets)))
            case Stop():
                self._stop()
            case Question(number, subject):
                self._run(self._answer(number, subject))
            case Answers(number=number) as answers:
                asked = self._asked.get(number)
                if asked is not None and not asked.done():
                    asked.set_result(answers)

    def _stop(self) -> None:
        """Drain, as at the signal; so also when the supervisor is gone."""
        os.kill(os.getpid(), signal.SIGTERM)

    async def _released(self) -> bool:
        self._taken = asyncio.get_running_loop().create_future()
        self._say(Released())
        return await self._taken

    async def _accept(self, sockets: set[int]) -> None:
        """Accept from the sockets of dead processes as long as they are."""
        async with self._turn:
            for index in sockets - self._accepting:
                if self.accept_from is not None:
                    self._ends[index] = await self.accept_from(self._sockets[index].dup())
                    self._accepting.add(index)
            for index in [each for each in self._ends if each not in sockets]:
                self._accepting.discard(index)
                self._ends.pop(index)()

    async def _answer(self, number: int, subject: Subject) -> None:
        answer = self.answers.get(subject)
        if answer is not None:
            self._say(Answer(number, await answer()))

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _say(self, message: Said) -> None:
        self._pipe.send(messages.encode(message))


class _Successor:
    """Whoever takes over, as one process sees it."""

    pid = 0
    """Nobody's: the supervisor tells systemd who follows."""

    def __init__(self, released: Callable[[], Awaitable[bool]]) -> None:
        self._released = released

    async def serves(self) -> bool:
        return await self._released()
