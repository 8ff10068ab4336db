"""A transport that encrypts: a plain one's protocol below, like any other transport above.

- What is above gets plain bytes and writes such; order, bounds and ends are those of the plain
  transport. Everything is encrypted when it is written: what waits is ciphertext, and counts so.
- Records leave in the order in which they were made. So whoever writes past the plain transport,
  as the fan-out does, may do so only behind a first `write`, with which the ticket goes, and while
  nothing waits there; `pause_writing` tells.
- Every step of a handshake waits for its turn: which is the dear one, the client decides by how it
  cuts its hello. Later a record is cheap, but for who sends thousands of a byte or two, or such as
  carry nothing but wishes (for other keys, each 60 microseconds): a few are read, then others have
  their turn. Who does not read what is answered to wishes is let go.
- A request in clear is told, in clear, what is spoken here: its first byte is a letter, as of every
  request, and TLS begins with no letter.
- The end: `close` says so by a record (close_notify, RFC 8446 6.1) behind all that was written,
  ends our side, and waits for the peer's end. A peer that neither ends nor reads for a few seconds
  is let go of. What still comes is read and thrown away: a kernel that closes with bytes unread
  resets, and the peer would lose our last. It is decrypted, to see that end, only while it is
  little.
"""

import asyncio
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

import structlog

from greenroom.tls.fault import TlsFault
from greenroom.tls.keys import Cancellable, TlsKeys
from greenroom.tls.records import Records

HIGH_WATER = 65_536
"""Bytes that may wait before what is above is told, where it says nothing else."""


log = structlog.get_logger()
HELLO_BYTES = 16_384
"""What a client may send before its handshake has its turn: more than any has reason to."""

FEW_RECORDS = 32
"""So many are no flood: what follows need not wait for a turn. They hold half a megabyte at most,
and more than is read at once where they are large."""


TICKETS_LAST = "TLSv1.3"
"""With it nothing that a client waits for comes behind its last step (RFC 8446, 4.6.1)."""


class _State(IntEnum):
    SHAKING, REFUSED, OPEN, CLOSING, DEAF, CLOSED = range(6)


class TlsTransport(asyncio.Transport, asyncio.Protocol):
    """One encrypted connection."""

    __slots__ = (
        "_begun",
        "_early",
        "_ended",
        "_greeted",
        "_high",
        "_lower",
        "_owed",
        "_paused",
        "_protocol",
        "_reads",
        "_records",
        "_rest",
        "_state",
        "_timer",
        "_waits",
        "descriptor",
        "keys",
        "side",
    )

    _lower: asyncio.Transport

    def __init__(
        self,
        keys: TlsKeys,
        protocol: asyncio.Protocol,
        begun: Callable[[Exception | None], None],
    ) -> None:
        """Make it for a protocol, which is told of the connection when that can be used.

        `begun` is called once before that, or, with the reason, when it never will be.
        """
        self.keys = keys
        self.side = keys.accept()
        self._protocol = protocol
        self._begun: Callable[[Exception | None], None] | None = begun
        self._state = _State.SHAKING
        # What came and waits for the handshake's turn, a kilobyte with most; whether it had one.
        self._early = b""
        self._greeted = False
        # Whether the peer's end came behind what waits for its turn.
        self._ended = False
        self._high = HIGH_WATER
        self._paused = False
        self._timer: Cancellable | None = None
        # What goes with the next that is written: a ticket for coming back, which nobody waits for.
        self._owed = b""
        # Bytes that waited to be read when the peer was given time to end.
        self._waits = 0
        # What came and waits for its turn to be decrypted; whether what is above wants to read.
        self._rest = b""
        self._reads = True
        self._records = Records()

    # What the plain transport calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP has no other
        self._lower = transport
        self.descriptor: int = transport.get_extra_info("socket").fileno()
        # Told of every byte that waits, it knows when others may write to the socket themselves.
        transport.set_write_buffer_limits(high=0)
        self._timer = self.keys.after(self.keys.seconds.handshake, transport.abort)

    def data_received(self, data: bytes) -> None:
        if self._state is _State.OPEN:
            self._receive(data)
        elif self._state is _State.SHAKING:
            self._shake(data)
        elif self._state is _State.CLOSING:
            self._wait_for_end(data)

    def eof_received(self) -> bool:
        """Take the peer's end; return whether the plain transport stays open."""
        is_open = self._state is _State.OPEN
        if (is_open and self._rest) or (self._state is _State.SHAKING and self._early):
            # What came before has its turn first.
            self._ended = True
            return True
        return is_open and self._peer_ended()

    def pause_writing(self) -> None:
        self._check_full()

    def resume_writing(self) -> None:
        if self._paused:
            self._paused = False
            self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        state, self._state = self._state, _State.CLOSED
        if self._begun is not None:
            begun, self._begun, self._protocol = self._begun, None, _NOBODY
            begun(exc or ConnectionResetError("the connection ended"))
        elif state is not _State.CLOSED:
            # Taken away first: the two must not keep each other, nor be found by the collector.
            protocol, self._protocol = self._protocol, _NOBODY
            protocol.connection_lost(exc)

    # The handshake

    def _shake(self, data: bytes) -> None:
        if not self._early:
            if not self._greeted and data[:1].isalpha():
                self._refuse()
                return
            if not self._greeted and data[0] & 0x80:
                # A hello of SSL 2.0, of which OpenSSL would know: no TLS (RFC 6176), and its length
                # stands elsewhere.
                self._lower.abort()
                return
            self.keys.wait_turn(self._step)
        self._early += data
        if len(self._early) > HELLO_BYTES:
            # Behind the last step may come whatever the client has to say.
            if self._greeted:
                self._lower.pause_reading()
            else:
                self._lower.abort()

    def _step(self) -> None:
        """Go on with the handshake: it is its turn."""
        early, self._early = self._early, b""
        if self._state is not _State.SHAKING:
            return
        self._greeted = True
        end, _ = self._records.take(early, FEW_RECORDS)
        try:
            complete = self.keys.shake(self.side, early[:end])
        except TlsFault as fault:
            self._send()
            self._state = _State.REFUSED
            log.debug("handshake failed", error=str(fault))
            self._lower.close()
            return
        if complete and self.side.version() == TICKETS_LAST:
            self._owed = self.keys.outgoing.read()
        else:
            self._send()
        rest = early[end:]
        if complete:
            self._open_with(rest)
        elif rest:
            self._early = rest
            self.keys.wait_turn(self._step)
        else:
            self._read_on()

    def _open_with(self, data: bytes) -> None:
        """Begin; `data` came behind the handshake, and some of what is in OpenSSL's buffer."""
        self._state = _State.OPEN
        self._cancel_timer()
        begun, self._begun = self._begun, None
        if begun is not None:
            begun(None)
        # Before anybody else's bytes.
        received = self._open(b"")
        self._protocol.connection_made(self)
        self._deliver(*received)
        if self._state is not _State.OPEN:
            self._rest, data = data, b""  # not decrypted: see `_wait_for_end`
        if not data or self._receive(data):
            self._read_on()

    def _refuse(self) -> None:
        """Say in clear what the port speaks, and read on for a moment.

        The kernel resets a connection that is closed with bytes unread, and the client would not
        see the answer.
        """
        self._state = _State.REFUSED
        self._lower.write(self.keys.in_clear())
        self._lower.write_eof()
        self._cancel_timer()
        self._timer = self.keys.after(self.keys.seconds.linger, self._lower.abort)

    # What arrives

    def _receive(self, data: bytes) -> bool:
        """Take what came; return whether more may be read before it is this one's turn again."""
        if self._rest:
            # Some was on its way when reading was stopped.
            self._rest += data
            return False
        end, many = self._records.take(data, FEW_RECORDS)
        self._deliver(*self._open(data[:end]))
        if self._state is not _State.OPEN:
            self._rest = data[end:]  # not decrypted: see `_wait_for_end`
            return True
        if many:
            self._rest = data[end:]
            self._lower.pause_reading()
            if self._reads:
                self.keys.wait_turn(self._take_turn)
        return not many

    def _take_turn(self) -> None:
        """Go on with what waits, or read again."""
        if self._state is not _State.OPEN or not self._reads:
            return
        rest, self._rest = self._rest, b""
        if self._receive(rest):
            self._read_on()

    def _read_on(self) -> None:
        if self._ended:
            if self._state is not _State.OPEN or not self._peer_ended():
                self._lower.close()
        elif self._reads and not self._rest and not self._lower.is_closing():
            self._lower.resume_reading()

    def _open(self, data: bytes) -> tuple[Sequence[bytes], bool, Exception | None]:
        """Return what arrived, whether the peer has ended, and what is wrong."""
        try:
            return (*self.keys.open(self.side, data), None)
        except TlsFault as fault:
            return fault.received, False, fault
        finally:
            # The peer may have asked for something that is due at once, such as an alert.
            if self.keys.outgoing.pending:
                self._send()
                if self._lower.get_write_buffer_size() > HIGH_WATER:
                    self._lower.abort()

    def _deliver(self, records: Sequence[bytes], ended: bool, fault: Exception | None) -> None:
        if records and self._state is _State.OPEN and not self._lower.is_closing():
            self._protocol.data_received(records[0] if len(records) == 1 else b"".join(records))
        if fault is not None:
            # The alert is written; behind it nothing may come.
            self._state = max(self._state, _State.CLOSING)
            self._limit_end()
            self._lower.close()
        elif ended and self._state is _State.OPEN and not self._peer_ended():
            self._lower.close()

    def _peer_ended(self) -> bool:
        """Tell what is above that nothing comes any more; return whether it still writes."""
        if self._protocol.eof_received():
            return True
        if self._state is _State.OPEN:
            self._state = _State.CLOSING
            self._put(self.keys.finish(self.side))
            self._limit_end()
        return False

    def _wait_for_end(self, data: bytes) -> None:
        """Throw away what comes behind our end; at the peer's, close."""
        if self._rest or self._records.take(data, FEW_RECORDS)[1]:
            # Who has so much to say does not end. TCP's end will do: of what is not decrypted now,
            # nothing that follows can be.
            self._state, self._rest = _State.DEAF, b""
            return
        try:
            _, ended = self.keys.open(self.side, data)
        except TlsFault:
            ended = True
        self.keys.outgoing.read()
        if ended:
            self._lower.close()

    # What is above calls

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt, and send behind what waits."""
        if self._state is not _State.OPEN or not data:
            return
        try:
            self._put(self.keys.seal(self.side, bytes(data)))
        except TlsFault:
            self._lower.abort()
        else:
            self._check_full()

    def push(self, records: bytes) -> None:
        """Send what is encrypted already, of which the socket did not take all."""
        self._lower.write(records)
        self._check_full()

    def close(self) -> None:
        """End when what waits is written; the peer has a few seconds to end as well."""
        if self._state is _State.OPEN:
            self._state = _State.CLOSING
            self._put(self.keys.finish(self.side))
            if not self._lower.is_closing():
                self._lower.write_eof()
                # Who was not read from must be, or its end is never seen.
                self._lower.resume_reading()
            self._limit_end()
        elif self._state < _State.OPEN:
            self._lower.abort()

    def close_at_rest(self) -> None:
        """End when what waits is written, and wait for nobody: nothing is on its way.

        Who keeps a connection for later requests sees that end with the next one.
        """
        if self._state is _State.OPEN:
            self._state = _State.CLOSING
            self._put(self.keys.finish(self.side))
            self._limit_end()
            self._lower.close()

    def abort(self) -> None:
        """End at once."""
        self._lower.abort()

    def is_closing(self) -> bool:
        """Whether nothing is written any more."""
        return self._state >= _State.CLOSING or self._lower.is_closing()

    def can_write_eof(self) -> bool:
        """TLS ends in both directions at once, as far as clients are concerned."""
        return False

    def pause_reading(self) -> None:
        """Read nothing until `resume_reading`."""
        self._reads = False
        self._lower.pause_reading()

    def resume_reading(self) -> None:
        """Read again, first what waits."""
        self._reads = True
        if self._rest:
            self.keys.wait_turn(self._take_turn)
        else:
            self._lower.resume_reading()

    def is_reading(self) -> bool:
        """Whether it reads."""
        return self._reads and not self.is_closing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Tell what is above when more than `high` bytes wait, and when none do."""
        self._high = HIGH_WATER if high is None else high
        self._check_full()

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait, encrypted."""
        return self._lower.get_write_buffer_size()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have another protocol above."""
        assert isinstance(protocol, asyncio.Protocol)  # noqa: S101 - for the types
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol above."""
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what asyncio's transports tell, of TLS or of the socket."""
        if name == "sslcontext":
            return self.keys.context
        if name == "ssl_object":
            return self.side
        return self._lower.get_extra_info(name, default)

    def _send(self) -> None:
        """Send what OpenSSL has to say by itself."""
        records = self.keys.outgoing.read()
        if records and not self._lower.is_closing():
            self._put(records)

    def _put(self, records: bytes) -> None:
        """Send records, behind what was made before them."""
        if self._owed:
            records, self._owed = self._owed + records, b""
        self._lower.write(records)

    def _check_full(self) -> None:
        if not self._paused and self._lower.get_write_buffer_size() > self._high:
            self._paused = True
            self._protocol.pause_writing()

    def _limit_end(self) -> None:
        if self._timer is None:
            self._waits = self._lower.get_write_buffer_size()
            self._timer = self.keys.after(self.keys.seconds.close, self._end_late)

    def _end_late(self) -> None:
        """Let go of a peer that has not ended in time, unless it has read of what waits for it."""
        self._timer = None
        if self._lower.get_write_buffer_size() < self._waits:
            self._limit_end()
        else:
            self._lower.abort()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


_NOBODY = asyncio.Protocol()
"""What is above a connection that has ended."""
