import socket
import struct

from greenroom.messaging.reset import reset
from tests.stand_ins.stage import Transport


def test_what_waits_is_not_left_to_the_kernel() -> None:
    """The peer gets a reset, and neither the transport nor the kernel keeps a byte for it."""
    mine, theirs = socket.socketpair()
    with mine, theirs:
        transport = Transport()
        transport.socket = mine
        reset(transport)
        assert mine.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 1, 0)
    assert (transport.aborted, transport.closed) == (True, False)


def test_a_socket_that_is_gone() -> None:
    """There is nothing to say to the kernel any more; the transport ends all the same."""
    gone = socket.socket()
    gone.close()
    for each in (gone, None):
        transport = Transport()
        transport.socket = each
        reset(transport)
        assert transport.aborted
