"""Our side of an encrypted connection and OpenSSL's client, without a network between them."""

import asyncio
import contextlib
import functools
import socket
import ssl
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from greenroom.entrance.dev_certificate import dev_certificate
from greenroom.tls.keys import Times, TlsKeys
from greenroom.tls.transport import TlsTransport
from tests.stand_ins.stage import Transport

IN_CLEAR = b"HTTP/1.1 400 speak TLS\r\n\r\n"


@functools.cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's context and one that trusts it."""
    with tempfile.TemporaryDirectory() as directory:
        certificate, key = dev_certificate(Path(directory), "localhost")
        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served.load_cert_chain(certificate, key)
        return served, ssl.create_default_context(cafile=str(certificate))


class Deadline:
    """A deadline that is reached by hand."""

    def __init__(self, seconds: float, callback: Callable[[], None]) -> None:
        self.seconds, self.pass_by = seconds, callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Keys(TlsKeys):
    """Keys whose turns and deadlines come by hand."""

    def __init__(self) -> None:
        self.waiting: deque[Callable[[], None]] = deque()
        self.deadlines: list[Deadline] = []
        super().__init__(
            contexts()[0],
            wait_turn=self.waiting.append,
            after=self._after,
            seconds=Times(handshake=1, close=2, linger=3),
            in_clear=lambda: IN_CLEAR,
        )

    def _after(self, seconds: float, callback: Callable[[], None]) -> Deadline:
        self.deadlines.append(Deadline(seconds, callback))
        return self.deadlines[-1]

    def take_turns(self) -> None:
        """Let all who wait have their turn."""
        while self.waiting:
            self.waiting.popleft()()

    @property
    def due(self) -> list[float]:
        """How long those may still take that have a deadline."""
        return [each.seconds for each in self.deadlines if not each.cancelled]


class Above(asyncio.Protocol):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.log: list[object] = []
        self.stays_open = False

    @property
    def received(self) -> bytes:
        """All bytes that came."""
        return b"".join(each for each in self.log if isinstance(each, bytes))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.log.append("made")

    def data_received(self, data: bytes) -> None:
        self.log.append(data)

    def eof_received(self) -> bool:
        self.log.append("eof")
        return self.stays_open

    def pause_writing(self) -> None:
        self.log.append("pause")

    def resume_writing(self) -> None:
        self.log.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.log.append("lost")


class Pair:
    """One connection; what one side sends is carried by hand."""

    def __init__(self, keys: Keys) -> None:
        self.keys, self.above, self.lower = keys, Above(), Transport()
        self.lower.socket = mock.Mock(socket.socket, fileno=lambda: -1)
        self.begun: list[Exception | None] = []
        self.transport = TlsTransport(keys, self.above, self.begun.append)
        self.transport.connection_made(self.lower)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = contexts()[1].wrap_bio(
            self._incoming, self._outgoing, server_hostname="localhost"
        )

    def shake(self) -> bytes:
        """Have the client go on with the handshake; return what it sends."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.client.do_handshake()
        return self._outgoing.read()

    def open(self) -> None:
        """Complete the handshake."""
        while True:
            self._incoming.write(b"".join(self.lower.take()))
            sent = self.shake()
            if not sent:
                break
            self.transport.data_received(sent)
            self.keys.take_turns()
        assert self.begun == [None]

    def say(self, data: bytes) -> bytes:
        """Return the records in which the client says it."""
        for at in range(0, len(data), 16_384):
            self.client.write(data[at : at + 16_384])
        return self._outgoing.read()

    def end(self) -> bytes:
        """Return the record in which the client says that nothing follows."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.client.unwrap()
        return self._outgoing.read()

    def hear(self, records: bytes | None = None) -> bytes:
        """Return what the client reads of what was written to the socket, or of these records.

        Raises:
            ssl.SSLError: it is not what our side wrote, as far as the client can tell.
        """
        self._incoming.write(b"".join(self.lower.take()) if records is None else records)
        heard = b""
        try:
            while piece := self.client.read(65_536):
                heard += piece
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return heard
