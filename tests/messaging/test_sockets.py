"""Writing the same bytes to many sockets: what each takes, and whose is the rest."""

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from unittest import mock

import pytest

from greenroom.messaging.sockets import NO_SOCKET, straight_way, write_all
from greenroom.model.chat_token import ChatTokenClaims
from greenroom.protocol.wishes import View
from greenroom.tls.transport import TlsTransport
from tests.stand_ins.stage import Transport, claims_of


class Waiting:
    """A connection that keeps what is to be written to it."""

    user_id = key_id = ""
    view = View.PLAIN
    may_moderate = False
    is_bot = False
    is_open = True
    origin = b""
    claims = claims_of()
    attributes: Mapping[str, str] = {}
    shown_names = ()

    def __init__(self) -> None:
        self.kept = b""

    def write(self, data: bytes) -> None:
        self.kept += data

    def renew(self, claims: ChatTokenClaims) -> None: ...

    def revoke(self) -> None: ...

    def expel(self) -> None: ...

    def disconnect(self, reason: str, last: bytes = b"") -> None: ...

    def drain(self) -> None: ...


@pytest.mark.parametrize("full", range(5))
def test_the_rest_is_whose_socket_was_full(full: int) -> None:
    """Wherever it stands; everybody else has all, from a socket or through the connection."""
    data = b"x" * 1_000_000
    with contextlib.ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(5)]
        for mine, theirs in pairs:
            stack.enter_context(theirs).setblocking(False)
            stack.enter_context(mine).setblocking(False)
        sockets = [NO_SOCKET] * 5
        sockets[full] = pairs[full][0]
        connections = [Waiting() for _ in pairs]
        write_all(connections, sockets, data)
        taken = len(data) - len(connections[full].kept)
        assert 0 < taken < len(data)
        lengths = [len(data)] * 5
        lengths[full] -= taken
        assert [len(each.kept) for each in connections] == lengths
        write_all(connections[:1], [NO_SOCKET], b"last")
        assert connections[0].kept.endswith(b"last")


def test_the_way_past_a_transport() -> None:
    """A transport's own socket is one, where it has one; what encrypts is its own."""
    mine, theirs = socket.socketpair()
    with mine, theirs:
        made = Transport()
        assert straight_way(made) is NO_SOCKET
        made.socket = mine
        straight = straight_way(made)
        assert isinstance(straight, socket.SocketType)
        assert straight.detach() == mine.fileno()
        encrypting = TlsTransport(mock.Mock(), asyncio.Protocol(), lambda why: None)
        assert straight_way(encrypting) is encrypting
