"""Connections that need something before their first byte is read as HTTP: PROXY header, TLS.

The event loop's own server takes plain connections at less cost. This one accepts sockets itself,
so that what is to be refused is refused before a handshake costs anything.
"""

import asyncio
import errno
import functools
import select
import socket
from collections.abc import Callable

import msgspec
import structlog

from greenroom.clock import Clock
from greenroom.network import addresses
from greenroom.network.proxy_protocol import MAXIMUM_BYTES, ProxyFault, parse
from greenroom.network.visitors import Refused, Visit, Visitors
from greenroom.process import steps
from greenroom.process.event_loop import readable
from greenroom.telemetry.bounded_log import BoundedLog
from greenroom.telemetry.descriptors import DescriptorWatch
from greenroom.telemetry.metrics import Metrics
from greenroom.tls.keys import TlsKeys
from greenroom.tls.transport import TlsTransport

RETRY_SECONDS = 0.5
"""How long nothing is accepted when no descriptor, or no memory of the kernel, is left."""

PEEK_SECONDS = 0.02
"""How long the rest of a PROXY header is waited for before it is looked for again."""

BATCH = 64
"""Connections accepted before the loop may do something else."""

_NO_MORE = getattr(select, "POLLRDHUP", 0)
"""Linux alone tells it while there is something unread."""

_NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})
_NO_MEMORY = frozenset({errno.ENOBUFS, errno.ENOMEM})

log = structlog.get_logger()


class Entrance(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection goes through, and how long that may take, in seconds."""

    keys: TlsKeys | None
    proxy_protocol: bool
    handshake_seconds: float
    """How long a PROXY header may take."""


class AcceptorServices(msgspec.Struct, frozen=True, kw_only=True):
    """What acceptors share with the rest of the node."""

    visitors: Visitors
    clock: Clock
    tasks: asyncio.TaskGroup
    metrics: Metrics
    logger: BoundedLog
    """Takes the log's lines that clients can cause."""
    descriptors: DescriptorWatch


class Acceptor:
    """Takes connections from a listening socket, which stays the caller's."""

    def __init__(
        self,
        listening: socket.socket,
        entrance: Entrance,
        protocol: Callable[[Visit], asyncio.Protocol],
        services: AcceptorServices,
    ) -> None:
        self._listening = listening
        self._entrance = entrance
        self._protocol = protocol
        self._visitors = services.visitors
        self._metrics = services.metrics
        self._clock = services.clock
        self._tasks = services.tasks
        self._logger = services.logger
        self._descriptors = services.descriptors
        self._entering: set[asyncio.Task[None]] = set()
        self._shaking: set[TlsTransport] = set()
        self._retry: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept from now on."""
        self._listening.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listening.fileno(), self._accept)

    @property
    def handshake_seconds(self) -> float:
        """How long who was accepted may take to come through."""
        return self._entrance.handshake_seconds

    def accept_no_more(self) -> None:
        """Accept no more from now on."""
        if self._retry is not None:
            self._retry.cancel()
        asyncio.get_running_loop().remove_reader(self._listening.fileno())

    def stop(self) -> None:
        """Accept no more, and let go of those that have not come through."""
        self.accept_no_more()
        for task in tuple(self._entering):
            task.cancel()
        for transport in self._shaking:
            _abort_soon(transport)

    def _accept(self) -> None:
        for _ in range(BATCH):
            try:
                accepted, peer = self._listening.accept()
            except OSError as error:
                self._not_accepted(error.errno or 0)
                return
            try:
                visit = self._visitors.enter(addresses.packed(peer[0]), self._clock.monotonic())
            except Refused:
                accepted.close()
                continue
            self._begin(accepted, visit)
            wait = self._visitors.delay(self._clock.monotonic())
            if wait:
                self._pause(wait)
                return

    def _begin(self, accepted: socket.socket, visit: Visit) -> None:
        """Have a connection come in: without a task where nothing is read before its handshake."""
        if self._entrance.keys is not None and not self._has_header(visit):
            steps.begin(self._enter(accepted, visit))
            return
        task = self._tasks.create_task(self._enter(accepted, visit))
        visit.let_go = functools.partial(_cancel, task)
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)

    def _not_accepted(self, number: int) -> None:
        """Wait a while when the machine is to blame, and say so; else nobody is there."""
        if number in _NO_DESCRIPTOR:
            self._descriptors.met()
        elif number in _NO_MEMORY:
            self._logger.write("warning", "no memory left: new connections wait")
        else:
            return
        self._pause(RETRY_SECONDS)

    def _pause(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listening.fileno())
        self._retry = loop.call_later(seconds, self.start)

    def _has_header(self, visit: Visit) -> bool:
        return self._entrance.proxy_protocol and visit.address in self._visitors.proxies

    async def _enter(self, accepted: socket.socket, visit: Visit) -> None:
        entrance = self._entrance
        try:
            accepted.setblocking(False)
            if self._has_header(visit):
                async with asyncio.timeout(entrance.handshake_seconds):
                    await self._read_header(accepted, visit)
            await self._connect(accepted, visit)
        except (OSError, ProxyFault, Refused, asyncio.CancelledError) as error:
            self._not_begun(error)
            self._give_up(accepted, visit)
        except Exception:
            # One connection is not worth all: a task that fails would end the service.
            address = addresses.shown(visit.address)
            self._logger.exception("connection crashed", address=address)
            self._give_up(accepted, visit)

    def _not_begun(self, why: BaseException) -> None:
        # Scanners, resets, clients that do not trust the certificate: no fault of ours.
        log.debug("connection did not begin", error=type(why).__name__)

    def _give_up(self, accepted: socket.socket, visit: Visit) -> None:
        accepted.close()
        if not visit.is_held:
            self._visitors.leave(visit)

    async def _connect(self, accepted: socket.socket, visit: Visit) -> None:
        loop, keys = asyncio.get_running_loop(), self._entrance.keys
        if keys is None:
            protocol = functools.partial(self._protocol, visit)
            await loop.connect_accepted_socket(protocol, accepted)
            return
        transport = TlsTransport(
            keys, self._protocol(visit), lambda why: self._begun(transport, visit, why)
        )
        self._shaking.add(transport)
        # Who has to make place is aborted when the transport below is there.
        visit.let_go = functools.partial(_abort_soon, transport)
        try:
            await loop.connect_accepted_socket(lambda: transport, accepted)
        except BaseException:
            self._shaking.discard(transport)
            raise
        visit.is_held = True

    def _begun(self, transport: TlsTransport, visit: Visit, why: Exception | None) -> None:
        """Take note that a handshake is complete, or why it never will be."""
        self._shaking.discard(transport)
        if why is not None:
            self._not_begun(why)
            if visit.is_held:
                self._visitors.leave(visit)

    async def _read_header(self, accepted: socket.socket, visit: Visit) -> None:
        """Take the PROXY header and not a byte more: what follows is TLS's, or HTTP's."""
        seen, has_ended = 0, False
        while True:
            await readable(accepted.fileno())
            data = accepted.recv(MAXIMUM_BYTES, socket.MSG_PEEK)
            header = parse(data)
            if header is not None:
                break
            if len(data) == seen:
                if not data or has_ended:
                    raise ProxyFault("the connection ended")
                # What came before the end is looked at once more.
                has_ended = _has_ended(accepted)
                if not has_ended:
                    # The rest is on its way; the kernel says only that something is there.
                    await asyncio.sleep(PEEK_SECONDS)
            seen = len(data)
        accepted.recv(header.size)
        # Of a header without an address nobody knows whose words follow: they are not the proxy's.
        visit.is_relayed = not header.address
        if header.address:
            self._visitors.enter_behind_proxy(visit, header.address, self._clock.monotonic())


def _has_ended(accepted: socket.socket) -> bool:
    """Return whether the other side sends nothing more, where the system can tell."""
    poll = select.poll()
    poll.register(accepted, _NO_MORE)
    return bool(poll.poll(0))


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


def _abort_soon(transport: TlsTransport) -> None:
    """End a connection, whose plain transport may have been begun in this turn of the loop."""
    asyncio.get_running_loop().call_soon(transport.abort)
