"""What two processes say to each other when one takes over from the other: short packets.

They meet at a socket in the data directory, and each asks the kernel who the other is: both run as
the same user, or one of them as root. Descriptors travel beside a packet. Only Linux has all of
this.
"""

import asyncio
import os
import select
import signal
import socket
import struct
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import msgspec

from greenroom.process.event_loop import readable

NAME = "takeover.sock"
"""The socket's name in the data directory."""

PROTOCOL = 1
"""The version of the packets; others are refused."""

HELLO_SECONDS = 10.0
"""How long either waits for what the other can say at once."""

STEP_SECONDS = 60.0
"""How long either waits for a step that is work."""

PACKET_BYTES = 4_096
MAXIMUM_SOCKETS = 128

MOST_WAITING = 8
"""Processes whose connection the running one has not taken yet: one is the rule."""

_CREDENTIALS = struct.Struct("3i")


class Step(StrEnum):
    """What a packet says; the first and every second comes from the process that takes over."""

    HELLO = "hello"
    SOCKETS = "sockets"
    PREPARED = "prepared"
    RELEASED = "released"
    SERVING = "serving"
    FAILED = "failed"


class Packet(msgspec.Struct, frozen=True, omit_defaults=True):
    """One packet; `why` is one line for the operator, with `FAILED`."""

    step: Step
    protocol: int = PROTOCOL
    version: str = ""
    why: str = ""
    by_systemd: bool = False
    names_successor: bool = False
    """Whether the running process tells systemd who the service's main process is from now on."""


class PeerGone(Exception):
    """The other process has ended, or closed its side."""


class PeerRefused(Exception):
    """The other process said that it cannot go on, or something else than it should have."""


class PeerSilent(PeerRefused):
    """The other process did not say its next word in time."""


class Channel:
    """One side of the conversation."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self.pid, self._uid, _ = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        # At once: when the process has ended, its number may be another one's.
        self._process = _process(self.pid)
        self.received: list[socket.socket] = []
        """Sockets that came with the packets up to now."""

    @property
    def is_trusted(self) -> bool:
        """Whether the two are one user's, or one is root's.

        Who is not root finds no way to root's process: its meeting place lets only root in.
        """
        return self._uid in (0, os.geteuid()) or os.geteuid() == 0

    def send(self, packet: Packet, sockets: list[socket.socket] | None = None) -> None:
        """Send a packet, and sockets with it.

        Raises:
            PeerGone: nobody takes it.
        """
        descriptors = [each.fileno() for each in sockets or ()]
        try:
            socket.send_fds(self._connection, [msgspec.json.encode(packet)], descriptors)
        except OSError as error:
            raise PeerGone(str(error.strerror)) from None

    async def receive(self, step: Step, seconds: float, sockets: int = 0) -> Packet:
        """Return the next packet, which must be of this step; sockets are taken up to a number.

        Raises:
            PeerGone: the other side ended.
            PeerRefused: it said something else.
            PeerSilent: it said nothing in time.
        """
        try:
            async with asyncio.timeout(seconds):
                await readable(self._connection.fileno())
        except TimeoutError:
            raise PeerSilent(f"no answer within {seconds:.0f} seconds") from None
        packet = self._taken(sockets)
        if packet.step is Step.FAILED:
            raise PeerRefused(packet.why)
        if packet.step is not step or packet.protocol != PROTOCOL:
            raise PeerRefused(f"its version is {packet.version or 'another'}: stop and start it")
        return packet

    def _taken(self, sockets: int) -> Packet:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._connection, PACKET_BYTES, sockets)
        except OSError as error:
            raise PeerGone(str(error.strerror)) from None
        for each in descriptors:
            os.set_inheritable(each, False)
            self.received.append(socket.socket(fileno=each))
        if not data:
            raise PeerGone("its end came")
        try:
            return msgspec.json.decode(data, type=Packet)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise PeerRefused("what it says is not understood") from None

    async def gone(self, seconds: float) -> None:
        """Wait until the other process has ended; after so many seconds end it."""
        if self.pid == os.getpid() or self._has_ended():
            return
        if self._process is None:
            # A kernel before 5.3, which cannot say it: a process ends soon after its side.
            await asyncio.sleep(min(seconds, 1.0))
            return
        try:
            async with asyncio.timeout(seconds):
                await readable(self._process)
        except TimeoutError:
            with suppress(OSError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
                await readable(self._process)

    def check_alive(self) -> None:
        """See that the other process has not ended, as far as it is known.

        Raises:
            PeerGone: it has.
        """
        if self._has_ended():
            raise PeerGone("it ended")

    def _has_ended(self) -> bool:
        if self._process is None or self._process == _ENDED:
            return self._process is not None
        ended = select.poll()
        ended.register(self._process, select.POLLIN)
        return bool(ended.poll(0))

    def close(self) -> None:
        """End this side."""
        self._connection.close()
        process, self._process = self._process, None
        if process is not None and process != _ENDED:
            os.close(process)


_ENDED = -1


def _process(pid: int) -> int | None:
    """Return a descriptor of a process; `_ENDED` if there is none, None if nobody can say."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return _ENDED
    except OSError:
        return None


def is_possible() -> bool:
    """Return whether this system has what a takeover needs."""
    return all(hasattr(socket, name) for name in ("SO_PEERCRED", "SOCK_SEQPACKET")) and hasattr(
        os, "pidfd_open"
    )


def met(directory: Path) -> socket.socket | None:
    """Return a connection to the process that runs on the directory; None when there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with _Short(directory) as short:
            connection.connect(str(short / NAME))
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        connection.close()
        return None
    except BaseException:
        connection.close()
        raise
    return connection


def meeting_place(directory: Path) -> socket.socket:
    """Return the socket in the directory at which to wait; it takes the place of an older one.

    Raises:
        OSError: it cannot be made there.
    """
    waiting = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        waiting.setblocking(False)
        with _Short(directory) as short:
            new = short / f".{NAME}.{os.getpid()}"
            new.unlink(missing_ok=True)
            waiting.bind(str(new))
            new.chmod(0o600)
            waiting.listen(MOST_WAITING)
            new.replace(short / NAME)
    except BaseException:
        waiting.close()
        raise
    return waiting


class _Short:
    """A path of the directory that is short: a socket's path has at most 107 bytes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> Path:
        self._descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        return Path(f"/proc/self/fd/{self._descriptor}")

    def __exit__(self, *error: object) -> None:
        os.close(self._descriptor)
