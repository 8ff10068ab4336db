"""What a room's frames are written to, and the loop that does it."""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from itertools import repeat
from operator import length_hint
from typing import Protocol

from greenroom.model.chat_token import ChatTokenClaims
from greenroom.protocol.wishes import View
from greenroom.tls.transport import TlsTransport

NO_SOCKET = socket.SocketType()
"""In place of a connection's socket: write through the connection's transport."""
# Without a descriptor every `send` fails, so that the loop below needs no test for it.
NO_SOCKET.detach()

Way = socket.SocketType | TlsTransport
"""Where a connection's frames are written to: its socket, or where they are encrypted before."""


class Connection(Protocol):
    """What the hub needs of a connection."""

    @property
    def user_id(self) -> str:
        """The user that the connection's token names."""

    @property
    def claims(self) -> ChatTokenClaims:
        """What the connection's token says."""

    def renew(self, claims: ChatTokenClaims) -> None:
        """Take the connection's token for one that says this."""

    @property
    def origin(self) -> bytes:
        """The client's address; unknown where it is that of many: a proxy's, this machine's."""

    @property
    def is_open(self) -> bool:
        """Whether the connection is in its room."""

    @property
    def view(self) -> View:
        """What the connection is shown; it never changes."""

    @property
    def shown_names(self) -> Sequence[str]:
        """The names by which applications show the user."""

    @property
    def may_moderate(self) -> bool:
        """Whether the connection's token lets its bearer moderate."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """The application's own of its token, which all may see."""

    @property
    def is_bot(self) -> bool:
        """Whether its bearer is none of those who look on."""

    def write(self, data: bytes) -> None:
        """Queue bytes behind those that wait; never raises, and may make the connection leave."""

    @property
    def key_id(self) -> str:
        """The key that sealed the connection's token."""

    def revoke(self) -> None:
        """Close cleanly because that key was killed."""

    def expel(self) -> None:
        """Leave because a moderator said so: nothing is shown, and nothing done, any more."""

    def disconnect(self, reason: str, last: bytes = b"") -> None:
        """Close cleanly because a moderator said so, behind some last bytes."""

    def drain(self) -> None:
        """End the connection for a restart of the node."""


def write_all(
    connections: Sequence[Connection], sockets: Sequence[socket.SocketType], data: bytes
) -> None:
    """Write the same bytes to every connection; the sockets are theirs, in the same order.

    This loop is what the service does all day. It makes no object for a connection, and looks only
    at those whose socket did not take everything.
    """
    size = len(data)
    # What `send` returns comes out of `map`, and how far it came is how much of `rest` is left: so
    # nothing is counted and no pair is made, not even an index. An error ends the inner loop only;
    # `map` goes on behind the socket that failed.
    rest = iter(sockets)
    sending = map(socket.SocketType.send, rest, repeat(data))
    while True:
        try:
            for sent in sending:
                if sent != size:
                    connections[-1 - length_hint(rest)].write(data[sent:])
        except OSError:
            # The kernel's buffer is full, the peer is gone, or there is no socket.
            connections[-1 - length_hint(rest)].write(data)
        else:
            return


def straight_way(transport: asyncio.Transport) -> Way:
    """Return the way past the transport: its own encryption, or a socket with its descriptor.

    `send` costs the kernel a few per cent less than a write to the descriptor.
    """
    if isinstance(transport, TlsTransport):
        return transport
    connection = transport.get_extra_info("socket")
    if connection is None:
        return NO_SOCKET
    # What kind of socket it says to be makes no difference to `send`. Of the plain type: the other
    # one is made twice as slowly, and has attributes of its own.
    return socket.SocketType(socket.AF_INET, socket.SOCK_STREAM, 0, connection.fileno())
