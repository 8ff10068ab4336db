"""Let a new process take over from the running one, so that no client is refused meanwhile.

1. The new process says `hello` and gets the listening sockets. Both go on: the one serves, the
   other prepares all that can be prepared without the store, and says `prepared`.
2. The running one accepts no more (who comes waits in the kernel), answers the requests under way,
   refuses what viewers send, closes the store, and says `released`.
3. The new one opens the store, accepts, and says `serving`.
4. The old one drops its viewers, a few at a time: each comes back to a service that answers. Where
   systemd started it, it says first that the new one is the main process from now on.

Whoever ends, by whatever, closes its side of the channel, and the other goes on alone. A new
process that fails before `released` was not noticed; later, the old one opens the store again.
"""

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import structlog

from greenroom import __version__
from greenroom.clock import Clock
from greenroom.entrance.sockets import Listening
from greenroom.entrance.takeover_channel import (
    HELLO_SECONDS,
    MAXIMUM_SOCKETS,
    NAME,
    STEP_SECONDS,
    Channel,
    Packet,
    PeerGone,
    PeerRefused,
    Step,
    is_possible,
    met,
)
from greenroom.identities import declaration_file
from greenroom.process.start_refused import FileUnwritable
from greenroom.settings.values import Settings
from greenroom.storage.base import StoreInUse
from greenroom.storage.sqlite import lock
from greenroom.vault.vault import sealer_of

END_SECONDS = 10.0
"""How long a process that has closed its side may take to end: it holds the store until then."""

log = structlog.get_logger()


class TakeoverRefused(StoreInUse):
    """The running process does not let go: one clear line for the operator."""


class Before(Protocol):
    """The process that runs before, as what serves after it sees it; see `Predecessor`."""

    @property
    def names_successor(self) -> bool: ...
    async def release(self) -> None: ...
    def serving(self) -> None: ...


class Predecessor:
    """The running process, as the one that takes over sees it."""

    def __init__(self, channel: Channel, packet: Packet) -> None:
        """Take the channel, and the packet that the sockets came with."""
        self._channel = channel
        self._version = packet.version
        self.listening = Listening(channel.received, packet.by_systemd)
        self._names_successor = packet.names_successor

    @property
    def names_successor(self) -> bool:
        """Whether it tells systemd who follows it; an older version leaves that to who follows."""
        return self._names_successor

    @classmethod
    async def meet(cls, directory: Path) -> "Predecessor | None":
        """Ask the process that runs on the data directory for its sockets; None: none runs.

        Raises:
            TakeoverRefused: it is another user's, or it cannot be taken over now.
        """
        connection = _connection(directory)
        if connection is None:
            return None
        channel = Channel(connection)
        try:
            packet = await _sockets_of(channel)
        except (PeerGone, PeerRefused) as error:
            channel.close()
            raise _refused(channel, error) from None
        return cls(channel, packet)

    async def release(self) -> None:
        """Have it close the store: everything else is prepared. When it is dead, so be it.

        Raises:
            TakeoverRefused: it says why not.
        """
        try:
            with contextlib.suppress(PeerGone):
                # What it said before it went is still to be read: perhaps that it is to stop.
                self._channel.send(Packet(Step.PREPARED))
            await self._channel.receive(Step.RELEASED, STEP_SECONDS)
        except PeerRefused as refused:
            raise _refused(self._channel, refused) from None
        except PeerGone:
            log.warning("the running process ended meanwhile", process=self._channel.pid)
            await self._channel.gone(END_SECONDS)
        else:
            # Not before: who is refused says so in one line.
            log.info("takes over", process=self._channel.pid, version=self._version)

    def serving(self) -> None:
        """Tell it that it may go."""
        with contextlib.suppress(PeerGone):
            self._channel.send(Packet(Step.SERVING))
        self._channel.close()

    def fail(self, why: str) -> None:
        """Tell it that it must go on, and why."""
        with contextlib.suppress(PeerGone):
            self._channel.send(Packet(Step.FAILED, why=" ".join(why.split())[:1000]))

    def close(self) -> None:
        """End the conversation."""
        self._channel.close()


@contextlib.asynccontextmanager
async def predecessor(directory: Path) -> AsyncIterator[Predecessor | None]:
    """Meet the process that runs on the directory, if one does; tell it when the block fails.

    Raises:
        TakeoverRefused: as for `Predecessor.meet`; or a process that cannot be met runs on it, of
            a version before takeovers, or one that could not make its meeting place.
        StoreUnwritable: what says who runs on it cannot be read.
    """
    running = await Predecessor.meet(directory)
    if running is None:
        holder, _ = lock.look(directory)
        if holder:
            raise TakeoverRefused(
                f"process {holder} runs on {directory} and cannot hand it over:"
                " stop it first, then start"
            )
        yield None
        return
    try:
        yield running
    except BaseException as error:
        running.fail(str(error) or type(error).__name__)
        raise
    finally:
        running.close()


def check_kept(settings: Settings, kept: bytes | None) -> None:
    """See that what the running process keeps can be used here, while it serves.

    `kept` is the store's check of the key of its secrets.

    Raises:
        SecretsKeyRefused: it is sealed with another key.
        IdentitiesRefused: the identities file cannot be used.
    """
    sealer = sealer_of(settings, kept)
    file = settings.optional_path("identities_file")
    if file is not None:
        context = declaration_file.of_process(settings.text("account"), Clock().now_ms(), sealer)
        declaration_file.read(file, context)


def _connection(directory: Path) -> socket.socket | None:
    if not is_possible():
        raise TakeoverRefused("--takeover needs Linux: stop the running process, then start")
    try:
        return met(directory)
    except OSError as error:
        raise FileUnwritable(f"{directory / NAME} cannot be used: {error.strerror}") from None


async def _sockets_of(channel: Channel) -> Packet:
    if not channel.is_trusted:
        raise PeerRefused("it runs as another user")
    channel.send(Packet(Step.HELLO, version=__version__))
    packet = await channel.receive(Step.SOCKETS, HELLO_SECONDS, MAXIMUM_SOCKETS)
    if not channel.received:
        raise PeerRefused("it gave no socket")
    return packet


def _refused(channel: Channel, why: Exception) -> TakeoverRefused:
    return TakeoverRefused(f"process {channel.pid} is not taken over: {why}")
