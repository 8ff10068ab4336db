"""The running process's side of a takeover; see `takeover` for the steps."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Protocol

import structlog

from greenroom import __version__
from greenroom.entrance.sockets import Listening
from greenroom.entrance.takeover_channel import (
    HELLO_SECONDS,
    NAME,
    STEP_SECONDS,
    Channel,
    Packet,
    PeerGone,
    PeerRefused,
    PeerSilent,
    Step,
    is_possible,
    meeting_place,
)

END_SECONDS = 10.0
"""How long a process that gave up may take to end, before it is ended: it may hold the store."""

log = structlog.get_logger()


class Takes(Protocol):
    """The process that takes over, as the one that lets go sees it; see `Successor`."""

    @property
    def pid(self) -> int: ...
    async def serves(self) -> bool: ...


class Offered(Protocol):
    """What waits for a process that wants to take over; see `Offer`."""

    unfit: Callable[[], str]
    wanted: Callable[[], None]
    successor: Takes | None

    def start(self) -> None: ...
    def withdraw(self, why: str) -> None: ...
    @property
    def is_withdrawn(self) -> bool: ...
    def close(self) -> None: ...


class Successor:
    """The process that takes over, as the running one sees it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.pid = channel.pid

    async def serves(self) -> bool:
        """Tell it that the store is closed; return whether it serves now.

        When it does not, it has ended: the store can be opened again.
        """
        try:
            self._channel.send(Packet(Step.RELEASED))
            await self._channel.receive(Step.SERVING, STEP_SECONDS)
            self._channel.check_alive()
        except (PeerGone, PeerRefused) as error:
            _log_failure(self._channel, error)
            await self._channel.gone(0 if isinstance(error, PeerSilent) else END_SECONDS)
            return False
        log.info("taken over", process=self.pid)
        return True


class Offer:
    """Waits for a process that wants to take over, in the directory of the store.

    Without a directory nothing is offered. `unfit` says why this process cannot be taken over now,
    if so. `wanted` is called when one is prepared: `successor` is set then, and the caller lets go.
    """

    def __init__(
        self, directory: Path | None, listening: Listening, tasks: asyncio.TaskGroup
    ) -> None:
        self._directory = directory
        self._listening = listening
        self._group = tasks
        self.unfit: Callable[[], str] = str
        self.wanted: Callable[[], None] = lambda: None
        self._waiting: socket.socket | None = None
        self._place: tuple[int, int] | None = None
        self._busy: Channel | None = None
        self._withdrawn = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self.successor: Takes | None = None

    def start(self) -> None:
        """Wait from now on. Where that is not possible the log says why, and all else works."""
        if self._directory is None or not is_possible():
            return
        try:
            self._waiting = meeting_place(self._directory)
            self._place = _identity(self._directory / NAME)
        except OSError as error:
            log.warning("cannot be taken over", reason=error.strerror)
            return
        self._spawn(self._run(self._waiting))

    def withdraw(self, why: str) -> None:
        """Refuse, from now on, also the one that prepares."""
        self._withdrawn = why
        if self._busy is not None and self.successor is None:
            _refuse(self._busy, why)

    @property
    def is_withdrawn(self) -> bool:
        """Whether this process is to end without a successor."""
        return bool(self._withdrawn)

    def close(self) -> None:
        """Wait no more, and leave nothing behind but what is another's already."""
        for task in self._tasks:
            task.cancel()
        if self._busy is not None:
            self._busy.close()
        if self._waiting is None or self._directory is None:
            return
        self._waiting.close()
        with contextlib.suppress(OSError):
            if _identity(self._directory / NAME) == self._place:
                (self._directory / NAME).unlink()

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, waiting: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(waiting)
            self._spawn(self._answer(Channel(connection)))

    async def _answer(self, channel: Channel) -> None:
        try:
            await self._prepare(channel)
        except (PeerGone, PeerRefused) as error:
            _log_failure(channel, error)
            channel.close()
            if self._busy is channel:
                self._busy = None

    async def _prepare(self, channel: Channel) -> None:
        if not channel.is_trusted:
            raise PeerRefused("it runs as another user")
        hello = await channel.receive(Step.HELLO, HELLO_SECONDS)
        self._check(channel, self._withdrawn or self.unfit())
        if self._busy is not None:
            self._check(channel, f"process {self._busy.pid} is taking over already")
        self._busy = channel
        log.info("takeover begins", process=channel.pid, version=hello.version)
        listening = self._listening
        channel.send(
            Packet(
                Step.SOCKETS,
                version=__version__,
                by_systemd=listening.by_systemd,
                names_successor=True,
            ),
            listening.sockets,
        )
        await channel.receive(Step.PREPARED, STEP_SECONDS)
        self._check(channel, self._withdrawn or self.unfit())
        self.successor = Successor(channel)
        self.wanted()

    @staticmethod
    def _check(channel: Channel, why: str) -> None:
        """Refuse, for a reason if there is one."""
        if why:
            _refuse(channel, why)
            raise PeerRefused(why)


def _refuse(channel: Channel, why: str) -> None:
    with contextlib.suppress(PeerGone):
        channel.send(Packet(Step.FAILED, version=__version__, why=why))


def _log_failure(channel: Channel, error: Exception) -> None:
    log.error("takeover failed, this process serves on", process=channel.pid, reason=str(error))


def _identity(path: Path) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino
