"""`greenroom serve` with several processes: forks them, looks after them, and is handed over.

The supervisor holds the data directory and the listening sockets, and serves nothing itself. What
it forks has a copy of the sockets and a pipe to it, and ends when the supervisor does.
"""

import asyncio
import contextlib
import functools
import importlib
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import structlog

from greenroom import __version__
from greenroom.clock import Clock
from greenroom.entrance.dev_certificate import dev_certificate
from greenroom.entrance.ready import Ready
from greenroom.entrance.shared_sockets import bound_for, enough, shares
from greenroom.entrance.sockets import Listening, listening
from greenroom.entrance.takeover import Predecessor
from greenroom.entrance.takeover_offer import Offer
from greenroom.process import forking, signals, systemd
from greenroom.process.event_loop import loop_factory
from greenroom.process.start_refused import FileUnwritable, StartRefused
from greenroom.process.ticker import Ticker
from greenroom.server.kept import check_installed, not_kept
from greenroom.server.processes import messages
from greenroom.server.processes.link import Link
from greenroom.server.processes.messages import Told
from greenroom.server.processes.pipe import Pipe
from greenroom.server.processes.supervisor import TICK_SECONDS, Phase, Supervisor
from greenroom.server.serve import met_before, run_one_of, task_group
from greenroom.settings.values import Settings
from greenroom.storage.base import StorageUnavailable
from greenroom.telemetry import logs
from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.vault.vault import check_given

log = structlog.get_logger()


async def run_processes(
    settings: Settings, announce: Callable[[Ready], None], *, taking_over: bool = False
) -> None:
    """Serve with as many processes as the settings say, as `serve.run_service` does with one.

    Raises:
        StartRefused: as for `run_service`; what one process cannot use, none can.
    """
    number = settings.number("processes")
    check_given(settings)
    check_installed()
    _import_once()
    lines = BoundedLog()
    asyncio.get_running_loop().set_exception_handler(logs.FaultHandler(lines))
    async with met_before(settings, taking_over=taking_over) as before:
        received = None if before is None else enough(before.listening, number)
        bind = functools.partial(bound_for, processes=number)
        with listening(settings, received, bind) as found:
            async with task_group() as tasks:
                service = _Service(settings, found, tasks)
                with service.signals_handled():
                    await service.run(before, announce)
    lines.close()
    log.info("stopped")


def _import_once() -> None:
    """Import what each process needs, before there are several of this one."""
    importlib.import_module("greenroom.server.cluster")
    loop_factory()


class _Service:
    """The supervisor's side of one life of the service."""

    def __init__(self, settings: Settings, found: Listening, tasks: asyncio.TaskGroup) -> None:
        self._settings = settings
        self._listening = found
        self._taking_over = False
        self._changes = asyncio.Event()
        self._directory = contextlib.ExitStack()
        addresses = [each.getsockname() for each in found.sockets]
        number = settings.number("processes")
        self._supervisor = Supervisor(
            number,
            self._fork,
            functools.partial(shares, addresses, number),
            Clock(),
            self._changes.set,
        )
        self._offer = Offer(settings.path("data_dir"), found, tasks)
        self._offer.wanted = self._supervisor.let_go
        self._ticker = Ticker(TICK_SECONDS, self._supervisor.tick)

    @contextlib.contextmanager
    def signals_handled(self) -> Iterator[None]:
        """Pass signals on to all processes for the length of a `with` block."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        try:
            with signals.handled(self._stop, self._supervisor.hang_up, self._kill):
                yield
        finally:
            loop.remove_signal_handler(signal.SIGCHLD)

    async def run(self, before: Predecessor | None, announce: Callable[[Ready], None]) -> None:
        """Start all, serve, and end."""
        with contextlib.closing(self._offer), self._directory:
            self._ticker.start()
            try:
                await self._start(before)
                if not self._supervisor.ending:
                    self._announce(before, announce)
                await self._serve()
            except BaseException:
                self._supervisor.kill()
                raise
            finally:
                await self._until(lambda: not self._supervisor.running)
                self._ticker.stop()

    # The start

    async def _start(self, before: Predecessor | None) -> None:
        if before is not None:
            await self._start_beside(before)
        else:
            self._hold_directory()
            # The first makes what all share: the schema, streams, the root key.
            first, *others = self._supervisor.entries
            self._begin([first])
            await self._until_all(Phase.SERVING, (first,))
            self._begin(others)
        await self._until_all(Phase.SERVING)
        self._supervisor.begun()

    async def _start_beside(self, before: Predecessor) -> None:
        """Start all beside the service that runs, and have it let go when all are prepared."""
        self._taking_over = True
        self._begin(self._supervisor.entries)
        await self._until_all(Phase.PREPARED)
        if not self._supervisor.ending:
            await before.release()
            self._hold_directory()
            self._supervisor.begin()

    def _begin(self, numbers: Iterable[int]) -> None:
        """Start processes outside of this task: a copy has an event loop of its own."""
        for number in numbers:
            asyncio.get_running_loop().call_soon(self._supervisor.start, number)

    def _hold_directory(self) -> None:
        from greenroom.server import cluster

        directory = self._settings.path("data_dir")
        self._directory.enter_context(cluster.node_directory(directory))
        if self._settings.text("dev_tls") == "on":
            try:
                # Before all of them make one.
                dev_certificate(directory.resolve(), self._settings.text("host"))
            except OSError as error:
                raise FileUnwritable(f"the certificate cannot be kept: {error.strerror}") from None

    def _announce(self, before: Predecessor | None, announce: Callable[[Ready], None]) -> None:
        supervisor = self._supervisor
        if supervisor.ready is None:
            return
        pids = tuple(each.forked.pid for each in supervisor.running if each.forked is not None)
        ready = msgspec.structs.replace(supervisor.ready, pid=os.getpid(), processes=pids)
        self._offer.start()
        announce(ready)
        log.info(
            "ready",
            api_url=ready.api_url,
            version=__version__,
            data_dir=ready.data_dir,
            processes=len(pids),
        )
        if before is None:
            systemd.notify(systemd.READY)
        else:
            if not before.names_successor:
                systemd.notify(f"MAINPID={ready.pid}")
            before.serving()

    # Serving

    async def _serve(self) -> None:
        """Serve until all have ended: stopped, or another service has taken over."""
        supervisor = self._supervisor
        while supervisor.running or not supervisor.ending:
            await self._until(self._is_over)
            if supervisor.handing_over and not supervisor.ending:
                await self._hand_over()

    def _is_over(self) -> bool:
        supervisor = self._supervisor
        released = all(each.phase is Phase.RELEASED for each in supervisor.running)
        return (supervisor.ending and not supervisor.running) or (
            supervisor.handing_over and not supervisor.ending and released
        )

    async def _hand_over(self) -> None:
        successor = self._offer.successor
        if successor is None:
            return
        self._directory.close()
        taken = await successor.serves()
        if taken:
            systemd.notify(f"MAINPID={successor.pid}")
        else:
            self._hold_directory()
        stopped = self._supervisor.ending
        self._supervisor.taken(taken)
        if stopped:
            self._supervisor.stop()
        if not taken:
            self._offer.successor = None

    def _stop(self) -> None:
        log.info("stopping", processes=len(self._supervisor.running))
        if self._offer.successor is None:
            systemd.notify(systemd.STOPPING)
        self._offer.withdraw("it was told to stop")
        self._supervisor.stop()
        self._listening.close()
        self._changes.set()

    def _kill(self, code: int) -> None:
        self._supervisor.kill()
        os._exit(code)

    async def _until_all(self, phase: Phase, numbers: Sequence[int] | None = None) -> None:
        entries = self._supervisor.entries
        which = [entries[each] for each in numbers or entries]
        supervisor = self._supervisor
        await self._until(
            lambda: (
                supervisor.failure is not None
                or supervisor.ending
                or all(each.phase is phase for each in which)
            )
        )
        if supervisor.failure is not None and not supervisor.ending:
            raise supervisor.failure

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changes.wait()
            self._changes.clear()

    # Processes

    def _fork(self, number: int) -> "_Child":
        here, there = socket.socketpair()
        sockets = self._listening.sockets
        kept = {there.fileno(), *(each.fileno() for each in sockets)}
        link = Link(number, there, self._listening, self._supervisor.entries[number].accepts)
        try:
            pid = forking.fork(functools.partial(self._work, link), kept)
        except OSError:
            here.close()
            raise
        finally:
            there.close()
        return _Child(number, pid, here, self._supervisor)

    def _work(self, link: Link) -> int:
        """Serve, in the copy of this process."""
        # The supervisor is the one that systemd hears.
        os.environ.pop("NOTIFY_SOCKET", None)
        logs.name_process(link.number)
        taking_over = self._taking_over and not self._supervisor.began
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(_served(self._settings, link, taking_over=taking_over))

    def _reap(self) -> None:
        for entry in self._supervisor.running:
            if isinstance(entry.forked, _Child):
                entry.forked.reap()


async def _served(settings: Settings, link: Link, *, taking_over: bool) -> int:
    """Serve as one process; return its exit code. What refuses the start, the supervisor tells."""
    try:
        await run_one_of(settings, link, taking_over=taking_over)
    except StartRefused as refused:
        link.refuse(refused)
    except StorageUnavailable as error:
        link.refuse(not_kept(settings, error))
    else:
        return 0
    return 1


class _Child:
    """A process that was forked. It has ended when it is reaped and its last word was heard."""

    def __init__(
        self, number: int, pid: int, connection: socket.socket, supervisor: Supervisor
    ) -> None:
        self.pid = pid
        self._number = number
        self._supervisor = supervisor
        self._how: str | None = None
        self._open = True
        self._pipe = Pipe(connection, self._receive, self._closed)
        self._pipe.start()

    def tell(self, message: Told) -> None:
        self._pipe.send(messages.encode(message))

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def hang_up(self) -> None:
        self._send(signal.SIGHUP)

    def close(self) -> None:
        self._pipe.close()

    def reap(self) -> None:
        """Look whether it has ended."""
        if self._how is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._how = forking.end_of(status)
                self._end()

    def _send(self, number: int) -> None:
        # A number of which it was not heard that it has ended is nobody else's.
        if self._how is None:
            os.kill(self.pid, number)

    def _receive(self, data: bytes) -> None:
        self._supervisor.heard(self._number, messages.said(data))

    def _closed(self) -> None:
        self._open = False
        self._end()

    def _end(self) -> None:
        if self._how is not None and not self._open:
            self._supervisor.ended(self._number, self._how)
