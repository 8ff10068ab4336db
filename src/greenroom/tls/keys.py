"""What all encrypted connections of a port share: the certificate's context, and the buffers.

OpenSSL reads from one buffer in memory and writes to another. What belongs to a connection, a part
of a record included, it keeps itself, and nothing awaits between giving it bytes and taking away
what came of them. So two buffers are enough for all connections: a pair for each would be some
3 KiB of every idle viewer, and the fan-out finds the records of a whole slice in one piece.
"""

import contextlib
import ssl
from collections.abc import Callable
from typing import NamedTuple, Protocol

from greenroom.tls.fault import TlsFault

RECORD_BYTES = 16_384
"""What one record carries at most (RFC 8446, 5.1)."""


class Cancellable(Protocol):
    """Something that will happen unless it is cancelled."""

    def cancel(self) -> None:
        """Have it not happen."""


class Times(NamedTuple):
    """How long a peer may take for what, in seconds."""

    handshake: float
    close: float
    """To end, when it was told to."""
    linger: float
    """To read why it was refused."""


class TlsKeys:
    """A port's TLS; to be used from one event loop."""

    def __init__(
        self,
        context: ssl.SSLContext,
        wait_turn: Callable[[Callable[[], None]], None],
        after: Callable[[float, Callable[[], None]], Cancellable],
        seconds: Times,
        in_clear: Callable[[], bytes],
    ) -> None:
        """Make it.

        `wait_turn` calls back in a later turn of the loop, a few in each: a handshake takes as long
        as hundreds of messages. `after` calls back in so many seconds. `in_clear` is what to answer
        to a request that is not encrypted.
        """
        self.context = context
        self.wait_turn = wait_turn
        self.after = after
        self.seconds = seconds
        self.in_clear = in_clear
        self.outgoing = ssl.MemoryBIO()
        self._incoming = ssl.MemoryBIO()

    def accept(self) -> ssl.SSLObject:
        """Return the server's side of a new connection."""
        return self.context.wrap_bio(self._incoming, self.outgoing, server_side=True)

    def shake(self, side: ssl.SSLObject, data: bytes) -> bool:
        """Go on with a handshake; return whether it is complete. There may be bytes to send.

        Raises:
            TlsFault: it failed; the bytes to send say why.
        """
        self._incoming.write(data)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except (ssl.SSLError, OSError) as error:
            self._incoming.read()
            raise TlsFault(error) from None
        return True

    def open(self, side: ssl.SSLObject, data: bytes) -> tuple[list[bytes], bool]:
        """Return what arrived, record by record, and whether the peer says that nothing follows.

        Raises:
            TlsFault: a record is not from the peer, or against the rules; the bytes to send say so.
        """
        if data:
            self._incoming.write(data)
        pieces: list[bytes] = []
        try:
            # OpenSSL takes a record at a time, one that is not whole as well: when nothing is left
            # here it has nothing to give, and a call that says so costs as much as a record.
            while self._incoming.pending:
                piece = side.read(RECORD_BYTES)
                if not piece:
                    self._incoming.read()
                    return pieces, True
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass  # a record that is not whole
        except (ssl.SSLError, OSError) as error:
            # Whose bytes these are is over: the next connection's must not come behind them.
            self._incoming.read()
            raise TlsFault(error, pieces) from None
        return pieces, False

    def seal(self, side: ssl.SSLObject, data: bytes) -> bytes:
        """Return the records that carry the data.

        Raises:
            TlsFault: the connection has ended.
        """
        try:
            side.write(data)  # all of it: a buffer in memory takes whatever comes
        except (ssl.SSLError, OSError) as error:
            self.outgoing.read()
            raise TlsFault(error) from None
        return self.outgoing.read()

    def finish(self, side: ssl.SSLObject) -> bytes:
        """Return the record that says that nothing follows."""
        # The peer's own is awaited, or no handshake was complete.
        with contextlib.suppress(ssl.SSLError, OSError):
            side.unwrap()
        return self.outgoing.read()
